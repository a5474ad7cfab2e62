// The page of a table or feed: facts, columns with profiles, quality, contract, audits, readers, SQL.
"use strict";
{
  const { el, link, show } = lakemesh;
  const catalog = lakemesh.catalog;
  const { COUNT } = catalog;
  const bytes = (size) => size < 1e3 ? `${size} B` : size < 1e6 ? `${(size / 1e3).toFixed(1)} kB` : size < 1e9 ? `${(size / 1e6).toFixed(1)} MB` : `${(size / 1e9).toFixed(2)} GB`;
  const seconds = (value) => value % 86400 === 0 ? `${value / 86400} days` : value % 3600 === 0 ? `${value / 3600} h` : `${show(value, COUNT)} s`;
  const moment = (text) => lakemesh.day.moment(/Z|[+]/.test(text.slice(10)) ? text : `${text}Z`);

  catalog.result = (last) => el("span", { class: last.rows ? "verdict bad" : "verdict good" },
    last.rows ? `✗ ${show(last.rows, COUNT)} rows` : "✓ passed", el("span", { class: "quiet", text: `, ${moment(last.at)}${last.scope ? `, ${last.scope}` : ""}` }));

  const classBadge = (column) => column.class && column.class !== "none"
    ? el("span", { class: `badge class-${column.class}`, title: (column.subjects ?? []).length ? `about: ${column.subjects.join(", ")}` : null, text: column.class }) : null;

  /** A value as it is, but numbers without digits that nobody reads. */
  const value = (text) => {
    const shown = text === "" ? "(empty)" : /^-?\d+\.\d+$/.test(text) ? lakemesh.plain(Number(text), 4) : /^-?\d{4,15}$/.test(text) ? lakemesh.plain(Number(text), 0) : text;
    return el("span", { class: "value", text: shown });
  };

  const profile = (column, total) => {
    const found = column.profile;
    if (!found) return [el("td", { class: "num", text: "–" }), el("td", { class: "num", text: "–" }), el("td", { text: column.required ? "required" : "" })];
    const share = total ? found.nulls / total : 0;
    const hidden = column.class && column.class !== "none" && !found.top?.length;
    let values = hidden ? el("span", { class: "quiet", text: "not shown: personal" }) : null;
    if (!hidden && found.top?.length && found.distinct <= 60) {
      const most = found.top[0][1];
      values = el("ul", { class: "values" }, found.top.map(([text, rows]) => el("li", {},
        el("svg:svg", { width: 22, height: 10, "aria-hidden": "true" }, el("svg:rect", { class: "value-bar", x: 0, y: 1, height: 8, width: Math.max(1, 22 * rows / most), rx: 1 })),
        value(text), el("span", { class: "quiet", text: ` ${lakemesh.plain(100 * rows / (total || 1), 1)}%` }))));
    } else if (!hidden && found.low != null) {
      values = el("span", {}, value(found.low), found.low === found.high ? "" : [" to ", value(found.high)]);
    }
    return [
      el("td", { class: "num" }, found.nulls ? `${lakemesh.plain(share * 100, share < 0.001 ? 3 : 1)}%` : "0"),
      el("td", { class: "num", text: `${found.distinct > 10000 ? "~" : ""}${show(found.distinct, COUNT)}` }),
      el("td", {}, values),
    ];
  };

  const columns = (table) => {
    const total = table.figures?.profiled_rows || table.figures?.rows || 0;
    const keys = new Set(table.grain ?? []);
    const references = new Map((table.references ?? []).map((text) => text.split(" → ")));
    const isProfiled = table.columns.some((column) => column.profile);
    return el("section", { class: "card" }, el("h2", { text: `Columns (${table.columns.length})` }),
      isProfiled && table.figures.profiled_rows < table.figures.rows ? el("p", { class: "note", text: `Profile of the newest ${show(table.figures.profiled_rows, COUNT)} rows.` }) : null,
      el("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": "Table, scrollable" }, el("table", { class: "columns" }, el("caption", { class: "sr-only", text: "Columns" }),
        el("thead", {}, el("tr", {}, ["Column", "Type", "Meaning"].map((text) => el("th", { scope: "col", text })),
          isProfiled ? [el("th", { scope: "col", class: "num", text: "NULL" }), el("th", { scope: "col", class: "num", text: "Distinct" }), el("th", { scope: "col", text: "Values" })] : null)),
        el("tbody", {}, table.columns.map((column) => el("tr", { id: `column-${column.name}` },
          el("th", { scope: "row" }, el("a", { href: catalog.columnLink(`${table.name}.${column.name}`), title: "Lineage", text: column.name }),
            keys.has(column.name) ? el("span", { class: "badge key", title: "identifies a row, with the other keys", text: "key" }) : null, classBadge(column)),
          el("td", { class: "type", text: column.type }),
          el("td", {}, column.description || el("span", { class: "quiet", text: "no comment" }),
            column.required ? el("span", { class: "quiet", text: " Required." }) : null,
            references.has(column.name) ? el("span", {}, " → ", el("a", { href: catalog.columnLink(references.get(column.name)), text: references.get(column.name) })) : null),
          isProfiled ? profile(column, total) : null))))));
  };

  const audits = (table) => !(table.audits ?? []).length ? null : el("section", { class: "card" }, el("h2", { text: `Audits (${table.audits.length})` }),
    el("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": "Table, scrollable" }, el("table", {}, el("caption", { class: "sr-only", text: "Audits" }),
      el("thead", {}, el("tr", {}, ["Audit", "What must hold", "If not", "Last result"].map((text) => el("th", { scope: "col", text })))),
      el("tbody", {}, table.audits.map((audit) => el("tr", {},
        el("th", { scope: "row" }, audit.reads?.length ? el("a", { href: catalog.linkOf("audit", audit.name), text: audit.name }) : audit.name,
          audit.arguments ? el("div", { class: "arguments", text: audit.arguments }) : null),
        el("td", { text: audit.description ?? "" }), el("td", { text: audit.blocking === false ? "a warning" : "no release" }),
        el("td", {}, audit.last ? catalog.result(audit.last) : "–")))))));

  const readers = (table) => {
    const groups = new Map();
    for (const [kind, name] of table.readers) {
      const group = kind === "metric" ? "Metrics" : kind === "tile" ? "Dashboards" : "Tables";
      if (!groups.has(group)) groups.set(group, []);
      groups.get(group).push(el("a", { href: catalog.linkOf(kind, name), text: name }));
    }
    return el("section", { class: "card" }, el("h2", { text: "Reads, and is read by" }), catalog.facts([
      ["Reads", (table.reads ?? []).length ? catalog.listed(table.reads.map((name) => el("a", { href: catalog.tableLink(name), text: name }))) : table.contract ? `objects in ${table.contract.source}` : "nothing"],
      ...[...groups].map(([group, items]) => [`Read by ${group.toLowerCase()}`, catalog.listed(items)]),
      groups.size ? ["", ""] : ["Read by", "nothing in the project"],
    ]));
  };

  const contract = (found) => el("section", { class: "card" }, el("h2", { text: "Contract" }), catalog.facts([
    ["Version", String(found.version)], ["Kind", { event: "event: immutable facts", entity: "entity: versions of a key, the latest counts", change: "change: what a database did to the rows of a table, in the order of its log" }[found.kind] ?? found.kind],
    ["Objects", el("code", { text: found.source })], ["Format", found.format === "auto" ? "recognised by content: JSON, CSV, Parquet" : found.format],
    ["Key", found.key.join(", ")], ["Event time", found.event_time], ["Latest by", (found.latest_by ?? []).join(", ")],
    ["Freshness", `the newest object is at most ${seconds(found.freshness_seconds)} old`], ["Completeness", found.completeness],
    ["Unknown fields", { rescue: "kept in _rescued_data", evolve: "kept in _rescued_data, and proposed for the contract", freeze: "the record is quarantined" }[found.unknown_fields ?? "rescue"]],
    ["Overwritten objects", (found.overwritten ?? "replace") === "replace" ? "the new content replaces the old" : "refused until an operator decides"],
    ["Quarantine", `an ingest fails above ${lakemesh.plain(100 * (found.max_quarantined_share ?? 0.05), 2)}% rejected records`],
    ["References", (found.references ?? []).join(", ")], ["Loaded objects", found.retirement || "are kept"],
  ]));

  catalog.table = async (element, name, parameters) => {
    const opened = await catalog.open();
    const number = opened.entryOf.get(`table:${name}`);
    if (number === undefined) throw new Error(`There is no table ${name} in this release`);
    const entry = opened.index.entries[number];
    const table = (await lakemesh.file(opened.index.files[entry[6]]))[name];
    const layer = name.split(".")[0];
    const figures = table.figures;
    element.append(catalog.crumbs(name), el("div", { class: "heading" },
      el("div", {}, el("h1", {}, name, " ", catalog.badge(table.kind)), el("p", { text: table.description })),
      el("div", { class: "ways" }, opened.index.pictures.includes(`${layer}/${table.domain}`) ? el("a", { class: "button", href: link(["catalog", "star", layer, table.domain]), text: "Picture" }) : null)));
    element.append(el("div", { class: "stack" },
      el("section", { class: "card" }, catalog.facts([
        ["Owner", table.owner], ["Domain", table.domain], ["Identified by", (table.grain ?? []).join(", ")],
        ["Kept up to date", table.materialization ? [table.materialization.toLowerCase().replaceAll("_", " "), table.schedule ? ` on ${table.schedule}` : ""] : ""],
        ["Rows", figures ? show(figures.rows, COUNT) : ""], ["Dates", figures?.first ? `${lakemesh.day.full(lakemesh.day.parse(figures.first))} to ${lakemesh.day.full(lakemesh.day.parse(figures.last))}` : ""],
        ["Files", figures?.files ? `${show(figures.files, COUNT)}, ${bytes(figures.bytes ?? 0)}; last written for release ${figures.changed_in}` : ""],
        ["In releases", table.released ? "yes" : table.kind === "feed" ? "no, bronze is not published" : "no"],
        ["Tags", (table.tags ?? []).join(", ")], ["Defined in", table.file ? el("code", { text: table.file }) : ""],
      ])),
      table.quality ? catalog.quality(table, parameters) : null,
      table.contract ? contract(table.contract) : null,
      columns(table), audits(table), readers(table),
      table.sql ? el("section", { class: "card" }, el("h2", { text: "SQL" }), catalog.sql(table.sql)) : null));
  };
}
