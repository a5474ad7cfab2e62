// Charts, drawn by Vega-Lite in the colours of the page without `eval`; and sparklines, which are light enough to stand in
// the first paint.
"use strict";
{
  const { el, color } = lakemesh;
  const SERIES = ["series-1", "series-2", "series-3", "series-4", "series-5", "series-6", "series-7"];

  /** The theme of all charts, from the tokens of the page as they are now. */
  const theme = () => ({
    background: null,
    font: getComputedStyle(document.body).fontFamily,
    aria: false,
    view: { stroke: null },
    axis: {
      labelColor: color("quiet"),
      titleColor: color("quiet"),
      gridColor: color("line"),
      domainColor: color("line"),
      tickColor: color("line"),
      labelFontSize: 11,
      titleFontSize: 11,
      titleFontWeight: "normal",
      labelPadding: 6,
      domain: false,
      ticks: false,
      gridWidth: 1,
      labelLimit: 140,
    },
    legend: { labelColor: color("text"), titleColor: color("quiet"), labelFontSize: 12, symbolType: "circle", labelLimit: 150 },
    range: { category: SERIES.map(color), ramp: [color("scale-low"), color("scale-high")] },
    text: { color: color("text"), fontSize: 11 },
  });

  let library = null;
  /** Load the library of charts, once; it is not needed for the first paint. */
  const load = () => (library ??= lakemesh.script(lakemesh.release.app.vega));

  /** Draw a chart into an element; returns the view, which makes the PNG. */
  const draw = async (box, spec) => {
    await load();
    const width = Math.max(160, Math.floor(box.clientWidth));
    const full = {
      padding: { left: 0, right: 2, top: 4, bottom: 5 },
      autosize: { type: "fit-x", contains: "padding" },
      width,
      config: theme(),
      ...spec,
    };
    const result = await vegaEmbed(box, full, {
      actions: false,
      ast: true,
      renderer: "svg",
      defaultStyle: false,
      logLevel: 1,
      tooltip: (_, event, item, value) => tip(event, value),
      loader: { load: () => Promise.reject(new Error("no chart loads anything")) },
    });
    box.querySelector("svg")?.setAttribute("aria-hidden", "true");
    return result.view;
  };

  // ---- tooltip -------------------------------------------------------------------------------------------------
  let box = null;
  const tip = (event, value) => {
    if (value === null || value === undefined || value === "") {
      if (box) box.hidden = true;
      return;
    }
    if (!box) {
      box = el("div", { class: "tooltip", "aria-hidden": "true" });
      document.body.append(box);
    }
    const { title, rows = [] } = typeof value === "object" ? value : { title: String(value) };
    box.replaceChildren(
      el("b", { text: title ?? "" }),
      ...rows.map(([name, text]) =>
        el("div", {}, el("span", { text: name }), el("span", { text: String(text) })),
      ),
    );
    box.hidden = false;
    const { clientX, clientY } = event;
    const { width, height } = box.getBoundingClientRect();
    box.style.left = `${Math.max(8, Math.min(clientX + 14, innerWidth - width - 8))}px`;
    box.style.top = `${clientY + 14 + height > innerHeight ? clientY - height - 10 : clientY + 14}px`;
  };

  const spark = (values) => {
    const known = values.filter((value) => value !== null);
    if (known.length < 2) return null;
    const [low, high] = [Math.min(...known), Math.max(...known)];
    const [wide, tall] = [200, 44];
    const x = (place) => (place / (values.length - 1)) * wide;
    const y = (value) => tall - 3 - ((value - low) / (high - low || 1)) * (tall - 6);
    let path = "",
      open = false;
    values.forEach((value, place) => {
      if (value === null) {
        open = false;
        return;
      }
      path += `${open ? "L" : "M"}${x(place).toFixed(1)} ${y(value).toFixed(1)}`;
      open = true;
    });
    return el(
      "svg:svg",
      { class: "spark", viewBox: `0 0 ${wide} ${tall}`, preserveAspectRatio: "none", "aria-hidden": "true" },
      el("svg:path", { d: path }),
    );
  };

  Object.assign(lakemesh, { charts: { load, draw, spark, SERIES } });
}
