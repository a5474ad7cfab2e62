// The view of a dashboard: its controls, whose state stands in the address, and its tiles.
"use strict";
{
  const { el, cubes, day, go, own } = lakemesh;
  const COMPARISONS = { previous: "Previous period", year: "Year before", none: "No comparison" };
  const opened = new Map();

  const open = async (entry) => {
    if (!opened.has(entry.file)) opened.set(entry.file, new lakemesh.Data(await lakemesh.data(entry.file, `page/${entry.name}`)));
    return opened.get(entry.file);
  };

  /** Load the older years of which numbers were read; returns whether the page has to read again. */
  const complete = async (entry, data) => {
    if (data.wanted >= data.since) return false;
    const year = Number(day.iso(data.wanted).slice(0, 4));
    const lacking = Object.keys(entry.years).filter((item) => Number(item) >= year && !data.years.has(item));
    const found = await Promise.all(lacking.map((item) => lakemesh.data(entry.years[item], `page/${entry.name}/${item}`)));
    lacking.forEach((item, place) => {
      data.years.add(item);
      data.add(found[place].cubes);
    });
    data.since = cubes.start(data.wanted, "year");
    return lacking.length > 0 || Object.keys(entry.years).some((item) => !data.years.has(item));
  };

  const isDate = (text) => /^\d{4}-\d{2}-\d{2}$/.test(text ?? "") && !Number.isNaN(Date.parse(text));

  /** The state of a page from its address; whatever cannot be read is the default. */
  const stateOf = (entry, data, parameters) => {
    const ends = [entry.to, data.page.until === "newest" ? null : lakemesh.release.complete_to].filter(Boolean).sort()[0];
    const newest = ends ? day.parse(ends) : Math.floor(Date.now() / 86400000);
    const isCustom = isDate(parameters.from) && isDate(parameters.to) && parameters.from <= parameters.to;
    const period = isCustom ? "custom" : own(cubes.PERIODS, parameters.period) ? parameters.period : data.page.period;
    const by = data.page.filters.some((item) => item.column === parameters.by) ? parameters.by : null;
    const is = parameters.unknown === "1" ? cubes.NULL : parameters.is !== undefined ? cubes.key(parameters.is) : null;
    return {
      period,
      from: isCustom ? day.parse(parameters.from) : null,
      to: isCustom ? day.parse(parameters.to) : newest,
      newest,
      compare: own(COMPARISONS, parameters.compare) ? parameters.compare : "previous",
      by: by && is !== null ? by : null,
      is,
      asked: by,
    };
  };

  const field = (label, control) => el("label", { class: "field" }, label, control);
  const options = (list, chosen) =>
    list.map(([value, label]) => el("option", { value, selected: value === chosen, text: label }));

  const controls = (entry, data, state, parameters) => {
    const change = (changes, focus) => {
      lakemesh.focused = focus;
      go([entry.name], { ...parameters, ...changes });
    };
    const bar = el("div", { class: "controls", role: "group", "aria-label": "Period, comparison and filter" });
    const period = el(
      "select",
      {
        id: "period",
        onchange: (event) =>
          event.target.value === "custom"
            ? change({ period: null, from: day.iso(cubes.add(state.to, "day", -27)), to: day.iso(state.to) }, "from")
            : change({ period: event.target.value, from: null, to: null }, "period"),
      },
      options(
        [...Object.entries(cubes.PERIODS).map(([value, item]) => [value, item.label]), ["custom", "From – to"]],
        state.period,
      ),
    );
    bar.append(field("Period", period));
    if (state.period === "custom") {
      const date = (name) =>
        el("input", {
          type: "date",
          id: name,
          value: parameters[name],
          onchange: (event) => {
            const next = { ...parameters, [name]: event.target.value };
            if (isDate(next.from) && isDate(next.to) && next.from <= next.to) change({ [name]: event.target.value }, name);
          },
        });
      bar.append(el("div", { class: "controls pair" }, field("From", date("from")), field("To", date("to"))));
    }
    bar.append(
      field(
        "Compare with",
        el(
          "select",
          { id: "compare", onchange: (event) => change({ compare: event.target.value }, "compare") },
          options(Object.entries(COMPARISONS), state.compare),
        ),
      ),
    );
    if (data.page.filters.length) {
      bar.append(
        field(
          "Filter by",
          el(
            "select",
            {
              id: "by",
              onchange: (event) =>
                change({ by: event.target.value || null, is: null, unknown: null }, event.target.value ? "is" : "by"),
            },
            options([["", "Everything"], ...data.page.filters.map((item) => [item.column, item.label])], state.asked ?? ""),
          ),
        ),
      );
    }
    if (state.asked) {
      const keys = data.page.filters.find((item) => item.column === state.asked).values.map(cubes.key);
      const list = [...lakemesh.labels.namesOf({ by: state.asked }, keys)];
      bar.append(
        field(
          data.dimensionLabel(state.asked),
          el(
            "select",
            {
              id: "is",
              onchange: (event) => {
                const chosen = event.target.value;
                change(
                  chosen === cubes.NULL ? { unknown: "1", is: null } : { is: chosen ? chosen.slice(1) : null, unknown: null },
                  "is",
                );
              },
            },
            options([["", "Choose …"], ...list], state.is ?? ""),
          ),
        ),
      );
    }
    return bar;
  };

  const render = async (main, [name], parameters) => {
    const entry = lakemesh.release.pages.find((item) => item.name === name);
    const data = await open(entry);
    const state = stateOf(entry, data, parameters);
    let grid;
    do {
      data.wanted = Infinity;
      grid = el(
        "div",
        { class: "grid" },
        data.page.tiles.map((item) => lakemesh.tile(item, data, state)),
      );
    } while (await complete(entry, data));
    const title = el("h1", { text: data.page.title });
    main.append(
      el(
        "div",
        { class: "heading" },
        el(
          "div",
          {},
          title,
          el("p", { text: data.page.question }),
          el("p", { class: "note", text: `Owner: ${data.page.owner}` }),
        ),
        data.page.tiles.some((item) => item.metrics.length) ? controls(entry, data, state, parameters) : null,
      ),
    );
    main.append(grid);
    main.addEventListener("shown", () => {
      if (lakemesh.focused) document.getElementById(lakemesh.focused)?.focus();
      lakemesh.focused = null;
      drawAll(grid);
    });
  };

  /** Draw the charts, those in view first; the page answers in between. */
  const drawAll = (grid) => {
    const waiting = [...grid.querySelectorAll("[data-tile]")].filter((node) => node.draw);
    requestAnimationFrame(() =>
      setTimeout(async () => {
        for (const node of waiting) {
          await node.draw();
          await new Promise((resolve) => setTimeout(resolve));
        }
        grid.dataset.drawn = "yes";
      }),
    );
  };

  let width = window.innerWidth,
    pause = null;
  window.addEventListener("resize", () => {
    clearTimeout(pause);
    pause = setTimeout(() => {
      if (window.innerWidth === width) return; // on phones the height changes while scrolling
      width = window.innerWidth;
      const grid = document.querySelector(".grid");
      if (grid) drawAll(grid);
    }, 200);
  });

  lakemesh.route("page", render);
}
