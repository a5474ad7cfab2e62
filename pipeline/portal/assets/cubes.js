// Numbers of a page: its cubes hold the additive parts of metrics per period (and value of one dimension); sums, last
// values and ratios over any range are formed here, so that a ratio is never a mean of ratios.
"use strict";
{
  const { day, own } = lakemesh;
  const GRAINS = ["day", "week", "month", "quarter", "year"];
  const NULL = "∅",
    REST = "…";
  /** The key of a dimension's value; values may be any text or unknown (null). */
  const key = (value) => (value === null ? NULL : `=${value}`);
  const isValue = (item) => item.startsWith("=");
  const regions = new Intl.DisplayNames(["en"], { type: "region", fallback: "none" });
  /** A key as people read it; country codes as names. */
  const named = (item, dimension) => {
    if (item === NULL) return "unknown";
    if (item === REST) return "all others";
    const text = item.slice(1);
    if (dimension === "country_code" && /^[a-z]{2}$/i.test(text)) return regions.of(text.toUpperCase()) ?? text;
    return text || "(empty)";
  };

  // ---- calendar: days are numbers since 1970-01-01 ---------------------------------------------------------------
  const parts = (value) => {
    const date = new Date(value * 86400000);
    return [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  };
  const from = (year, month, date) => Math.round(Date.UTC(year, month, date) / 86400000);
  const MONTHS = { month: 1, quarter: 3, year: 12 }; // months of a period
  /** The first day of the period that contains a day; weeks begin on Monday. */
  const start = (value, grain) => {
    if (grain === "day") return value;
    if (grain === "week") return value - ((value + 3) % 7);
    const [year, month] = parts(value);
    return from(year, Math.floor(month / MONTHS[grain]) * MONTHS[grain], 1);
  };
  /** The first day of the period that is `count` periods later. */
  const add = (value, grain, count) => {
    if (grain === "day") return value + count;
    if (grain === "week") return value + 7 * count;
    const [year, month, date] = parts(value);
    const whole = month + MONTHS[grain] * count;
    const length = parts(from(year, whole + 1, 0))[2];
    return from(year, whole, Math.min(date, length));
  };
  const end = (value, grain) => add(start(value, grain), grain, 1) - 1;
  const coarser = (one, other) => GRAINS[Math.max(GRAINS.indexOf(one), GRAINS.indexOf(other))];

  const label = (first, grain) => {
    const [year, month] = parts(first);
    if (grain === "month") return day.month(first);
    if (grain === "quarter") return `Q${Math.floor(month / 3) + 1} ${year}`;
    if (grain === "year") return String(year);
    return day.full(first);
  };
  const range = (since, until, grain = "day") => {
    if (["month", "quarter", "year"].includes(grain)) {
      const [first, last] = [label(start(since, grain), grain), label(start(until, grain), grain)];
      return first === last ? first : `${first} – ${last}`;
    }
    if (since === until) return day.full(since);
    return parts(since)[0] === parts(until)[0]
      ? `${day.short(since)} – ${day.full(until)}`
      : `${day.full(since)} – ${day.full(until)}`;
  };

  // ---- data ------------------------------------------------------------------------------------------------------
  class Data {
    constructor(page) {
      this.page = page;
      this.metrics = page.metrics;
      this.years = new Set();
      this.since = page.recent === null ? -Infinity : day.parse(page.recent); // the first day that is loaded
      this.wanted = Infinity; // the first day that was read, loaded or not
      this.series = new Map(); // metric|dimension -> {periods: Set, rows: Map key -> Map period -> value}
      this.add(page.cubes);
    }

    /** Add cubes, of the recent periods or of an older year. */
    add(cubes) {
      for (const cube of cubes) {
        const periods = cube.periods.flatMap(([first, count]) =>
          Array.from({ length: count }, (_, step) => add(first, cube.grain, step)),
        );
        for (const [name, column] of Object.entries(cube.parts)) {
          const id = `${name}|${cube.dimension ?? ""}`;
          const found = this.series.get(id) ?? { periods: [], rows: new Map(), factor: 0, covers: null };
          this.series.set(id, found);
          const factor = 10 ** (column.scale ?? 0);
          if (column.scale) found.factor = Math.max(found.factor, factor);
          if (cube.covers) found.covers = cube.covers.map(day.parse);
          let place = 0;
          for (const [value, first, count] of cube.runs) {
            const item = cube.dimension === null ? "" : value < 0 ? REST : key(cube.values[value]);
            if (!found.rows.has(item)) found.rows.set(item, new Map());
            const row = found.rows.get(item);
            for (let step = 0; step < count; step++, place++) {
              const number = column.data[place];
              row.set(periods[first + step], number === null ? null : number / factor);
            }
          }
          found.periods = [...new Set([...found.periods, ...periods])].sort((a, b) => a - b);
        }
      }
    }

    /** The parts that a metric is computed from: metrics of other kinds than ratio. */
    leaves(name) {
      const { ratio } = this.metrics[name];
      return ratio ? ratio.flatMap((item) => this.leaves(item)) : [name];
    }

    found(name, dimension) {
      return this.series.get(`${this.leaves(name)[0]}|${dimension ?? ""}`);
    }

    has(name, dimension) {
      return this.leaves(name).every((leaf) => this.series.has(`${leaf}|${dimension ?? ""}`));
    }

    /** Why a metric cannot be shown for a selection, in one line; empty if it can. */
    refusal(name, selection) {
      const metric = this.metrics[name];
      const dimension = selection?.dimension;
      const open = (metric.not_over ?? []).filter((item) => item !== dimension);
      if (open.length && !(metric.fixed ?? []).includes(open[0])) {
        return `${metric.label} of different values of ${own(metric.dimensions, open[0]) ?? open[0]} cannot be added: choose one.`;
      }
      return this.has(name, dimension) ? "" : `${metric.label} is not divided by ${this.dimensionLabel(dimension)}.`;
    }

    dimensionLabel(dimension) {
      const filter = this.page.filters.find((item) => item.column === dimension);
      if (filter) return filter.label;
      return (
        Object.values(this.metrics)
          .map((metric) => own(metric.dimensions, dimension))
          .find(Boolean) ?? dimension
      );
    }

    periods(name, dimension) {
      return this.found(name, dimension)?.periods ?? this.found(name, this.metrics[name].not_over?.[0])?.periods ?? [];
    }

    /** Note that numbers from a day on are read; the page loads what lacks, and reads them again. */
    want(value) {
      this.wanted = Math.min(this.wanted, value);
    }

    /** The newest period of a metric up to a day; undefined if there is none. */
    newest(name, until, dimension) {
      const periods = this.periods(name, dimension);
      let low = 0,
        high = periods.length;
      while (low < high) {
        const middle = (low + high) >> 1;
        if (periods[middle] <= until) low = middle + 1;
        else high = middle;
      }
      const covers = this.covered(name, dimension) ?? this.covered(name, this.metrics[name].not_over?.[0]);
      if (!low && covers && covers[0] <= until) this.want(Math.min(until, covers[1], this.since - 1));
      return periods[low - 1];
    }

    /** The keys of a dimension's values, by size of the metric over a range, unknown and all others last. */
    values(name, dimension, since, until) {
      const found = this.found(name, dimension);
      if (!found) return [];
      const weight = this.leaves(name).at(-1);
      const size = new Map(
        [...found.rows.keys()].map((item) => [item, Math.abs(this.value(weight, { dimension, key: item }, since, until) ?? 0)]),
      );
      const place = (item) => (item === REST ? 2 : item === NULL ? 1 : 0);
      return [...size.keys()].sort((a, b) => place(a) - place(b) || size.get(b) - size.get(a) || (a < b ? -1 : 1));
    }

    /** The first and last period that a metric's table covers, whatever is filtered; null if it is empty. */
    covered(name, dimension) {
      return this.found(name, dimension)?.covers ?? null;
    }

    /** The value of a metric over a range of days, both inclusive; null if it is unknown. As in `lake metrics query`,
     *  nothing found is 0 where the table covers the range; one compared with (`isBefore`) must be covered from its start. */
    value(name, selection, since, until, isBefore = false) {
      const { kind, ratio } = this.metrics[name];
      if (ratio) {
        const [over, under] = ratio.map((item) => this.value(item, selection, since, until, isBefore));
        return over === null || under === null || under === 0 ? null : over / under;
      }
      const found = this.series.get(`${name}|${selection?.dimension ?? ""}`);
      const row = found?.rows.get(selection?.key ?? "");
      if (!found?.covers) return null;
      const [first, last] = found.covers;
      if (last < since || first > (isBefore ? since : until)) return null;
      if (kind === "last" || kind === "stored") {
        const newest = this.newest(name, until, selection?.dimension);
        if (newest === undefined || newest < since) return null;
        return row?.get(newest) ?? (kind === "last" ? 0 : null);
      }
      this.want(Math.max(since, first));
      let total = 0;
      for (const [period, value] of row ?? []) if (period >= since && period <= until) total += value ?? 0;
      return Number.isInteger(total) || !found.factor ? total : Math.round(total * found.factor) / found.factor;
    }

    /** The values per period of a grain, as far as the table covers the range; `isPartial` where the range cuts one. */
    buckets(name, selection, since, until, grain) {
      const { kind, grain: own } = this.metrics[name];
      const covers = this.covered(name, selection?.dimension);
      if (!covers) return [];
      const low = start(Math.max(since, covers[0]), grain);
      const found = [];
      for (let first = low; first <= Math.min(until, covers[1]); first = add(first, grain, 1)) {
        const [from, to] = [Math.max(first, since), Math.min(end(first, grain), until)];
        const value = this.value(name, selection, from, to);
        if (kind === "stored" && value === null) continue;
        const isPartial = own === "day" && (from > first || to < end(first, grain));
        found.push({ start: first, label: label(first, grain), value, isPartial, from, to });
      }
      return found;
    }
  }

  // ---- periods of a page -----------------------------------------------------------------------------------------
  const PERIODS = {
    "7d": { label: "Last 7 days", day: 7, week: 1, month: 1, quarter: 1, year: 1 },
    "28d": { label: "Last 28 days", day: 28, week: 4, month: 1, quarter: 1, year: 1 },
    "90d": { label: "Last 90 days", day: 90, week: 13, month: 3, quarter: 1, year: 1 },
    "12m": { label: "Last 12 months", week: 52, month: 12, quarter: 4, year: 1 },
    all: { label: "All" },
  };

  /** The range that a metric shows for the period of the page, and the one that it is compared with (or null).
   *  A metric by month shows whole months: as many as the period has, up to its newest. */
  const ranges = (data, name, state, dimension) => {
    const grain = data.metrics[name].grain;
    const preset = PERIODS[state.period];
    const first = data.page.from === null ? undefined : day.parse(data.page.from);
    let since, until;
    if (grain === "day") {
      until = state.to;
      since =
        state.period === "custom"
          ? state.from
          : state.period === "all"
            ? (first ?? until)
            : state.period === "12m"
              ? add(until + 1, "month", -12)
              : until - preset.day + 1;
    } else {
      const newest = data.newest(name, state.to, dimension) ?? start(state.to, grain);
      until = end(newest, grain);
      if (state.period === "custom") {
        const inside = start(
          state.from + (start(state.from, grain) === state.from ? 0 : end(state.from, grain) - state.from + 1),
          grain,
        );
        since = Math.min(inside, newest);
      } else since = state.period === "all" ? start(first ?? newest, grain) : add(newest, grain, 1 - preset[grain]);
    }
    return { since, until, grain, compared: compared(since, until, state) };
  };

  /** How many whole months a range consists of; 0 if it consists of others. */
  const wholeMonths = (since, until) => {
    if (start(since, "month") !== since || end(until, "month") !== until) return 0;
    const [[year, month], [otherYear, otherMonth]] = [parts(since), parts(until)];
    return (otherYear - year) * 12 + otherMonth - month + 1;
  };

  /** The range that one is compared with. Whole months with whole months, otherwise days; a year before is 52 weeks
   *  before, so that Monday meets Monday. */
  const compared = (since, until, state) => {
    if (state.compare === "none" || state.period === "all") return null;
    const months = wholeMonths(since, until);
    if (months) {
      const count = state.compare === "year" ? 12 : months;
      return { since: add(since, "month", -count), until: add(until + 1, "month", -count) - 1 };
    }
    const days = state.compare === "year" ? 364 : until - since + 1;
    return { since: since - days, until: until - days };
  };

  /** A grain that suits a range: days up to six weeks, weeks up to half a year, then months. */
  const fitting = (metric, since, until, wanted) => {
    const days = until - since + 1;
    const grain = wanted ?? (days <= 45 ? "day" : days <= 190 ? "week" : "month");
    const allowed = GRAINS.filter((item) => metric.grains.includes(item));
    return allowed.find((item) => GRAINS.indexOf(item) >= GRAINS.indexOf(coarser(grain, metric.grain))) ?? allowed.at(-1);
  };

  Object.assign(lakemesh, {
    Data,
    cubes: { key, named, isValue, NULL, REST, PERIODS, start, add, range, ranges, fitting },
  });
}
