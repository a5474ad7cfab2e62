// Words and cells of tiles: what metrics and the values of a dimension are called, in which order, and how much is cut.
"use strict";
{
  const { cubes, show, own } = lakemesh;
  const { range, named, isValue, REST } = cubes;

  const nameOf = (tile, item) => (isValue(item) ? own(tile.values, item.slice(1)) : undefined) ?? named(item, tile.by);
  /** What keys are called, by key; a value that is called like something else stands in quotes, as it is. */
  const namesOf = (tile, items) => {
    const count = new Map();
    for (const item of items) count.set(nameOf(tile, item), (count.get(nameOf(tile, item)) ?? 0) + 1);
    const of = (item) => (isValue(item) && count.get(nameOf(tile, item)) > 1 ? `“${item.slice(1)}”` : nameOf(tile, item));
    return new Map(items.map((item) => [item, of(item)]));
  };
  /** How much of a dimension is shown, for a caption; empty if all of it is. */
  const cutOf = (shown, keys) => {
    if (shown.length === keys.length) return "";
    return keys.includes(REST) ? `; the ${shown.length} largest` : `; ${shown.length} of ${keys.length}`;
  };
  /** Keys by what they say, numbers as numbers; unknown and all others last. */
  const byValue = (a, b) =>
    isValue(b) - isValue(a) || (a === REST) - (b === REST) || Number(a.slice(1)) - Number(b.slice(1)) || (a < b ? -1 : 1);
  const labelOf = (tile, data, name) => own(tile.labels, name) ?? data.metrics[name].label;

  const cell = (value, metric) => ({ value, text: show(value, metric, true), isNumber: true });
  const text = (value) => ({ value, text: String(value) });

  /** The dates of a value: a balance is that of the last one. */
  const caption = (span, data, name) =>
    ["last", "stored"].includes(data.metrics[data.leaves(name)[0]].kind)
      ? `end of ${range(cubes.start(span.until, span.grain), span.until, span.grain)}`
      : range(span.since, span.until, span.grain);

  Object.assign(lakemesh, { labels: { namesOf, labelOf, byValue, cutOf, cell, text, caption } });
}
