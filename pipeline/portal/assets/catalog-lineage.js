// Column lineage both ways, from fields of source objects to tiles, and what a change reaches; stars of tables.
"use strict";
{
  const { el, link, show } = lakemesh;
  const catalog = lakemesh.catalog;
  const MOST = 140, MOST_STEPS = 400;

  let made = null;
  /** Names by number, and steps both ways. A number computed from another by grouping alone has its kind. */
  const graph = async () => {
    if (made) return made;
    const { index, search } = await catalog.open();
    const { more, edges, chosen } = await lakemesh.file("catalog-lineage");
    const first = search.columns;
    const nameOf = (number) => number >= first ? more[number - first] : `${index.entries[search.tableOf(number)][1]}.${search.columnName(number)}`;
    const down = new Map();
    edges.forEach((sources, number) => {
      for (const source of sources) {
        const from = source < 0 ? -source - 1 : source;
        if (!down.has(from)) down.set(from, []);
        down.get(from).push([number, source < 0 ? "groups" : ""]);
      }
    });
    const up = (number) => edges[number].map((source) => source < 0 ? [-source - 1, "groups"] : [source, ""]);
    const numberOf = new Map(more.map((name, number) => [name, first + number]));
    const find = (name) => {
      if (numberOf.has(name)) return numberOf.get(name);
      const parts = name.split(".");
      const entry = catalogEntry(parts.slice(0, 2).join("."), index);
      const place = entry === undefined ? -1 : index.entries[entry][7].indexOf(parts.slice(2).join("."));
      return place < 0 ? undefined : search.firstColumn[entry] + place;
    };
    const decides = new Map();
    for (const [table, numbers] of Object.entries(chosen)) for (const number of numbers) { if (!decides.has(number)) decides.set(number, []); decides.get(number).push(table); }
    made = { nameOf, up, down: (number) => down.get(number) ?? [], find, decides };
    return made;
  };
  const catalogEntry = (name, index) => { const found = index.entries.findIndex((entry) => entry[0] < 5 && entry[1] === name); return found < 0 ? undefined : found; };

  /** Everything in one direction with its number of steps, nearest first. */
  const walk = (start, next) => {
    const steps = new Map([[start, 0]]);
    const waiting = [start];
    for (const at of waiting) for (const [other] of next(at)) if (!steps.has(other)) { steps.set(other, steps.get(at) + 1); waiting.push(other); }
    steps.delete(start);
    return steps;
  };

  const placeOf = (name) => {
    if (name.startsWith("metric:")) return { card: name, kind: "metric", title: name.slice(7), note: "metric", text: null, cardHref: link(["catalog", "metric", name.slice(7)]) };
    if (name.startsWith("tile:")) { const [board, tile] = name.slice(5).split("/"); return { card: `tile:${board}`, kind: "tile", title: board, note: "dashboard", text: tile, cardHref: link(["catalog", "dashboard", board]) }; }
    if (name.startsWith("source:")) { const slash = name.lastIndexOf("/"); return { card: name.slice(0, slash), kind: "source", title: name.slice(7, slash), note: "objects", text: name.slice(slash + 1) }; }
    const [layer, table, ...rest] = name.split(".");
    return { card: `${layer}.${table}`, kind: layer, title: `${layer}.${table}`, note: "", text: rest.join("."), cardHref: catalog.tableLink(`${layer}.${table}`) };
  };

  const picture = (names, edges, focus, titles) => {
    const cards = new Map();
    for (const [number, name] of names) {
      const place = placeOf(name);
      if (!cards.has(place.card)) cards.set(place.card, { id: place.card, title: place.title, note: place.note, kind: place.kind, href: place.cardHref, rows: [] });
      if (place.text !== null) cards.get(place.card).rows.push({ id: name, text: titles.get(name) ?? place.text, href: catalog.columnLink(name), isFocus: number === focus });
    }
    for (const card of cards.values()) card.rows.sort((one, other) => one.text < other.text ? -1 : 1);
    return catalog.draw({ cards: [...cards.values()], edges: edges.map(([from, to, kind]) => [names.get(from), names.get(to), kind]), label: "Lineage" });
  };

  const steps = (title, entries, names) => {
    const shown = entries.slice(0, MOST_STEPS);
    return el("details", { class: "card", open: entries.length > 0 && entries.length <= 12 }, el("summary", {}, el("h2", { text: title }), el("span", { class: "quiet", text: ` ${show(entries.length, catalog.COUNT)}` })),
      entries.length ? el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": title }, el("table", {}, el("caption", { class: "sr-only", text: title }), el("thead", {}, el("tr", {}, el("th", { scope: "col", text: "Name" }), el("th", { scope: "col", class: "num", text: "Steps" }))),
        el("tbody", {}, shown.map(([number, distance]) => el("tr", {}, el("th", { scope: "row" }, catalog.referenceLink(names(number))), el("td", { class: "num", text: String(distance) })))))) : null,
      shown.length < entries.length ? el("p", { class: "note", text: `The nearest ${show(shown.length, catalog.COUNT)} of ${show(entries.length, catalog.COUNT)}.` }) : null,
      entries.length ? null : el("p", { class: "quiet", text: "Nothing." }));
  };

  catalog.lineage = async (element, name, parameters) => {
    const opened = await catalog.open();
    const { nameOf, up, down, find, decides } = await graph();
    const focus = find(name);
    if (focus === undefined) throw new Error(`There is no column ${name} in this release`);
    const { dashboards } = await lakemesh.file("catalog-exposures");
    const titles = new Map(Object.values(dashboards).flatMap((board) => (board.tiles ?? []).map((tile) => [`tile:${board.name}/${tile.id}`, tile.title || tile.id])));
    const before = walk(focus, up), after = walk(focus, down);
    const most = Math.max(1, ...before.values(), ...after.values());
    let depth = parameters.steps ? Number(parameters.steps) : most;
    const within = (limit) => [...before, ...after].filter(([, distance]) => distance <= limit).length;
    if (!parameters.steps) while (depth > 1 && within(depth) > MOST) depth -= 1;
    const place = placeOf(name);
    const kind = place.kind;
    const comment = focus < opened.search.columns ? await opened.more.then(() => opened.texts?.texts[opened.texts.of[focus]] ?? "") : kind === "source" ? "Field of the source objects." : titles.get(name) ?? "";
    const reached = [...after.keys()].map(nameOf);
    const tables = new Set(reached.filter((item) => !item.includes(":")).map((item) => item.split(".", 2).join(".")));
    const counts = [[reached.filter((item) => !item.includes(":")).length, "columns"], [tables.size, "tables"], [reached.filter((item) => item.startsWith("metric:")).length, "metrics"], [reached.filter((item) => item.startsWith("tile:")).length, "tiles"]];
    const rows = [...new Set([focus, ...after.keys()].flatMap((number) => decides.get(number) ?? []))].sort();
    const holder = el("div");
    const draw = () => {
      const names = new Map([[focus, name]]);
      for (const [number, distance] of [...before, ...after]) if (distance <= depth) names.set(number, nameOf(number));
      const edges = [];
      for (const number of names.keys()) for (const [source, how] of up(number)) if (names.has(source)) edges.push([source, number, how]);
      const left = before.size + after.size + 1 - names.size;
      holder.replaceChildren(picture(names, edges, focus, titles), el("p", { class: "note" },
        edges.some(([, , how]) => how) ? "A dashed line only groups or orders the rows that a value is computed from. " : "", left ? `${show(left, catalog.COUNT)} more are further away.` : ""));
    };
    const select = el("select", { onchange: () => { depth = Number(select.value); history.replaceState(null, "", link(["catalog", "lineage", ...name.split("/")], { steps: depth })); draw(); } },
      Array.from({ length: most }, (_, number) => el("option", { value: number + 1, selected: number + 1 === depth, text: number + 1 === most ? `all (${most})` : String(number + 1) })));
    const isColumn = focus < opened.search.columns;
    element.append(
      place.text === null ? catalog.crumbs("Lineage", el("a", { href: place.cardHref, text: place.title }))
        : catalog.crumbs(titles.get(name) ?? place.text, place.cardHref ? el("a", { href: place.cardHref, text: place.title }) : place.title),
      el("div", { class: "heading" }, el("div", {}, el("h1", {}, kind === "tile" ? titles.get(name) ?? place.text : place.text ?? place.title, " ", catalog.badge(isColumn ? "column" : kind === "source" ? "source" : kind)), el("p", { text: comment })),
        el("label", { class: "field" }, "Steps", select)),
      el("p", { class: "impact" }, after.size ? ["A change reaches ", el("strong", { text: counts.filter(([number]) => number).map(([number, what]) => `${show(number, catalog.COUNT)} ${number === 1 ? what.slice(0, -1) : what}`).join(", ") }), isColumn ? [": ", el("code", { text: `lake impact ${name}` })] : "."] : "Nothing is computed from it."),
      ...rows.length ? [el("p", { class: "impact" }, "It decides which rows these have, by filters, joins or grouping: ", rows.map((table, number) => [number ? ", " : "", el("a", { href: catalog.tableLink(table), text: table })]), ".")] : [],
      holder,
      el("div", { class: "two" }, steps("Computed from", [...before], nameOf), steps("Used by", [...after], nameOf)));
    draw();
  };

  // ---- stars ---------------------------------------------------------------------------------------------------
  catalog.star = async (element, path, parameters) => {
    const layers = await lakemesh.file("catalog-stars");
    const offered = Object.keys(layers).sort((one, other) => ["gold", "silver", "bronze", "seeds"].indexOf(one) - ["gold", "silver", "bronze", "seeds"].indexOf(other))
      .flatMap((layer) => [...new Set(layers[layer].filter((table) => table.references.length).map((table) => table.domain))].sort().map((domain) => [layer, domain]));
    if (!offered.length) { element.append(catalog.crumbs("Tables"), el("h1", { text: "Tables and their keys" }), el("p", { class: "empty", text: "No table has a key of another one." })); return; }
    const [layer, domain] = path.length ? offered.find(([one, other]) => one === path[0] && (path.length < 2 || other === path[1])) ?? [] : offered[0];
    if (!layer) throw new Error(`There is no picture of ${path.slice(0, 2).join("/")}; expected one of ${offered.map((one) => one.join("/")).join(", ")}`);
    const every = new Map(Object.values(layers).flat().map((table) => [table.name, table]));
    const own = layers[layer].filter((table) => table.domain === domain && table.references.length);
    const shown = new Map(own.map((table) => [table.name, table]));
    for (const table of own) for (const [, target] of table.references) { const other = every.get(target.slice(0, target.lastIndexOf("."))); if (other) shown.set(other.name, other); }
    const targets = new Set([...shown.values()].flatMap((table) => table.references.map(([, target]) => target)));
    const cards = [...shown.values()].map((table) => {
      const keys = new Set(table.grain), foreign = new Set(table.references.map(([column]) => column));
      const rows = table.columns.filter(([name]) => keys.has(name) || foreign.has(name) || targets.has(`${table.name}.${name}`));
      return {
        id: table.name, title: table.name, kind: table.name.includes(".dim_") ? "dimension" : table.references.length && shown.get(table.name).domain === domain ? "fact" : "dimension",
        href: catalog.tableLink(table.name), note: "",
        rows: rows.map(([name, type]) => ({ id: `${table.name}.${name}`, text: name, note: keys.has(name) ? foreign.has(name) ? "key, ref" : "key" : foreign.has(name) ? "ref" : type.toLowerCase(), href: catalog.columnLink(`${table.name}.${name}`) })),
        more: table.others ? `and ${table.others} more columns` : "",
      };
    });
    const edges = [...shown.values()].flatMap((table) => table.references.filter(([, target]) => shown.has(target.slice(0, target.lastIndexOf(".")))).map(([column, target]) => [`${table.name}.${column}`, target, ""]));
    const select = el("select", { onchange: () => lakemesh.go(["catalog", "star", ...select.value.split("/")]) },
      offered.map(([one, other]) => el("option", { value: `${one}/${other}`, selected: one === layer && other === domain, text: `${one}, ${other}` })));
    element.append(catalog.crumbs("Tables"), el("div", { class: "heading" }, el("div", {}, el("h1", { text: `Tables of ${domain} and their keys` }), el("p", { text: "Each line leads from a column to the key that it holds: many rows on the left, one on the right." })), el("label", { class: "field" }, "Tables", select)),
      catalog.draw({ cards, edges, label: `Tables of ${domain}`, ends: true }),
      el("details", { class: "card" }, el("summary", {}, el("h2", { text: "As a list" })), el("ul", {}, edges.map(([from, to]) => el("li", {}, catalog.referenceLink(from), " → ", catalog.referenceLink(to))))));
  };
}
