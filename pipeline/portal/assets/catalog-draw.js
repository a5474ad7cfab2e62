// Pictures of cards that are joined by lines, drawn as SVG in layers from left to right: lineage and stars.
//
//   lakemesh.catalog.draw({cards, edges, label, focus, ends})
//     cards  [{id, title, note, kind, href, rows: [{id, text, note, href, isFocus}], more}]
//     edges  [[row id, row id, kind]]: from a row of an earlier card to one of a later card
"use strict";
{
  const WIDTH = 240, HEAD = 34, ROW = 24, GAP = 22, BETWEEN = 58, PAD = 10;

  const height = (card) => HEAD + card.rows.length * ROW + (card.more ? ROW : 0) + (card.rows.length || card.more ? 6 : 0);

  /** The layer of each card: one more than that of what comes before it. */
  const layersOf = (cards, before) => {
    const layer = new Map();
    const place = (id, seen) => {
      if (layer.has(id)) return layer.get(id);
      if (seen.has(id)) return 0;
      seen.add(id);
      let found = 0;
      for (const other of before.get(id) ?? []) found = Math.max(found, place(other, seen) + 1);
      layer.set(id, found);
      return found;
    };
    for (const card of cards) place(card.id, new Set());
    return layer;
  };

  /** Cards by layer, ordered so that lines cross little, with their places. */
  const arranged = (cards, edges) => {
    const cardOf = new Map();
    for (const card of cards) { cardOf.set(card.id, card); for (const row of card.rows) cardOf.set(row.id, card); }
    const before = new Map(), beside = new Map();
    const push = (map, key, value) => { if (!map.has(key)) map.set(key, new Set()); map.get(key).add(value); };
    for (const [from, to] of edges) {
      const [one, other] = [cardOf.get(from), cardOf.get(to)];
      if (!one || !other || one === other) continue;
      push(before, other.id, one.id);
      push(beside, other.id, one.id);
      push(beside, one.id, other.id);
    }
    const layer = layersOf(cards, before);
    const columns = [];
    for (const card of cards) (columns[layer.get(card.id)] ??= []).push(card);
    const middle = new Map();
    const spread = (column) => {
      const total = column.reduce((sum, card) => sum + height(card) + GAP, -GAP);
      let top = -total / 2;
      for (const card of column) { middle.set(card.id, top + height(card) / 2); top += height(card) + GAP; }
    };
    columns.forEach(spread);
    for (let turn = 0; turn < 6; turn++) {
      for (const column of turn % 2 ? [...columns].reverse() : columns) {
        const wish = new Map(column.map((card) => {
          const others = [...beside.get(card.id) ?? []].map((id) => middle.get(id));
          return [card, others.length ? others.reduce((sum, value) => sum + value, 0) / others.length : middle.get(card.id)];
        }));
        column.sort((one, other) => wish.get(one) - wish.get(other));
        spread(column);
      }
    }
    const least = Math.min(0, ...cards.map((card) => middle.get(card.id) - height(card) / 2));
    const at = new Map();
    let bottom = 0;
    columns.forEach((column, number) => {
      for (const card of column) {
        const top = middle.get(card.id) - height(card) / 2 - least + PAD;
        at.set(card.id, { left: PAD + number * (WIDTH + BETWEEN), top });
        bottom = Math.max(bottom, top + height(card));
      }
    });
    return { at, cardOf, width: 2 * PAD + columns.length * (WIDTH + BETWEEN) - BETWEEN, height: bottom + PAD };
  };

  /** A text of at most so many characters; names often differ in their ends, so the middle goes. */
  const cut = (text, most) => {
    if (text.length <= most) return text;
    const end = Math.floor(most / 2) - 1;
    return `${text.slice(0, most - end - 1)}…${text.slice(-end)}`;
  };

  const draw = ({ cards, edges, label, ends = false }) => {
    const { el } = lakemesh;
    const plan = arranged(cards, edges);
    const anchors = new Map(); // row → height of its middle
    const svg = el("svg:svg", {
      width: Math.ceil(plan.width), height: Math.ceil(plan.height), viewBox: `0 0 ${Math.ceil(plan.width)} ${Math.ceil(plan.height)}`,
      role: "group", "aria-label": label, class: "picture",
    });
    const lines = el("svg:g", { class: "lines", "aria-hidden": "true" });
    svg.append(lines);
    const groups = new Map();
    for (const card of cards) {
      const { left, top } = plan.at.get(card.id);
      anchors.set(card.id, top + HEAD / 2);
      const group = el("svg:g", { class: `node node-${card.kind}` });
      group.append(el("svg:rect", { class: "node-box", x: left, y: top, width: WIDTH, height: height(card), rx: 7 }));
      const head = el("svg:a", card.href ? { href: card.href } : {});
      head.append(
        el("svg:title", { text: card.note ? `${card.title}, ${card.note}` : card.title }),
        el("svg:rect", { class: "node-head", x: left + 1, y: top + 1, width: WIDTH - 2, height: HEAD - 2, rx: 6 }),
        el("svg:text", { class: "node-title", x: left + 12, y: top + 22, text: cut(card.title, card.note ? 20 : 28) }));
      if (card.note) head.append(el("svg:text", { class: "node-note", x: left + WIDTH - 11, y: top + 21, "text-anchor": "end", text: cut(card.note, 12) }));
      group.append(head);
      card.rows.forEach((row, number) => {
        const y = top + HEAD + number * ROW;
        anchors.set(row.id, y + ROW / 2 + 2);
        const item = el("svg:a", { class: `node-row${row.isFocus ? " focus" : ""}`, ...(row.href ? { href: row.href } : {}) });
        item.append(
          el("svg:title", { text: row.note ? `${row.text}, ${row.note}` : row.text }),
          el("svg:rect", { x: left + 4, y: y + 2, width: WIDTH - 8, height: ROW - 1, rx: 4 }),
          el("svg:text", { x: left + 12, y: y + 18, text: cut(row.text, row.note ? 23 : 31) }));
        if (row.note) item.append(el("svg:text", { class: "node-note", x: left + WIDTH - 11, y: y + 18, "text-anchor": "end", text: cut(row.note, 10) }));
        groups.set(row.id, item);
        group.append(item);
      });
      if (card.more) group.append(el("svg:text", { class: "node-note", x: left + 12, y: top + HEAD + card.rows.length * ROW + 18, text: card.more }));
      svg.append(group);
    }
    const edgePaths = new Map();
    for (const [from, to, kind = ""] of edges) {
      const [one, other] = [plan.cardOf.get(from), plan.cardOf.get(to)];
      if (!one || !other || one === other) continue;
      const x1 = plan.at.get(one.id).left + WIDTH, x2 = plan.at.get(other.id).left;
      const y1 = anchors.get(from), y2 = anchors.get(to);
      const bend = Math.max(30, (x2 - x1) / 2);
      const path = el("svg:path", { d: `M${x1} ${y1}C${x1 + bend} ${y1} ${x2 - bend} ${y2} ${x2} ${y2}`, class: `line ${kind}` });
      lines.append(path);
      if (ends) {
        lines.append(
          el("svg:path", { class: "line-end", d: `M${x1} ${y1 - 5}L${x1 + 9} ${y1}L${x1} ${y1 + 5}` }),
          el("svg:path", { class: "line-end", d: `M${x2 - 7} ${y2 - 5}V${y2 + 5}` }));
      }
      edgePaths.set(`${from}\n${to}`, path);
    }
    const mark = (id, on) => {
      svg.classList.toggle("marking", on);
      const seen = new Set();
      const follow = (at, forward) => {
        for (const [from, to] of edges) {
          if ((forward ? from : to) !== at) continue;
          const next = forward ? to : from;
          if (!seen.has(`${forward}${next}`)) { seen.add(`${forward}${next}`); groups.get(next)?.classList.toggle("marked", on); follow(next, forward); }
          edgePaths.get(`${from}\n${to}`)?.classList.toggle("marked", on);
        }
      };
      groups.get(id)?.classList.toggle("marked", on);
      follow(id, true);
      follow(id, false);
    };
    for (const [id, item] of groups) {
      item.addEventListener("mouseenter", () => mark(id, true));
      item.addEventListener("mouseleave", () => mark(id, false));
      item.addEventListener("focus", () => mark(id, true));
      item.addEventListener("blur", () => mark(id, false));
    }
    const box = el("div", { class: "picture-box", tabindex: "0", role: "region", "aria-label": `${label}, scrollable` }, svg);
    const setFit = (isFit) => { box.classList.toggle("fit", isFit); fit.setAttribute("aria-pressed", String(isFit)); };
    const fit = el("button", {
      type: "button", class: "plain", "aria-pressed": "false", text: "Fit to width", onclick: () => setFit(!box.classList.contains("fit")),
    });
    const focus = svg.querySelector(".focus > rect");
    requestAnimationFrame(() => {
      const scale = box.clientWidth / plan.width;
      fit.hidden = scale >= 1;
      setFit(scale < 1 && scale > 0.6);
      if (!focus) return;
      box.scrollLeft = Number(focus.getAttribute("x")) - box.clientWidth / 2 + WIDTH / 2;
      box.scrollTop = Number(focus.getAttribute("y")) - box.clientHeight / 2;
    });
    return el("div", { class: "picture-frame" }, el("div", { class: "picture-tools" }, fit), box);
  };

  lakemesh.catalog = { ...lakemesh.catalog, draw };
}
