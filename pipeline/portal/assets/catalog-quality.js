// The quality of a table by day: each part with its history, down to the objects and lines behind a day.
"use strict";
{
  const { el, link, show } = lakemesh;
  const catalog = lakemesh.catalog;
  /** From which shares on they are good or a warning, and the weights of the headline; the index has them. */
  const rules = () => lakemesh.defined.get("catalog").quality;
  const PARTS = { validity: "good records ÷ records", completeness: "rows received ÷ rows expected", uniqueness: "distinct keys ÷ rows",
    freshness: "maximum age ÷ age at the end of the day", audits: "audits that passed ÷ audits that ran" };

  const verdict = (value) => value === null || value === undefined ? "unknown" : value >= rules().good ? "good" : value >= rules().warning ? "warn" : "bad";
  const SIGNS = { good: "✓", warn: "!", bad: "✗", unknown: "–" };
  const percent = (value) => value === null || value === undefined ? "unknown" : value === 1 ? "100%" : `${lakemesh.plain(Math.floor(value * 10000) / 100, 2, 1)}%`;

  catalog.share = (value) => el("span", { class: `verdict ${verdict(value)}`, text: `${SIGNS[verdict(value)]} ${percent(value)}` });

  const WIDTH = 720, HEIGHT = 26;
  const strip = (dates, values, chosen, choose) => {
    const step = WIDTH / Math.max(dates.length, 30);
    const svg = el("svg:svg", { class: "strip", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" });
    dates.forEach((date, number) => {
      const value = values[number];
      const height = value === null ? 3 : 5 + (HEIGHT - 6) * Math.max(0, Math.min(1, (value - 0.5) / 0.5));
      const bar = el("svg:rect", { class: `bar ${verdict(value)}${date === chosen ? " chosen" : ""}`, x: number * step, y: HEIGHT - height, width: Math.max(1, step - 1.5), height });
      bar.append(el("svg:title", { text: `${date}: ${percent(value)}` }));
      svg.append(bar, el("svg:rect", { class: "hit", x: number * step, y: 0, width: step, height: HEIGHT, onclick: () => choose(date) }));
    });
    return svg;
  };

  catalog.quality = (table, parameters) => {
    const { dates, parts, feeds, findings, finding_count, violations } = table.quality;
    const box = el("section", { class: "card quality" });
    const known = Object.keys(PARTS).filter((name) => parts[name]);
    const value = (name, number) => parts[name]?.[number] ?? null;
    const isJudged = (number) => known.some((name) => value(name, number) !== null);
    let chosen = dates.includes(parameters.date) ? parameters.date : [...dates].reverse().find((_, place) => isJudged(dates.length - 1 - place)) ?? dates.at(-1);
    const choose = (date) => {
      chosen = date;
      history.replaceState(null, "", link(["catalog", "table", table.name], { date }));
      draw();
    };
    const draw = () => {
      const at = dates.indexOf(chosen);
      const move = (by) => () => { const next = dates[at + by]; if (next) { choose(next); box.querySelector(by < 0 ? ".earlier" : ".later")?.focus(); } };
      const own = findings.filter((item) => item.date === chosen);
      box.replaceChildren(
        el("div", { class: "quality-head" }, el("h2", { text: "Quality" }),
          el("div", { class: "days" }, el("button", { type: "button", class: "plain earlier", "aria-label": "The day before", disabled: at <= 0, text: "‹", onclick: move(-1) }),
            el("span", { role: "status", text: lakemesh.day.full(lakemesh.day.parse(chosen)) }),
            el("button", { type: "button", class: "plain later", "aria-label": "The day after", disabled: at >= dates.length - 1, text: "›", onclick: move(1) }))),
        el("p", { class: "headline" }, el("strong", {}, catalog.share(value("score", at))), el("span", { class: "quiet", text: " weighted mean, least part " }), catalog.share(value("minimum", at))),
        el("table", { class: "parts" }, el("caption", { class: "sr-only", text: "Parts of the quality with their history" }),
          el("thead", { class: "sr-only" }, el("tr", {}, ["Part", "Share", "History"].map((text) => el("th", { scope: "col", text })))),
          el("tbody", {}, known.map((name) => el("tr", {},
            el("th", { scope: "row" }, name[0].toUpperCase() + name.slice(1), el("div", { class: "note", text: `${PARTS[name]}, weight ${lakemesh.plain(rules().weights[name] * 100, 1)}%` })),
            el("td", { class: "num" }, catalog.share(value(name, at))),
            el("td", { class: "history" }, strip(dates, parts[name], chosen, choose)))))),
        el("p", { class: "note", text: `From ${dates[0]} to ${dates.at(-1)}. Good from ${lakemesh.plain(rules().good * 100, 1)}%, a warning from ${lakemesh.plain(rules().warning * 100, 1)}%. ${feeds.length ? "Each part is the least of the feeds that the table is computed from; audits are its own." : ""}` }),
        feeds.length ? el("p", {}, "Computed from ", feeds.map((feed, number) => [number ? ", " : "", el("a", { href: link(["catalog", "table", feed], { date: chosen }), text: feed })]), ".") : table.contract ? counts(at) : "",
        own.length ? rejected(own) : "",
        table.contract ? constraints(table.contract.constraints ?? [], violations) : "",
        findings.length < finding_count ? el("p", { class: "note", text: `Of ${show(finding_count, catalog.COUNT)} findings by object, reason and column, the newest ${show(findings.length, catalog.COUNT)} are listed.` }) : "");
    };
    const counts = (at) => el("p", {}, `${show(value("records", at) ?? 0, catalog.COUNT)} records arrived, ${show(value("bad", at) ?? 0, catalog.COUNT)} of them quarantined or dropped. `,
      `${show(value("received", at) ?? 0, catalog.COUNT)} rows of that date${value("expected", at) === null ? chosen === lakemesh.release.published_at.slice(0, 10) ? "; the day was not over" : "; too few weeks to know what to expect" : `, ${show(value("expected", at), catalog.COUNT)} expected`}.`);
    const rejected = (own) => el("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": "Table, scrollable" }, el("table", {}, el("caption", { text: "Rejected records by object" }),
      el("thead", {}, el("tr", {}, [["Object"], ["Reason"], ["Column"], ["Records", "num"], ["First line", "num"]].map(([text, kind]) => el("th", { scope: "col", class: kind ?? null, text })))),
      el("tbody", {}, own.map((item) => el("tr", {},
        el("th", { scope: "row" }, el("code", { text: item.object }), el("div", { class: "note" }, el("code", { text: `lake why ${quoted(item.object)}` }))),
        el("td", { text: item.reason }), el("td", { text: item.column || "the record" }), el("td", { class: "num", text: show(item.records, catalog.COUNT) }), el("td", { class: "num", text: item.line ? show(item.line, catalog.COUNT) : "–" }))))));
    const IF_VIOLATED = { quarantine: "quarantined", warn: "loaded with a warning" };
    /** Every constraint of the contract, and those that it no longer has but records violate by an older version. */
    const constraints = (declared, violations) => {
      const rows = declared.map((item) => ({ column: item.column, expected: item.expected, name: item.name, policy: item.policy ?? "quarantine", records: 0 }));
      for (const item of violations) {
        const known = rows.find((row) => row.name === item.constraint && row.policy === item.policy);
        if (known) Object.assign(known, { records: item.records, last: item.last });
        else rows.push({ column: "–", expected: "by an older contract", name: item.constraint, policy: item.policy, records: item.records, last: item.last });
      }
      return !rows.length ? "" : el("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": "Table, scrollable" }, el("table", { class: "constraints" },
        el("caption", { text: "Constraints, and the records of this release that violate them" }),
        el("thead", {}, el("tr", {}, [["Constraint"], ["Column"], ["Expected"], ["If violated"], ["Records", "num"], ["Last", "num"]].map(([text, kind]) => el("th", { scope: "col", class: kind ?? null, text })))),
        el("tbody", {}, rows.map((row) => el("tr", {}, el("th", { scope: "row", text: row.name }), el("td", { text: row.column }), el("td", { text: row.expected }),
          el("td", { text: IF_VIOLATED[row.policy] }), el("td", { class: "num", text: show(row.records, catalog.COUNT) }),
          el("td", { class: "num", text: row.last ? lakemesh.day.full(lakemesh.day.parse(row.last)) : "–" }))))));
    };
    draw();
    return box;
  };
  const quoted = (name) => /^[\w./=:-]+$/.test(name) ? name : `'${name.replaceAll("'", "'\\''")}'`;
}
