// Vega-Lite specifications of charts from rows, {label, start, series, value, shown, isPartial, isRest}.
"use strict";
{
  const { charts, color } = lakemesh;
  const { SERIES } = charts;
  const REST = "series-rest";

  // With SI prefixes, but those of fractions, which nobody reads: 0.45 and not 450m.
  const AMOUNTS = "abs(datum.value) < 1 ? format(datum.value, '~g') : format(datum.value, '~s')";
  const axisOf = (metric) => (metric.format === "percent" ? { format: ".2~%" } : { labelExpr: AMOUNTS });
  const isEmpty = (rows) => !rows.some((row) => row.value !== null);
  const ordinal = (rows) => [...new Set(rows.map((row) => row.series))];
  const palette = (rows) => {
    const rest = new Set(rows.filter((row) => row.isRest).map((row) => row.series));
    return ordinal(rows).map((name, place) => color(rest.has(name) ? REST : SERIES[place % SERIES.length]));
  };

  const time = (rows, grain) => ({
    field: "date",
    type: "temporal",
    scale: { type: "utc" },
    title: null,
    axis: {
      grid: false,
      format: { day: "%-d %b", week: "%-d %b", month: "%b %Y", quarter: "%b %Y", year: "%Y" }[grain],
      labelOverlap: true,
      tickCount: Math.min(8, new Set(rows.map((row) => row.start)).size),
      labelFlush: true,
    },
  });
  const tipped = (row) => ({
    ...row,
    date: row.start * 86400000,
    tip: { title: row.label + (row.isPartial ? " (in part)" : ""), rows: [[row.series, row.shown]] },
  });
  const colored = (rows) => {
    const names = ordinal(rows);
    return {
      field: "series",
      type: "nominal",
      title: null,
      sort: names,
      scale: { domain: names, range: palette(rows) },
      legend: names.length > 1 ? { orient: "bottom", columns: names.length > 4 ? 4 : names.length } : null,
    };
  };
  const tooltip = { field: "tip" };

  const line = (rows, metric, { grain, height = 220, before = [] }) => ({
    height,
    layer: [
      ...(before.length
        ? [
            {
              data: { values: before.map(tipped) },
              mark: { type: "line", strokeWidth: 1.5, strokeDash: [4, 3], color: color("compare") },
              encoding: { x: time(rows, grain), y: { field: "value", type: "quantitative" } },
            },
          ]
        : []),
      {
        data: { values: rows.map(tipped) },
        mark: { type: "line", strokeWidth: 2, strokeJoin: "round" },
        encoding: {
          x: time(rows, grain),
          y: {
            field: "value",
            type: "quantitative",
            title: null,
            scale: { zero: metric.kind === "sum" || metric.kind === "count" },
            axis: { ...axisOf(metric), tickCount: 5 },
          },
          color: colored(rows),
        },
      },
      {
        data: { values: [...before, ...rows].map(tipped) },
        mark: { type: "point", size: 140, opacity: 0.001, filled: true },
        encoding: { x: time(rows, grain), y: { field: "value", type: "quantitative" }, tooltip },
      },
      {
        data: { values: rows.filter((row) => rows.length < 40 || row.start === rows.at(-1).start).map(tipped) },
        mark: { type: "point", size: 26, filled: true, opacity: 1 },
        encoding: { x: time(rows, grain), y: { field: "value", type: "quantitative" }, color: colored(rows), tooltip },
      },
    ],
  });

  /** Bars over time, stacked or side by side by series; periods that the range cuts are paler. */
  const bars = (rows, metric, { grain, height = 220, isGrouped = false }) => ({
    height,
    data: { values: rows.map(tipped) },
    mark: { type: "bar", cornerRadiusEnd: ordinal(rows).length > 1 ? 0 : 2, binSpacing: 1 },
    encoding: {
      x: {
        field: "label",
        type: "ordinal",
        sort: null,
        title: null,
        axis: {
          labelAngle: 0,
          labelOverlap: "greedy",
          labelSeparation: 10,
          grid: false,
          labelExpr: grain === "day" || grain === "week" ? "substring(datum.label, 0, length(datum.label) - 5)" : "datum.label",
        },
        scale: { paddingInner: 0.22 },
      },
      y: {
        field: "value",
        type: "quantitative",
        title: null,
        stack: isGrouped ? null : "zero",
        axis: { ...axisOf(metric), tickCount: 5 },
      },
      color: colored(rows),
      tooltip,
      ...(isGrouped ? { xOffset: { field: "series", sort: null } } : {}),
      order: { field: "place", type: "quantitative" },
      opacity: { condition: { test: "datum.isPartial", value: 0.55 }, value: 1 },
    },
  });

  /** The range of an axis that leaves room for the number behind the longest bar. */
  const reach = (rows, wide) => {
    const longest = (field) => Math.max(...rows.map((row) => row[field].length));
    const values = rows.map((row) => row.value ?? 0);
    const [low, high] = [Math.min(0, ...values), Math.max(0, ...values)];
    const text = longest("shown") * 7 + 12;
    const plot = wide - Math.min(130, longest("label") * 7) - 10;
    return [low, low + (high - low || 1) * (plot / Math.max(plot - text, plot / 3))];
  };

  /** Horizontal bars, one per value of a dimension. */
  const ranked = (rows, { step = 26, wide }) => ({
    height: rows.length * step,
    data: { values: rows.map((row) => ({ ...row, tip: { title: row.label, rows: [[row.series, row.shown]] } })) },
    encoding: {
      y: {
        field: "label",
        type: "nominal",
        sort: null,
        title: null,
        axis: { grid: false, labelColor: color("text"), labelFontSize: 12, labelLimit: 130, labelPadding: 8 },
      },
      x: { field: "value", type: "quantitative", title: null, axis: null, scale: { domain: reach(rows, wide), nice: false } },
      tooltip,
    },
    layer: [
      {
        mark: { type: "bar", cornerRadiusEnd: 2, height: { band: 0.64 } },
        encoding: { color: { condition: { test: "datum.isRest", value: color(REST) }, value: color(SERIES[0]) } },
      },
      { mark: { type: "text", align: "left", dx: 5, fontSize: 12 }, encoding: { text: { field: "shown" } } },
    ],
  });

  /** Cells coloured by value, with the value in them where there is room. */
  const cells = (rows, metric, { columns, wide }) => {
    const values = rows.map((row) => row.value).filter((value) => value !== null);
    const [low, high] = [Math.min(...values), Math.max(...values)];
    const count = new Set(rows.map((row) => row.column)).size;
    const flip = low + (high - low) * 0.5;
    const written = wide / Math.max(count, 1) > (metric.format === "percent" ? 30 : 44);
    return {
      height: new Set(rows.map((row) => row.label)).size * 24,
      data: { values: rows.map((row) => ({ ...row, tip: { title: `${row.label}, ${row.column}`, rows: [[row.series, row.shown]] } })) },
      encoding: {
        y: { field: "label", type: "ordinal", sort: null, title: null, axis: { grid: false, labelLimit: 130 } },
        x: {
          field: "column",
          type: "ordinal",
          sort: null,
          title: columns,
          axis: { grid: false, orient: "top", labelAngle: 0, labelOverlap: true },
        },
        tooltip,
      },
      layer: [
        {
          mark: { type: "rect", stroke: color("surface"), strokeWidth: 1.5, cornerRadius: 2 },
          encoding: {
            color: {
              field: "value",
              type: "quantitative",
              title: null,
              legend: null,
              scale: { range: [color("scale-low"), color("scale-high")], domain: low === high ? [low - 1, high] : [low, high] },
            },
          },
        },
        ...(written
          ? [
              {
                mark: { type: "text", fontSize: 11 },
                encoding: {
                  text: { field: "brief" },
                  color: {
                    condition: { test: `datum.value > ${flip}`, value: color("surface") },
                    value: color("text"),
                  },
                },
              },
            ]
          : []),
      ],
    };
  };

  /** From one balance to another: steps are {label, from, to, value, isBalance}. */
  const waterfall = (steps, { height = 260, wide }) => ({
    height,
    data: {
      values: steps.map((step) => ({
        ...step,
        top: Math.max(step.from, step.to),
        tip: { title: step.label, rows: [["Amount", step.shown]] },
      })),
    },
    encoding: {
      x: {
        field: "label",
        type: "ordinal",
        sort: null,
        title: null,
        axis: {
          labelAngle: wide / steps.length < 64 ? -40 : 0,
          grid: false,
          labelColor: color("text"),
          labelFontSize: 11,
          labelOverlap: false,
          labelLimit: 80,
        },
        scale: { paddingInner: 0.3 },
      },
    },
    layer: [
      {
        mark: { type: "bar", cornerRadius: 2 },
        encoding: {
          y: { field: "from", type: "quantitative", title: null, scale: { zero: false }, axis: { labelExpr: AMOUNTS, tickCount: 5 } },
          y2: { field: "to" },
          tooltip,
          color: {
            condition: [
              { test: "datum.isBalance", value: color("series-rest") },
              { test: "datum.value < 0", value: color("series-2") },
            ],
            value: color("series-1"),
          },
        },
      },
      ...(wide / steps.length < 52
        ? []
        : [
            {
              mark: { type: "text", dy: -7, fontSize: 11 },
              encoding: { y: { field: "top", type: "quantitative" }, text: { field: "brief" } },
            },
          ]),
    ],
  });

  Object.assign(charts, { line, bars, ranked, cells, waterfall, isEmpty });
}
