// The catalog: search over everything a release is made of, tables, lineage, stars, glossary. #/catalog/…
"use strict";
{
  const { el, link, show } = lakemesh;
  const COUNT = { format: "integer" };
  const LABELS = { feed: "Feed", table: "Table", view: "View", seed: "Seed", source: "Source", metric: "Metric",
    dashboard: "Dashboard", tile: "Tile", audit: "Audit", term: "Term", column: "Column" };
  const FILTERS = [["", "All"], ["tables", "Tables"], ["column", "Columns"], ["metric", "Metrics"], ["shown", "Dashboards"],
    ["audit", "Audits"], ["term", "Terms"]];
  const GROUPS = { tables: ["feed", "table", "view", "seed", "source"], shown: ["dashboard", "tile"] };
  const LAYERS = ["gold", "silver", "bronze", "seeds", "ops", "operations"];
  const MEANINGS = { gold: "what releases publish", silver: "typed, deduplicated, conformed", bronze: "feeds as they arrive, by contract",
    seeds: "files of the project", ops: "the pipeline's own measurements", operations: "records that the pipeline keeps" };

  let opened = null;
  /** The index with what search and views need; made once. */
  const open = async () => {
    if (opened) return opened;
    const index = await lakemesh.file("catalog");
    const search = lakemesh.catalog.searcher(index);
    const entryOf = new Map(index.entries.map((entry, number) => [`${entry[0] < 5 ? "table" : index.kinds[entry[0]]}:${entry[1]}`, number]));
    opened = { index, search, entryOf, texts: null };
    const later = globalThis.requestIdleCallback ?? ((task) => setTimeout(task, 200));
    opened.more = new Promise((done) => later(async () => {
      try {
        opened.texts = await lakemesh.file("catalog-texts");
        await search.addTexts(opened.texts);
      } catch { /* search works without comments */ }
      done();
    }));
    return opened;
  };

  const kindOf = (catalog, entry) => catalog.index.kinds[catalog.index.entries[entry][0]];
  const tableLink = (name) => link(["catalog", "table", name]);
  const columnLink = (name) => link(["catalog", "lineage", name]);
  const linkOf = (kind, name) => ({
    metric: () => link(["catalog", "metric", name]), dashboard: () => link(["catalog", "dashboard", name]),
    tile: () => link(["catalog", "dashboard", name.split("/")[0]]), audit: () => link(["catalog", "audit", name]),
    term: () => link(["catalog", "glossary"], { term: name }),
  }[kind] ?? (() => tableLink(name)))();

  const badge = (kind) => el("span", { class: `badge kind-${kind}`, text: LABELS[kind] ?? kind });

  /** Where the reader is, and the ways to the other parts of the catalog. */
  const crumbs = (here, ...between) => el("nav", { class: "crumbs", "aria-label": "Catalog" },
    el("a", { href: link(["catalog"]), text: "Catalog" }), ...between.flatMap((item) => [" / ", item]), here ? [" / ", el("span", { "aria-current": "page", text: here })] : null);

  // ---- search --------------------------------------------------------------------------------------------------
  /** A text in which the words that were meant are marked. */
  const marked = (text, meant) => {
    const parts = [];
    let at = 0;
    for (const found of text.matchAll(/[\p{L}\p{N}]+/gu)) {
      if (!meant.has(found[0].toLowerCase())) continue;
      parts.push(text.slice(at, found.index), el("mark", { text: found[0] }));
      at = found.index + found[0].length;
    }
    parts.push(text.slice(at));
    return parts;
  };

  const result = (catalog, item, meant) => {
    const [, name, others, , , text] = catalog.index.entries[item.entry];
    if (item.column >= 0) {
      const column = catalog.search.columnName(item.column);
      const comment = catalog.texts ? catalog.texts.texts[catalog.texts.of[item.column]] : "";
      return el("a", { class: "result", href: columnLink(`${name}.${column}`) }, badge("column"),
        el("span", { class: "result-name" }, marked(column, meant), el("span", { class: "quiet" }, " in ", marked(name, meant))),
        el("span", { class: "result-text" }, marked(comment, meant)));
    }
    const kind = kindOf(catalog, item.entry);
    const title = kind === "tile" ? others : name;
    const beside = kind === "tile" ? ` in ${name.split("/")[0]}` : others.split("\n")[0];
    return el("a", { class: "result", href: linkOf(kind, name) }, badge(kind),
      el("span", { class: "result-name" }, marked(title, meant), beside ? el("span", { class: "quiet" }, ` ${beside}`) : null),
      el("span", { class: "result-text" }, marked(text, meant)));
  };

  const searchBox = (catalog, parameters, list, below) => {
    const state = { query: parameters.q ?? "", kind: parameters.kind ?? "", shown: 30 };
    const count = el("p", { class: "note", role: "status", "aria-live": "polite" });
    const results = el("div", { class: "results" });
    const accepts = (item) => {
      if (!state.kind) return true;
      const kind = item.column >= 0 ? "column" : kindOf(catalog, item.entry);
      return (GROUPS[state.kind] ?? [state.kind]).includes(kind);
    };
    const refresh = () => {
      const began = performance.now();
      const found = catalog.search(state.query, state.shown, accepts);
      results.replaceChildren(...found.map((item) => result(catalog, item, catalog.search.meant)));
      const total = state.query.trim() ? catalog.search.total ?? 0 : 0;
      if (found.length < total) {
        results.append(el("button", { type: "button", class: "button", text: "Show more", onclick: () => { state.shown += 100; refresh(); } }));
      }
      const isAsked = state.query.trim().length > 0;
      below.hidden = isAsked;
      chips.hidden = !isAsked;
      count.textContent = !isAsked ? "" : total ? `${show(total, COUNT)} found` : "Nothing is called or described like that. Try fewer or other words.";
      lakemesh.catalog.searchMilliseconds = performance.now() - began;
    };
    const keep = () => history.replaceState(null, "", link(["catalog"], { q: state.query, kind: state.kind }));
    const chips = el("div", { class: "chips", role: "group", "aria-label": "Kinds" }, FILTERS.map(([kind, label]) => el("button", {
      type: "button", "aria-pressed": String(state.kind === kind), text: label,
      onclick: (event) => {
        state.kind = kind;
        for (const other of chips.children) other.setAttribute("aria-pressed", String(other === event.currentTarget));
        refresh();
        keep();
      },
    })));
    const input = el("input", {
      type: "search", id: "catalog-search", class: "search", value: state.query, autocomplete: "off", spellcheck: "false",
      placeholder: "Table, column, metric, dashboard, word …", "aria-label": "Search the catalog",
      oninput: () => { state.query = input.value; state.shown = 30; refresh(); keep(); },
      onkeydown: (event) => {
        if (event.key === "ArrowDown") { results.querySelector("a")?.focus(); event.preventDefault(); }
        if (event.key === "Enter") results.querySelector("a")?.click();
        if (event.key === "Escape" && input.value) { input.value = ""; input.dispatchEvent(new Event("input")); event.preventDefault(); }
      },
    });
    results.addEventListener("keydown", (event) => {
      const links = [...results.querySelectorAll("a")];
      const at = links.indexOf(document.activeElement);
      if (event.key === "ArrowDown" && at >= 0) { links[Math.min(at + 1, links.length - 1)].focus(); event.preventDefault(); }
      if (event.key === "ArrowUp" && at >= 0) { (at ? links[at - 1] : input).focus(); event.preventDefault(); }
    });
    refresh();
    catalog.more.then(() => { if (document.contains(input) && state.query.trim()) refresh(); });
    list.append(el("div", { class: "search-line" }, input), chips, count, results);
    return input;
  };

  // ---- overview ------------------------------------------------------------------------------------------------
  const tableRow = (entry) => {
    const [, name, , , , text, , columns, rows, last, quality] = entry;
    return el("tr", {},
      el("th", { scope: "row" }, el("a", { href: tableLink(name), text: name.split(".")[1] })),
      el("td", { class: "wide-only", text }),
      el("td", { class: "num", text: String(columns.length) }),
      el("td", { class: "num", text: rows < 0 ? "–" : show(rows, COUNT) }),
      el("td", { class: "num wide-only", text: last || "–" }),
      el("td", { class: "num" }, quality ? lakemesh.catalog.share(quality[0]) : el("span", { class: "quiet", text: "–" })));
  };

  const overview = (catalog) => {
    const { index } = catalog;
    const found = el("div", { class: "stack" });
    const groups = new Map();
    for (const entry of index.entries) {
      if (entry[0] >= 5) continue;
      const key = `${entry[1].split(".")[0]}\n${index.domains[entry[4]]}`;
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(entry);
    }
    const order = (key) => { const layer = LAYERS.indexOf(key.split("\n")[0]); return `${layer < 0 ? 99 : layer}`.padStart(2, "0") + key; };
    const many = index.entries.filter((entry) => entry[0] < 5).length > 200;
    for (const [key, members] of [...groups].sort((one, other) => order(one[0]) < order(other[0]) ? -1 : 1)) {
      const [layer, domain] = key.split("\n");
      const heading = domain && domain !== layer ? `${layer}, ${domain}` : layer;
      const box = el("details", { class: "card group", open: !many && layer !== "operations" },
        el("summary", {}, el("h2", { text: heading }), el("span", { class: "quiet", text: ` ${members.length} · ${lakemesh.own(MEANINGS, layer) ?? ""}` })));
      const fill = () => {
        if (box.querySelector("table")) return;
        box.append(el("div", { class: "scroll-x", tabindex: "0", role: "region", "aria-label": "Table, scrollable" }, el("table", {}, el("caption", { class: "sr-only", text: heading }),
          el("thead", {}, el("tr", {}, el("th", { scope: "col", text: "Name" }), el("th", { scope: "col", class: "wide-only", text: "One row" }), el("th", { scope: "col", class: "num", text: "Columns" }),
            el("th", { scope: "col", class: "num", text: "Rows" }), el("th", { scope: "col", class: "num wide-only", text: "Latest date" }), el("th", { scope: "col", class: "num", text: "Quality" }))),
          el("tbody", {}, members.map(tableRow)))));
      };
      if (box.open) fill(); else box.addEventListener("toggle", fill);
      found.append(box);
    }
    return found;
  };

  const home = async (element, parameters) => {
    const catalog = await open();
    const counts = [["tables", catalog.index.entries.filter((entry) => entry[0] < 5).length], ["columns", catalog.search.columns],
      ["metrics", catalog.index.entries.filter((entry) => catalog.index.kinds[entry[0]] === "metric").length]];
    element.append(el("div", { class: "heading" },
      el("div", {}, el("h1", { text: "Catalog" }), el("p", { text: `What release ${catalog.index.release} is made of: ${counts.map(([name, number]) => `${show(number, COUNT)} ${name}`).join(", ")}.` })),
      el("div", { class: "ways" }, el("a", { class: "button", href: link(["catalog", "star"]), text: "Picture of tables" }), el("a", { class: "button", href: link(["catalog", "glossary"]), text: "Glossary" }))));
    const list = el("section", { "aria-label": "Search" });
    const below = overview(catalog);
    element.append(list, below);
    const input = searchBox(catalog, parameters, list, below);
    element.addEventListener("shown", () => { if (parameters.q) input.focus({ preventScroll: true }); });
  };

  document.addEventListener("keydown", (event) => {
    if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || /^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement?.tagName ?? "")) return;
    const input = document.getElementById("catalog-search");
    if (input) { input.focus(); input.select(); event.preventDefault(); }
  });

  // ---- glossary, metrics, dashboards, audits -------------------------------------------------------------------
  const glossary = async (element, parameters) => {
    const { index } = await open();
    const terms = index.entries.filter((entry) => index.kinds[entry[0]] === "term");
    element.append(crumbs("Glossary"), el("h1", { text: "Glossary" }),
      el("dl", { class: "card terms" }, terms.map((entry) => el("div", { class: entry[1] === parameters.term ? "term here" : "term", id: `term-${entry[1]}` },
        el("dt", { text: entry[1] }), el("dd", { text: entry[5] })))));
    element.addEventListener("shown", () => element.querySelector(".here")?.scrollIntoView({ block: "center" }));
  };

  const facts = (pairs) => el("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "" && value !== false)
    .map(([name, value]) => [el("dt", { text: name }), el("dd", {}, value)]));

  const referenceLink = (name) => {
    if (name.startsWith("metric:")) return el("a", { href: link(["catalog", "metric", name.slice(7)]), text: name.slice(7) });
    if (name.startsWith("tile:")) return el("a", { href: link(["catalog", "dashboard", name.slice(5).split("/")[0]]), text: name.slice(5) });
    if (name.startsWith("source:")) return el("a", { href: columnLink(name), text: name.slice(7) });
    return el("a", { href: columnLink(name), text: name });
  };
  const listed = (items) => el("ul", { class: "plain-list" }, items.map((item) => el("li", {}, item)));

  const metric = async (element, name) => {
    const { metrics } = await lakemesh.file("catalog-exposures");
    const found = lakemesh.own(metrics, name);
    if (!found) throw new Error(`There is no metric ${name}`);
    const pages = lakemesh.release.files.definitions ? el("a", { class: "button", href: link(["metrics", name]), text: "See its values" }) : null;
    element.append(crumbs(name), el("div", { class: "heading" }, el("div", {}, el("h1", {}, found.label, " ", badge("metric")), el("p", { text: found.description })),
      el("div", { class: "ways" }, pages, el("a", { class: "button", href: columnLink(`metric:${name}`), text: "Lineage" }))),
    el("section", { class: "card" }, facts([
      ["Name", el("code", { text: name })], ["Owner", found.owner], ["Measure", found.measure], ["Unit", `${found.unit}, ${found.format}`],
      ["Table", el("a", { href: tableLink(found.table), text: found.table })],
      ["Good direction", found.direction === "up" ? "up" : found.direction === "down" ? "down" : "neither"],
      ["Periods", (found.grains ?? []).join(", ")],
      ["Dimensions", Object.entries(found.dimensions ?? {}).map(([column, label]) => `${label} (${column})`).join(", ")],
      ["Also called", (found.synonyms ?? []).join(", ")],
      ["Computed from", found.upstream?.length ? listed(found.upstream.map(referenceLink)) : null],
    ])));
  };

  const dashboard = async (element, name) => {
    const { dashboards } = await lakemesh.file("catalog-exposures");
    const found = lakemesh.own(dashboards, name);
    if (!found) throw new Error(`There is no dashboard ${name}`);
    const isPage = lakemesh.release.pages.some((page) => page.name === name);
    element.append(crumbs(found.title), el("div", { class: "heading" }, el("div", {}, el("h1", {}, found.title, " ", badge("dashboard")), el("p", { text: found.question ?? "" })),
      isPage ? el("div", { class: "ways" }, el("a", { class: "button", href: link([name]), text: "Open the page" })) : null),
    el("section", { class: "card scroll-x", tabindex: "0", role: "region", "aria-label": "Table, scrollable" }, el("table", {}, el("caption", { class: "sr-only", text: "Tiles" }),
      el("thead", {}, el("tr", {}, ["Tile", "Kind", "Question", "Shows"].map((text) => el("th", { scope: "col", text })))),
      el("tbody", {}, (found.tiles ?? []).map((tile) => el("tr", {}, el("th", { scope: "row" }, el("a", { href: columnLink(`tile:${name}/${tile.id}`), text: tile.title || tile.id })),
        el("td", { text: tile.kind }), el("td", { text: tile.question ?? "" }), el("td", {}, (tile.upstream ?? []).length ? listed(tile.upstream.map(referenceLink)) : "–")))))));
  };

  const audit = async (element, name) => {
    const { audits } = await lakemesh.file("catalog-exposures");
    const found = lakemesh.own(audits, name);
    if (!found) throw new Error(`There is no audit ${name}`);
    element.append(crumbs(name), el("div", { class: "heading" }, el("div", {}, el("h1", {}, name, " ", badge("audit")), el("p", { text: found.description ?? "" }))),
      el("section", { class: "card" }, facts([
        ["Owner", found.owner], ["If it finds rows", found.blocking === false ? "a warning" : "no release"],
        ["Last result", found.last ? lakemesh.catalog.result(found.last) : "not run yet"],
        ["Reads", listed((found.reads ?? []).map((table) => el("a", { href: tableLink(table), text: table })))],
      ])));
  };

  const VIEWS = {
    table: (element, rest, parameters) => lakemesh.catalog.table(element, rest[0], parameters),
    lineage: (element, rest, parameters) => lakemesh.catalog.lineage(element, rest.join("/"), parameters),
    star: (element, rest, parameters) => lakemesh.catalog.star(element, rest, parameters),
    glossary: (element, rest, parameters) => glossary(element, parameters),
    metric: (element, rest) => metric(element, rest[0]),
    dashboard: (element, rest) => dashboard(element, rest[0]),
    audit: (element, rest) => audit(element, rest[0]),
  };

  Object.assign(lakemesh.catalog, { open, badge, crumbs, facts, listed, tableLink, columnLink, linkOf, referenceLink, COUNT, LABELS });
  lakemesh.route("catalog", async (element, path, parameters) => {
    const view = lakemesh.own(VIEWS, path[0]);
    if (path.length && !view) throw new Error(`The catalog has no part ${path[0]}`);
    await (view ? view(element, path.slice(1), parameters) : home(element, parameters));
  }, { label: "Catalog", order: 80, isShown: () => Boolean(lakemesh.release.files.catalog) });
}
