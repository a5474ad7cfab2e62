// Definitions: what each number means, from which table it is computed, and where it is shown.
"use strict";
{
  const { el, link } = lakemesh;
  const GOOD = { up: "more is better", down: "less is better", none: "neither is better" };
  const SUMS = {
    sum: "Summed over any period and dimension.",
    count: "Counted over any period and dimension.",
    last: "Summed over dimensions; a longer period has the value of its last date.",
    stored: "Stored per period: it is summed neither over periods nor over dimensions.",
    ratio: "Divided after both parts are summed, never a mean of ratios.",
  };

  const list = (main, definitions) => {
    const names = Object.keys(definitions).sort((a, b) => definitions[a].label.localeCompare(definitions[b].label));
    const found = el("div", { class: "stack" });
    const fill = (text) => {
      const words = text.toLowerCase().split(/\s+/).filter(Boolean);
      const fits = names.filter((name) => {
        const item = definitions[name];
        const all = [name, item.label, item.description, ...item.synonyms].join(" ").toLowerCase();
        return words.every((word) => all.includes(word));
      });
      const domains = [...new Set(fits.map((name) => definitions[name].domain))].sort();
      found.replaceChildren(
        ...domains.map((domain) =>
          el(
            "section",
            { class: "card", "aria-label": domain },
            el("h2", { text: domain[0].toUpperCase() + domain.slice(1) }),
            el(
              "div",
              { class: "list" },
              fits
                .filter((name) => definitions[name].domain === domain)
                .map((name) => el("a", { href: link(["metrics", name]), text: definitions[name].label })),
            ),
          ),
        ),
        ...(fits.length ? [] : [el("p", { class: "empty", text: "No metric has these words." })]),
      );
    };
    main.append(
      el(
        "div",
        { class: "heading" },
        el(
          "div",
          {},
          el("h1", { text: "Metrics" }),
          el("p", { text: `${names.length} definitions, the same for every page, report and query.` }),
        ),
        el("label", { class: "field" }, "Search", el("input", { type: "search", oninput: (event) => fill(event.target.value) })),
      ),
      found,
    );
    fill("");
  };

  const one = (main, definitions, name) => {
    const item = lakemesh.own(definitions, name);
    if (!item) throw new Error(`There is no metric ${name}`);
    const metric = (other) => el("a", { href: link(["metrics", other]), text: definitions[other]?.label ?? other });
    const fact = (label, ...value) => [el("dt", { text: label }), el("dd", {}, ...value)];
    const table = lakemesh.own(lakemesh.release.files, "catalog")
      ? el("a", { href: link(["catalog", "table", item.table]), text: item.table })
      : el("code", { text: item.table });
    main.append(
      el(
        "div",
        { class: "heading" },
        el(
          "div",
          {},
          el("p", {}, el("a", { href: link(["metrics"]), text: "Metrics" })),
          el("h1", { text: item.label }),
          el("p", { text: item.description }),
        ),
      ),
      el(
        "div",
        { class: "stack" },
        el(
          "section",
          { class: "card", "aria-label": "Definition" },
          el(
            "dl",
            { class: "facts" },
            fact("Name", el("code", { text: name })),
            item.ratio
              ? fact("Formula", metric(item.ratio[0]), " ÷ ", metric(item.ratio[1]))
              : fact("Formula", el("code", { text: item.formula })),
            fact("Sums", SUMS[item.kind]),
            item.where ? fact("Only where", el("code", { text: item.where })) : [],
            fact("Table", table, ", by ", el("code", { text: item.time })),
            fact("Periods", item.grains.join(", ")),
            fact("Dimensions", Object.values(item.dimensions).join(", ") || "none"),
            item.not_over.length
              ? fact("Never summed over", item.not_over.map((column) => item.dimensions[column]).join(", "))
              : [],
            fact("Unit", item.unit),
            fact("Direction", GOOD[item.direction]),
            fact("Owner", item.owner),
            item.synonyms.length ? fact("Also called", item.synonyms.join(", ")) : [],
          ),
        ),
        item.tiles.length
          ? el(
              "section",
              { class: "card", "aria-label": "Shown on" },
              el("h2", { text: "Shown on" }),
              el(
                "ul",
                {},
                item.tiles.map(([page, title, tile]) => el("li", {}, el("a", { href: link([page]), text: title }), `: ${tile}`)),
              ),
            )
          : null,
        el(
          "section",
          { class: "card", "aria-label": "Query" },
          el("h2", { text: "On the command line" }),
          el("pre", { text: `lake metrics query ${name} --by ${item.grains.includes("month") ? "month" : item.grains[0]}` }),
        ),
      ),
    );
  };

  const render = async (main, path) => {
    const definitions = await lakemesh.file("definitions");
    if (path.length) one(main, definitions, path[0]);
    else list(main, definitions);
  };
  lakemesh.route("metrics", render, { label: "Metrics", order: 80, isShown: () => Boolean(lakemesh.release.files.definitions) });
}
