// Tiles: title with definition, question, content, and the table, CSV and PNG of it.
"use strict";
{
  const { el, show, charts, link, cubes } = lakemesh;

  /** A table element of a view's rows. */
  const table = (model, title) =>
    el(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": `${title}: table` },
      el(
        "table",
        {},
        el("caption", { class: "sr-only", text: title }),
        el(
          "thead",
          {},
          el(
            "tr",
            {},
            model.columns.map((label, place) =>
              el("th", {
                scope: "col",
                class: (model.numeric?.[place] ?? model.rows[0]?.[place]?.isNumber) ? "num" : null,
                text: label,
              }),
            ),
          ),
        ),
        el(
          "tbody",
          {},
          model.rows.map((row) =>
            el(
              "tr",
              {},
              row.map((cell, place) =>
                place === 0
                  ? el("th", { scope: "row", text: cell.text, class: cell.isNumber ? "num" : cell.isWhole ? "whole" : null })
                  : el("td", {
                      class: cell.isNumber ? "num" : cell.isBad ? "yes-bad" : cell.isWhole ? "whole" : null,
                      "data-value": cell.isNumber && cell.value !== null ? cell.value : null,
                      text: cell.text,
                    }),
              ),
            ),
          ),
        ),
      ),
    );

  const csv = (model) => {
    const field = (value) => {
      const text = value === null || value === undefined ? "" : String(value);
      const safe = /^[=+\-@\t\r]/.test(text) && typeof value === "string" ? `'${text}` : text; // no formula in a spreadsheet
      return /[",\n\r]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
    };
    return (
      [model.columns, ...model.rows.map((row) => row.map((cell) => cell.value))]
        .map((row) => row.map(field).join(","))
        .join("\r\n") + "\r\n"
    );
  };

  /** The change against the compared period: a word for what the colour says. */
  const changed = (model, state) => {
    const { change, metric, before, span } = model;
    if (!span.compared) return el("div", { class: "change quiet" });
    const against = `${cubes.range(span.compared.since, span.compared.until, span.grain)}`;
    if (!change)
      return el("div", { class: "change quiet", text: before === null ? "no earlier data" : `before: ${show(before, metric)}` });
    const isGood = metric.direction === "none" || change.sign === 0 ? null : change.sign > 0 === (metric.direction === "up");
    const mark = change.sign > 0 ? "▲" : change.sign < 0 ? "▼" : "■";
    return el(
      "div",
      { class: "change" },
      el(
        "span",
        { class: isGood === null ? "flat" : isGood ? "good" : "bad" },
        el("span", { "aria-hidden": "true", text: `${mark} ` }),
        el("span", { class: "sr-only", text: change.sign > 0 ? "up " : change.sign < 0 ? "down " : "unchanged " }),
        change.text,
        isGood === null ? null : el("span", { class: "sr-only", text: isGood ? ", better" : ", worse" }),
      ),
      el("span", {
        class: "quiet",
        title: against,
        text: ` from ${show(before, metric)}${state.compare === "year" ? " a year before" : ""}`,
      }),
    );
  };

  const numberBody = (model, state) =>
    el(
      "div",
      {},
      el("div", {
        class: "number",
        title: show(model.value, model.metric, true),
        "data-value": model.value,
        text: show(model.value, model.metric),
      }),
      changed(model, state),
      charts.spark(model.trend.map((item) => item.value)),
    );

  const description = (tile, model) => {
    const name = {
      line: "Line chart",
      bar: "Bar chart",
      stacked: "Stacked bar chart",
      heatmap: "Heat map",
      cohort: "Cohort table",
      waterfall: "Waterfall chart",
      funnel: "Funnel",
    }[tile.kind];
    return `${name}: ${tile.title}, ${model.caption}. The button Table shows its numbers.`;
  };

  /** What a tile shows; a tile that fails says so in its place, and the others stay. */
  const modelOf = (item, data, state) => {
    try {
      return lakemesh.view(item, data, state);
    } catch (error) {
      console.error(`${item.title}: ${error.stack}`);
      return { refusal: `This tile cannot be drawn: ${error.message}`, columns: [], rows: [], caption: "" };
    }
  };

  /** Draw a tile for the state of the page; returns its element. Its chart is drawn once the element is shown. */
  const tile = (item, data, state) => {
    if (item.kind === "section")
      return el("div", { class: "section" }, el("h2", { text: item.title }), item.text ? el("p", { text: item.text }) : null);
    if (item.kind === "text") {
      return el(
        "section",
        { class: `tile w-${item.width}`, "aria-label": item.title },
        el("div", { class: "tile-head" }, el("h2", { text: item.title })),
        el(
          "div",
          { class: "tile-body" },
          item.text.split(/\n\s*\n/).map((part) => el("p", { text: part })),
        ),
      );
    }
    const model = modelOf(item, data, state);
    const id = `tile-${item.id}`;
    const title = el(
      "h2",
      { id },
      item.metrics.length
        ? el("a", { href: link(["metrics", item.metrics[0]]), title: "Definition", text: item.title })
        : item.title,
    );
    const body = el("div", { class: "tile-body" });
    const foot = el("div", { class: "tile-foot" }, el("span", { class: "caption", text: model.caption }));
    const node = el(
      "section",
      { class: `tile w-${item.width}`, "aria-labelledby": id, "data-tile": item.id },
      el("div", { class: "tile-head" }, title),
      item.question ? el("p", { class: "question", text: item.question }) : null,
      body,
      model.note ? el("p", { class: "unfollowed", text: model.note }) : null,
      foot,
    );
    if (model.refusal || model.isEmpty) {
      body.append(el("p", { class: "empty", text: model.refusal || model.emptyText || "No data in this period." }));
      return node;
    }
    let chart = null;
    const isTable = item.kind === "table";
    const fill = (asTable) => {
      chart = null;
      if (asTable || isTable) {
        body.replaceChildren(table(model, item.title));
        return;
      }
      if (item.kind === "number") {
        body.replaceChildren(numberBody(model, state));
        return;
      }
      const box = el("div", { class: "chart", role: "img", "aria-label": description(item, model) });
      box.style.minHeight = `${item.height ?? 220}px`;
      body.replaceChildren(box);
      node.draw = async () => {
        if (!box.isConnected) return;
        try {
          chart = await charts.draw(box, model.spec(box.clientWidth));
          box.style.minHeight = "";
        } catch (error) {
          fill(true);
          console.warn(`${item.title}: ${error.message}`);
        }
      };
      if (box.isConnected) node.draw();
    };
    fill(false);
    const button = (label, action, extra = {}) =>
      el("button", {
        type: "button",
        class: "plain",
        text: label,
        "aria-label": `${label} of ${item.title}`,
        onclick: action,
        ...extra,
      });
    if (!isTable) {
      const toggle = button(
        "Table",
        () => {
          const on = toggle.getAttribute("aria-pressed") !== "true";
          toggle.setAttribute("aria-pressed", String(on));
          fill(on);
        },
        { "aria-pressed": "false" },
      );
      foot.append(toggle);
    }
    const about = { title: item.title, caption: model.caption, name: `${data.page.name}-${item.id}` };
    foot.append(
      button("CSV", () =>
        lakemesh.save(`${about.name}.csv`, new Blob(["\ufeff" + csv(model)], { type: "text/csv;charset=utf-8" })),
      ),
      button("PNG", () => lakemesh.picture(about, item.kind, model, chart)),
    );
    return node;
  };

  Object.assign(lakemesh, { tile, table });
}
