// Live: what happens now, beside the days of the release. Only the server of live numbers (lake live) serves it; it sends
// a whole state at a time, so a page that was busy, or asleep, shows the newest one and misses those in between.
"use strict";
{
  const { el, show, plain, day } = lakemesh;
  const INTEGER = { format: "integer" };
  const PERCENT = { format: "percent" };
  const [AT, , VIEWS, CARTS, VISITORS, ORDERS, NET, CLOSED] = [0, 1, 2, 3, 4, 5, 6, 7];
  const WAIT_SECONDS = 10;

  const money = (state) => ({ format: "currency", currency: state.currency });
  const clock = (text) => text.slice(11, 16);

  // ---- parts that are drawn once and filled again and again -------------------------------------------------------
  const tile = (title, question, width, body, caption = "") =>
    el("section", { class: `tile w-${width}`, "aria-label": title },
      el("div", { class: "tile-head" }, el("h2", { text: title })),
      question ? el("p", { class: "question", text: question }) : null,
      el("div", { class: "tile-body" }, body),
      caption ? el("div", { class: "tile-foot" }, el("span", { class: "caption", text: caption })) : null);

  /** A number with a line of its last hour; `read` gives value, metric, a note and the values of the line. */
  const number = (title, read) => {
    const value = el("div", { class: "number", text: "–" });
    const note = el("div", { class: "change quiet" });
    const line = el("div");
    let shown = null;
    const fill = (state) => {
      const found = read(state);
      value.textContent = show(found.value, found.metric);
      if (found.value !== null) value.dataset.value = found.value;
      note.textContent = found.note;
      const trend = JSON.stringify(found.trend);
      if (trend === shown) return;
      shown = trend;
      const spark = lakemesh.charts.spark(found.trend);
      line.replaceChildren(...(spark ? [spark] : []));
    };
    return { node: tile(title, "", 2, [value, note, line]), fill };
  };

  /** Bars over time; `read` gives {rows: [[label, value, is closed]], what}. */
  const bars = (title, question, width, read) => {
    const [tall, left, bottom] = [200, 36, 18];
    const box = el("svg:svg", { class: "bars", role: "img" });
    const fill = (state) => {
      const { rows, what } = read(state);
      const wide = Math.max(160, box.clientWidth); // as it is shown, so that its text has the size of other text
      box.setAttribute("viewBox", `0 0 ${wide} ${tall}`);
      const most = Math.max(1, ...rows.map((row) => row[1]));
      const step = (wide - left) / Math.max(rows.length, 1);
      const y = (value) => (tall - bottom) * (1 - value / most);
      const line = (value) => [
        el("svg:line", { x1: left, x2: wide, y1: y(value), y2: y(value) }),
        el("svg:text", { x: left - 6, y: y(value) + (value ? 10 : 0), "text-anchor": "end", text: plain(value, 0) }),
      ];
      box.replaceChildren(
        ...line(most), ...line(0),
        ...rows.map(([, value, isClosed], place) => el("svg:rect", {
          x: (left + place * step).toFixed(1), width: Math.max(step - 1, 0.5).toFixed(1), y: y(value).toFixed(1),
          height: Math.max(tall - bottom - y(value), 0).toFixed(1), class: isClosed ? null : "open",
        })),
        ...rows.map(([label], place) => place % 15 === 0
          ? el("svg:text", { x: (left + place * step).toFixed(1), y: tall - 3, text: label }) : null).filter(Boolean),
      );
      const total = rows.reduce((sum, row) => sum + row[1], 0);
      box.setAttribute("aria-label", `Bar chart: ${what}, ${rows.length} from ${rows[0]?.[0] ?? "–"}, ${plain(total, 0)} in all.`);
    };
    const legend = el("div", { class: "legend", "aria-hidden": "true" },
      el("span", { text: "closed" }), el("span", { class: "open", text: "still open" }));
    return { node: tile(title, question, width, [box, legend]), fill };
  };

  /** The largest members of a dimension, each with its share of a whole. */
  const members = (title, question, label, what, read, named = (name) => name) => {
    const body = el("tbody");
    const table = el("table", {},
      el("caption", { class: "sr-only", text: title }),
      el("thead", {}, el("tr", {}, el("th", { scope: "col", text: label }), el("th", { scope: "col", class: "num", text: what }),
        el("th", { scope: "col", text: "Share" }))), body);
    let shown = null;
    const fill = (state) => {
      const { rows, whole } = read(state);
      const text = JSON.stringify([rows, whole]);
      if (text === shown) return;
      shown = text;
      body.replaceChildren(...rows.map(([name, count]) => el("tr", {},
        el("th", { scope: "row", text: named(name) }),
        el("td", { class: "num", "data-value": count, text: plain(count, 0) }),
        el("td", {}, el("svg:svg", { class: "share", viewBox: "0 0 100 8", preserveAspectRatio: "none", role: "img",
          "aria-label": show(whole ? count / whole : null, PERCENT) },
        el("svg:rect", { width: whole ? ((count / whole) * 100).toFixed(1) : 0, height: 8 }))))));
      if (!rows.length) body.replaceChildren(el("tr", {}, el("td", { colspan: 3, class: "empty", text: "Nothing yet today." })));
    };
    return { node: tile(title, question, 4, table), fill };
  };

  /** Today, provisional, above the days of the release. */
  const days = () => {
    const body = el("tbody");
    const heads = ["Day", "State", "Visitors", "Sessions", "Conversion", "Orders", "Net revenue"];
    const table = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Days: table" },
      el("table", {}, el("caption", { class: "sr-only", text: "Today and the days before" }),
        el("thead", {}, el("tr", {}, heads.map((text, place) => el("th", { scope: "col", class: place > 1 ? "num" : null, text })))), body));
    const row = (item, state, isLive) => el("tr", {},
      el("th", { scope: "row", class: "whole", text: day.full(day.parse(item.date)) }),
      el("td", { class: isLive ? "provisional" : null, text: isLive ? "live, provisional" : `audited, release ${state.release}` }),
      [[item.visitors, INTEGER], [item.sessions, INTEGER], [item.conversion, PERCENT], [item.orders, INTEGER], [item.net_amount, money(state)]]
        .map(([value, metric]) => el("td", { class: "num", "data-value": value, text: show(value, metric, true) })));
    const fill = (state) => {
      const released = state.days.filter((item) => item.date < state.today.date);
      body.replaceChildren(row(state.today, state, true), ...released.map((item) => row(item, state, false)));
    };
    return { node: tile("Days", "How does today compare with the days of the release?", 8, table), fill };
  };

  const unusual = () => {
    const box = el("div", { role: "status" });
    let shown = null;
    const fill = (state) => {
      const text = JSON.stringify(state.unusual.map((item) => item.text));
      if (text === shown) return;
      shown = text;
      box.replaceChildren(state.unusual.length
        ? el("ul", { class: "unusual" }, state.unusual.map((item) => el("li", { text: item.text })))
        : el("p", { class: "empty", text: "No rate is unusual." }));
    };
    return {
      node: tile("Unusual rates", "Is a rate far from that of the same minutes of earlier weeks?", 4, box, "Judged from three earlier weeks on."),
      fill,
    };
  };

  const perMinute = (state, column) => state.seconds.filter((row) => row[CLOSED] || row[AT] <= state.at)
    .reduce((sum, row) => sum + (Date.parse(state.at) - Date.parse(row[AT]) <= 60000 ? row[column] : 0), 0);
  const trend = (state, column) => state.minutes.filter((row) => row[CLOSED]).map((row) => row[column]);

  const parts = () => [
    number("Active visitors", (state) => ({ value: state.active_visitors, metric: INTEGER, note: "whose session goes on", trend: trend(state, VISITORS) })),
    number("Views", (state) => ({ value: perMinute(state, VIEWS), metric: INTEGER, note: "in the last minute", trend: trend(state, VIEWS) })),
    number("Carts", (state) => ({ value: perMinute(state, CARTS), metric: INTEGER, note: "in the last minute", trend: trend(state, CARTS) })),
    number("Orders", (state) => ({ value: state.today.orders, metric: INTEGER, note: "today", trend: trend(state, ORDERS) })),
    number("Net revenue", (state) => ({ value: state.today.net_amount, metric: money(state), note: "today, from orders", trend: trend(state, NET) })),
    number("Conversion", (state) => ({ value: state.today.conversion, metric: PERCENT, note: `${plain(state.today.sessions, 0)} sessions today`, trend: [] })),
    bars("Views by minute", "What happened in the last hour?", 8, (state) => ({ rows: state.minutes.map((row) => [clock(row[AT]), row[VIEWS], row[CLOSED]]), what: "views by minute" })),
    bars("Views by second", "What happens now?", 4, (state) => ({ rows: state.seconds.map((row) => [row[AT].slice(14, 19), row[VIEWS], row[CLOSED]]), what: "views by second" })),
    members("Products", "What is looked at today?", "Product", "Views", (state) => ({ rows: state.today.members.product ?? [], whole: state.today.views })),
    members("Countries", "Where do clicks come from today?", "Country", "Clicks", (state) => ({ rows: state.today.members.country ?? [], whole: state.today.clicks }), (name) => (name === null ? "All others" : name || "Unknown")),
    members("Devices", "On what is clicked today?", "Device", "Clicks", (state) => ({ rows: state.today.members.device ?? [], whole: state.today.clicks })),
    days(),
    unusual(),
  ];

  // ---- the stream ------------------------------------------------------------------------------------------------
  const render = async (main) => {
    if (!lakemesh.live) {
      main.append(el("p", { class: "banner", text: "Live numbers are served by lake live, which prints their address." }));
      return;
    }
    const all = parts();
    const state = el("p", { class: "live-state waits", role: "status", text: "Connecting" });
    const about = el("p", { class: "note live-about" });
    const grid = el("div", { class: "grid" }, all.map((part) => part.node));
    main.append(
      el("div", { class: "heading" },
        el("div", {}, el("h1", { text: "Live" }),
          el("p", { text: "Provisional numbers as they happen. What counts is the audited release: a closed window keeps what it showed, and its drift is on the page Pipeline." })),
        state),
      grid, about);
    let newest = null, waiting = false, heard = 0;
    const say = (kind, text) => {
      if (state.textContent === text) return;
      state.className = `live-state ${kind}`;
      state.textContent = text;
    };
    const draw = () => {
      waiting = false;
      if (!newest || !main.isConnected) return;
      for (const part of all) {
        try { part.fill(newest); } catch (error) { console.error(`Live: ${error.stack}`); }
      }
      say(newest.is_ready ? "" : "waits", newest.is_ready ? "Live" : "Reading what came before");
      const { counters, watermark, lateness_seconds: late } = newest;
      about.textContent = `Windows are closed up to ${watermark ? `${watermark.slice(11, 19)} UTC` : "–"}, ${late} s after their end. `
        + `${plain(counters.late, 0)} late, ${plain(counters.duplicates, 0)} repeated, ${plain(counters.bots, 0)} clicks of bots. `
        + `Days are those of ${newest.timezone}.${newest.missing.map((text) => ` ${text}.`).join("")}`;
      grid.dataset.drawn = newest.at_ms;
    };
    main.addEventListener("shown", () => {
      const stream = new EventSource(`${lakemesh.live}events`);
      const check = setInterval(() => {
        if (!main.isConnected) {
          stream.close();
          clearInterval(check);
        } else if (Date.now() - heard > WAIT_SECONDS * 1000) say("lost", "No connection; trying again");
      }, 1000);
      heard = Date.now();
      stream.onmessage = (event) => {
        heard = Date.now();
        const found = JSON.parse(event.data);
        if (!found.today) return;
        newest = found;
        if (!waiting) { waiting = true; requestAnimationFrame(draw); }
      };
      stream.onerror = () => say("lost", "No connection; trying again");
    });
  };

  lakemesh.route("live", render, { label: "Live", order: -1, isShown: () => Boolean(lakemesh.live) });
}
