// Tiles over time: lines and bars of metrics, or of the values of a dimension, by period.
"use strict";
{
  const { cubes, charts, labels, show } = lakemesh;
  const { ranges, range, fitting, REST } = cubes;
  const { namesOf, labelOf, cutOf, cell, text } = labels;
  const MOST_SERIES = 6;

  /** The lines or stacks of a tile: one per metric, or one per value of its dimension. */
  const series = (tile, data, state, selection) => {
    const [name] = tile.metrics;
    const span = ranges(data, name, state, tile.by ?? selection?.dimension);
    const grain = fitting(data.metrics[name], span.since, span.until, tile.grain);
    if (!tile.by) {
      return {
        span,
        grain,
        list: tile.metrics.map((item) => ({
          label: labelOf(tile, data, item),
          metric: data.metrics[item],
          buckets: data.buckets(item, selection, span.since, span.until, grain),
        })),
      };
    }
    const metric = data.metrics[name];
    const keys = selection ? [selection.key] : data.values(name, tile.by, span.since, span.until);
    const shown = keys.filter((item) => item !== REST).slice(0, MOST_SERIES);
    const names = namesOf(tile, [...shown, REST]);
    const list = shown.map((item) => ({
      label: names.get(item),
      metric,
      buckets: data.buckets(name, { dimension: tile.by, key: item }, span.since, span.until, grain),
    }));
    if (shown.length < keys.length && metric.kind !== "ratio" && metric.kind !== "stored") {
      const others = keys
        .filter((item) => !shown.includes(item))
        .map((item) => data.buckets(name, { dimension: tile.by, key: item }, span.since, span.until, grain));
      list.push({
        label: names.get(REST),
        isRest: true,
        metric,
        buckets: others[0].map((bucket, place) => ({
          ...bucket,
          value: others.reduce((sum, item) => sum + (item[place].value ?? 0), 0),
        })),
      });
    }
    return { span, grain, list, cut: list.at(-1)?.isRest ? "" : cutOf(shown, keys) };
  };

  const points = (list) =>
    list.flatMap(({ label, isRest, metric, buckets }, place) =>
      buckets.map((item) => ({
        series: label,
        isRest: isRest ?? false,
        place,
        start: item.start,
        label: item.label,
        value: item.value,
        shown: show(item.value, metric),
        isPartial: item.isPartial,
      })),
    );

  /** The first days of a range's periods. */
  const periods = ({ since, until }, grain) => {
    const found = [];
    for (let at = cubes.start(since, grain); at <= until; at = cubes.add(at, grain, 1)) found.push(at);
    return found;
  };

  const overTime = (tile, data, state, selection) => {
    const { span, grain, list, cut } = series(tile, data, state, selection);
    const starts = [...new Map(list.flatMap(({ buckets }) => buckets.map((item) => [item.start, item]))).values()].sort(
      (a, b) => a.start - b.start,
    );
    const rows = starts.map((item) => [
      text(item.label + (item.isPartial ? " (in part)" : "")),
      ...list.map(({ metric, buckets }) => cell(buckets.find((bucket) => bucket.start === item.start)?.value ?? null, metric)),
    ]);
    const metric = data.metrics[tile.metrics[0]];
    const model = {
      columns: [
        { day: "Day", week: "Week of", month: "Month", quarter: "Quarter", year: "Year" }[grain],
        ...list.map(({ label }) => label),
      ],
      rows,
      caption: `${range(span.since, span.until, span.grain)}, by ${grain}${cut ?? ""}`,
      span,
    };
    const drawn = points(list);
    let before = [];
    if (tile.kind === "line" && list.length === 1 && !tile.by && span.compared) {
      const earlier = data.buckets(tile.metrics[0], selection, span.compared.since, span.compared.until, grain);
      // a period before stands where it stands in its own range, also if that range begins before the data
      const [now, then] = [periods(span, grain), periods(span.compared, grain)];
      before = earlier.flatMap((item) => {
        const at = now[then.indexOf(item.start)];
        if (at === undefined) return [];
        const series = state.compare === "year" ? "A year before" : "Previous period";
        return [{ series, start: at, label: item.label, value: item.value, shown: show(item.value, metric) }];
      });
      if (before.length) {
        model.columns.push(before[0].series);
        rows.forEach((row, place) => {
          const match = before.find((item) => item.start === starts[place].start);
          row.push(cell(match?.value ?? null, metric));
        });
        model.caption += `; dashed: ${state.compare === "year" ? "a year before" : "the period before"}`;
      }
    }
    model.isEmpty = charts.isEmpty(drawn);
    model.spec = () =>
      tile.kind === "line"
        ? charts.line(drawn, metric, { grain, before, height: tile.height })
        : charts.bars(drawn, metric, { grain, height: tile.height, isGrouped: !tile.by && list.length > 1 });
    return model;
  };

  Object.assign(lakemesh, { overTime });
}
