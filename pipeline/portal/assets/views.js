// What each kind of tile shows: from the numbers of the page to a table, a caption, and a chart of it. The table is the
// tile's content as text: behind its button, in its CSV, and for screen readers.
"use strict";
{
  const { cubes, charts, labels, overTime, show, day, change } = lakemesh;
  const { ranges, range, fitting, REST } = cubes;
  const { namesOf, labelOf, byValue, cutOf, cell, text, caption } = labels;
  const MOST_BARS = 10,
    MOST_ROWS = 12;

  /** The selection of a tile: whether it follows the page's filter, and why not. */
  const follow = (tile, data, state) => {
    if (!state.by) return { selection: null, note: "" };
    const label = data.dimensionLabel(state.by);
    const selection = { dimension: state.by, key: state.is };
    if (tile.by === state.by) return { selection, note: "" };
    if (tile.by)
      return {
        selection: null,
        note: `Shows all: it is divided by ${data.dimensionLabel(tile.by)}, and cannot be filtered by ${label} too.`,
      };
    const lacking = tile.metrics.find((name) => !data.has(name, state.by));
    if (lacking) return { selection: null, note: `Shows all: ${data.metrics[lacking].label} is not divided by ${label}.` };
    return { selection, note: "" };
  };

  const valueOf = (data, name, selection, span, isBefore = false) =>
    span ? data.value(name, selection, span.since, span.until, isBefore) : null;

  // ---- one number ------------------------------------------------------------------------------------------------
  const number = (tile, data, state, selection) => {
    const [name] = tile.metrics;
    const metric = data.metrics[name];
    const span = ranges(data, name, state, selection?.dimension);
    const value = valueOf(data, name, selection, span);
    const before = valueOf(data, name, selection, span.compared, true);
    const grain = fitting(metric, span.since, span.until, tile.grain);
    const buckets = data.buckets(name, selection, span.since, span.until, grain);
    let trend = buckets;
    if (buckets.length < 3) {
      // one month is no trend: show the year that leads to it
      const since = cubes.add(cubes.start(span.until, metric.grain), metric.grain, metric.grain === "day" ? -27 : -12);
      trend = data.buckets(name, selection, since, span.until, metric.grain);
    }
    const rows = buckets.map((item) => [text(item.label), cell(item.value, metric)]);
    return {
      columns: ["Period", metric.label],
      rows: [[text(range(span.since, span.until, span.grain)), cell(value, metric)], ...(rows.length > 1 ? rows : [])],
      caption: caption(span, data, name),
      metric,
      value,
      before,
      span,
      change: change(value, before, metric),
      trend,
    };
  };

  // ---- over the whole period -------------------------------------------------------------------------------------
  /** One bar per value of a dimension. */
  const ranked = (tile, data, state, selection) => {
    const [name] = tile.metrics;
    const metric = data.metrics[name];
    const span = ranges(data, name, state, tile.by);
    const keys = selection ? [selection.key] : data.values(name, tile.by, span.since, span.until);
    if (tile.order === "value") keys.sort(byValue);
    const names = namesOf(tile, keys);
    const list = keys
      .map((item) => {
        const chosen = { dimension: tile.by, key: item };
        return {
          label: names.get(item),
          isRest: item === REST,
          values: tile.metrics.map((one) => valueOf(data, one, chosen, span)),
          before: valueOf(data, name, chosen, span.compared, true),
        };
      })
      .filter((item) => item.values.some((value) => value !== null && value !== 0));
    const shown = list.slice(0, tile.limit ?? MOST_BARS);
    const rows = list.map((item) => [
      text(item.label),
      ...item.values.map((value, place) => cell(value, data.metrics[tile.metrics[place]])),
      ...(span.compared ? [cell(item.before, metric)] : []),
    ]);
    return {
      columns: [
        data.dimensionLabel(tile.by),
        ...tile.metrics.map((one) => labelOf(tile, data, one)),
        ...(span.compared ? [`${labelOf(tile, data, name)} before`] : []),
      ],
      rows,
      isEmpty: !list.length,
      span,
      caption:
        caption(span, data, name) + (shown.length < list.length ? `; ${shown.length} of ${list.length}, the table has all` : ""),
      spec: (wide) =>
        charts.ranked(
          shown.map((item) => ({
            label: item.label,
            isRest: item.isRest,
            value: item.values[0],
            series: metric.label,
            shown: show(item.values[0], metric),
          })),
          { wide },
        ),
    };
  };

  const funnel = (tile, data, state, selection) => {
    const span = ranges(data, tile.metrics[0], state, selection?.dimension);
    const steps = tile.metrics.map((name) => ({
      label: labelOf(tile, data, name),
      metric: data.metrics[name],
      value: valueOf(data, name, selection, span),
    }));
    const first = steps[0].value;
    const share = (value) => (first && value !== null ? value / first : null);
    const percent = { format: "percent" };
    return {
      columns: ["Step", "Number", "Of the first"],
      rows: steps.map((step) => [text(step.label), cell(step.value, step.metric), cell(share(step.value), percent)]),
      caption: range(span.since, span.until, span.grain),
      span,
      isEmpty: !first,
      spec: (wide) =>
        charts.ranked(
          steps.map((step) => ({
            label: step.label,
            value: step.value,
            series: "Number",
            shown: `${show(step.value, step.metric)}  (${show(share(step.value), percent)})`,
          })),
          { step: 44, wide },
        ),
    };
  };

  // ---- two dimensions --------------------------------------------------------------------------------------------
  /** Values of a dimension by period; a cohort triangle is the same with the periods downwards. */
  const matrix = (tile, data, state, selection) => {
    const [name] = tile.metrics;
    const metric = data.metrics[name];
    const isCohort = tile.kind === "cohort";
    const span = ranges(
      data,
      name,
      isCohort && state.period !== "all" && state.period !== "custom" ? { ...state, period: "12m" } : state,
      tile.by,
    );
    const grain = fitting(metric, span.since, span.until, tile.grain);
    const all = selection ? [selection.key] : data.values(name, tile.by, span.since, span.until);
    const isSorted = isCohort || tile.order === "value";
    const keys = isSorted ? all.filter((item) => item !== REST).sort(byValue) : all.slice(0, MOST_ROWS);
    const names = namesOf(tile, keys);
    const found = keys.map((item) => data.buckets(name, { dimension: tile.by, key: item }, span.since, span.until, grain));
    const periods = [...new Map(found.flat().map((item) => [item.start, item])).values()].sort((a, b) => a.start - b.start);
    const at = (place, start) => found[place].find((item) => item.start === start)?.value ?? null;
    const values = keys.map((item, place) => ({ label: names.get(item), place }));
    const [across, down] = isCohort ? [values, periods] : [periods, values];
    const value = (row, column) => (isCohort ? at(column.place, row.start) : at(row.place, column.start));
    const brief = (number_) =>
      number_ === null ? "" : metric.format === "percent" ? lakemesh.plain(number_ * 100, 0) : show(number_, metric);
    const found_cells = down
      .flatMap((row) =>
        across.map((column) => ({
          label: row.label,
          column: column.label,
          value: value(row, column),
          series: metric.label,
          shown: show(value(row, column), metric),
          brief: brief(value(row, column)),
        })),
      )
      .filter((item) => item.value !== null);
    return {
      columns: [isCohort ? "Cohort" : data.dimensionLabel(tile.by), ...across.map((item) => item.label)],
      rows: down.map((row) => [text(row.label), ...across.map((column) => cell(value(row, column), metric))]),
      caption: `${range(span.since, span.until, grain)}${metric.format === "percent" ? ", percent" : ""}${isSorted ? "" : cutOf(keys, all)}`,
      span,
      isEmpty: !found_cells.length,
      spec: (wide) =>
        charts.cells(found_cells, metric, { columns: isCohort ? data.dimensionLabel(tile.by) : null, wide: wide - 110 }),
    };
  };

  // ---- from balance to balance -----------------------------------------------------------------------------------
  /** The balance before the period, what changed it, and the balance at its end. */
  const waterfall = (tile, data, state, selection) => {
    const [balance, ...changes] = tile.metrics;
    const metric = data.metrics[balance];
    const span = ranges(data, balance, state, selection?.dimension);
    const covers = data.covered(balance, selection?.dimension);
    const opening = covers && covers[0] < span.since ? data.value(balance, selection, covers[0], span.since - 1) : 0;
    const closing = valueOf(data, balance, selection, span);
    const moves = changes.map((name) => ({ label: labelOf(tile, data, name), value: valueOf(data, name, selection, span) }));
    const steps = [];
    const push = (label, from, to, value, isBalance) =>
      steps.push({ label, from, to, value, isBalance, shown: show(value, metric, true), brief: show(value, metric) });
    push("Opening", 0, opening, opening, true);
    let level = opening ?? 0;
    for (const { label, value } of moves) {
      push(label, level, level + (value ?? 0), value ?? 0, false);
      level += value ?? 0;
    }
    push("Closing", 0, closing, closing, true);
    const levels = steps.flatMap((step) => (step.isBalance ? [step.to] : [step.from, step.to]));
    const [low, high] = [Math.min(...levels), Math.max(...levels)];
    const floor = low > 0 && high - low < low ? low - (high - low) * 0.35 : 0;
    return {
      columns: ["Step", "Amount"],
      rows: steps.map((step) => [text(step.label), cell(step.value, metric)]),
      isEmpty: closing === null,
      span,
      caption: range(span.since, span.until, span.grain) + (floor ? `; the axis begins at ${show(floor, metric)}` : ""),
      spec: (wide) =>
        charts.waterfall(
          steps.map((step) => (step.isBalance ? { ...step, from: floor } : step)),
          { height: tile.height ?? 260, wide },
        ),
    };
  };

  // ---- tables ----------------------------------------------------------------------------------------------------
  const metricTable = (tile, data, state, selection) =>
    tile.by ? ranked(tile, data, state, selection) : overTime({ ...tile, kind: "table" }, data, state, selection);

  /** A table of the release as it is. */
  const storedTable = (tile, data) => {
    const { columns, rows, total } = data.page.tables[tile.id];
    const at = (value, column) => {
      if (value === null) return { value: null, text: "–", isNumber: column.isNumber };
      if (column.format === "date") return { value, text: day.full(day.parse(value)), isWhole: true };
      if (column.format === "moment") return { value, text: day.moment(value), isWhole: true };
      if (column.isNumber) return { value, text: show(value, column, true), isNumber: true };
      if (typeof value === "boolean") return { value, text: value ? "yes" : "no", isBad: value && column.bad };
      return text(value);
    };
    return {
      columns: columns.map((column) => column.label),
      numeric: columns.map((column) => column.isNumber),
      rows: rows.map((row) => row.map((value, place) => at(value, columns[place]))),
      caption:
        (total > rows.length ? `${rows.length} of ${total} rows` : `${total} ${total === 1 ? "row" : "rows"}`) +
        (data.page.from === null ? "" : ", as in the release: period and filter do not apply"),
      isEmpty: !rows.length,
      emptyText: tile.empty,
    };
  };

  const kinds = {
    number,
    line: overTime,
    stacked: overTime,
    heatmap: matrix,
    cohort: matrix,
    waterfall,
    funnel,
    bar: (tile, ...rest) => (tile.by ? ranked : overTime)(tile, ...rest),
    table: (tile, data, ...rest) => (tile.metrics.length ? metricTable : storedTable)(tile, data, ...rest),
  };

  /** What a tile shows for the state of the page: {columns, rows, caption, note, refusal, spec, …}. */
  const view = (tile, data, state) => {
    if (!tile.metrics.length) return kinds[tile.kind](tile, data, state, null);
    const { selection, note } = follow(tile, data, state);
    for (const name of tile.metrics) {
      const refusal = data.refusal(name, tile.by && !selection ? { dimension: tile.by } : selection);
      if (refusal) return { refusal, note, columns: [], rows: [], caption: "" };
    }
    const model = kinds[tile.kind](tile, data, state, selection);
    return { ...model, note: note || model.note || "" };
  };

  Object.assign(lakemesh, { view });
}
