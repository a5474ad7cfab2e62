"""Put a report in words."""

from __future__ import annotations

from pipeline.metrics.measure import Kind
from pipeline.metrics.period import Grain
from pipeline.report import charts, words
from pipeline.report.figures import Change, Figure
from pipeline.report.health import State
from pipeline.report.movement import Effect, Movement, together
from pipeline.report.page import Cell, Group, Line, Moved, Page, Picture, Row
from pipeline.report.report import Report
from pipeline.report.unusual import LEAST, LIMIT, PERIODS, VOLUME, Course, Unusual

VALUES = 4
"""Values of a dimension that are named; the others are summed up."""
CHARTS = 3
"""Charts of what is unusual."""
_TONES = ("flat", "good", "bad")


def make_page(report: Report) -> Page:
    """Put a report in words."""
    unusual = report.unusual
    headline = [report.figures[name] for name in report.definition.headline if name in report.figures]
    summary = "; ".join(_headline(report, figure) for figure in headline)
    judged = {course.metric.name for course in report.courses if course.usual}
    verdict = Cell("nothing unusual", "good")
    if unusual:
        tone = "bad" if any(item.verdict < 0 for item in unusual) else "flat"
        verdict = Cell(f"{len(unusual)} unusual {'value' if len(unusual) == 1 else 'values'}", tone)
    if not judged:
        verdict = Cell("too early to say what is unusual")
    shown = _charted(report)
    return Page(
        title=report.definition.title,
        period=f"{report.span}"[:1].upper() + f"{report.span}"[1:],
        subject=f"{report.definition.title}, {report.span.brief}: {summary}; {verdict.text}",
        summary=summary,
        verdict=verdict,
        problems=_problems(report),
        groups=tuple(_groups(report)),
        unusual=tuple(Cell(_unusual(report, item), _TONES[item.verdict]) for item in unusual),
        charts=tuple(_chart(course, number) for number, course in enumerate(shown)),
        charted=tuple(f"{course.metric.label}, {_range(course)}" for course in shown),
        moved=tuple(_moved(report, item) for item in report.movements),
        health=tuple(Line(fact.label, _state(fact.state), fact.text) for fact in report.health),
        notes=_notes(report, judged),
    )


def _problems(report: Report) -> Cell | None:
    states = [fact.state for fact in report.health if fact.state in (State.WARNING, State.BAD)]
    if not states:
        return None
    things = "1 thing" if len(states) == 1 else f"{len(states)} things"
    return Cell(f"{things} to check in the pipeline", "bad" if State.BAD in states else "warn")


def _headline(report: Report, figure: Figure) -> str:
    change = figure.changes[-1]
    text = f"{figure.metric.label} {words.value(figure.metric, figure.value, report.currency)}"
    text += f" ({words.change(figure.metric, change.difference, change.share)} vs {change.span.brief})"
    return f"{text} as of {figure.span.brief}" if report.lags(figure) else text


def _groups(report: Report) -> list[Group]:
    found = []
    for section in report.definition.sections:
        figures = [(name, report.figures.get(name)) for name in section.metrics]
        own = [item for _, item in figures if item and item.span == report.span]
        heads = tuple(change.span.brief for change in own[0].changes) if own else ("before",)
        rows = tuple(_row(report, item, len(heads)) for _, item in figures if item)
        found.append(Group(section.title, heads, rows))
    return found


def _row(report: Report, figure: Figure, columns: int) -> Row:
    metric = figure.metric
    note = "" if figure.span == report.span else figure.span.brief
    if note and report.lags(figure):
        note = f"complete only to {note}"
    elif note:
        note = f"{note}, against {figure.changes[-1].span.brief}"
    changes = [_changed(figure, change) for change in figure.changes]
    cells = [Cell("")] * (columns - len(changes)) + changes
    known = [value for _, value in figure.series() if value is not None]
    value = words.value(metric, figure.value, report.currency)
    picture = None
    if len(known) > 1:
        low, high = (words.value(metric, item, report.currency) for item in (min(known), max(known)))
        alt = f"{metric.label}, last {len(figure.series())} {figure.span.grain}s: {low} to {high}, now {value}"
        picture = Picture(f"spark-{metric.name}", charts.spark(figure), alt, charts.SPARK)
    return Row(metric.label, note, value, tuple(cells), picture)


def _changed(figure: Figure, change: Change) -> Cell:
    return Cell(words.change(figure.metric, change.difference, change.share), _TONES[change.verdict])


def _unusual(report: Report, item: Unusual) -> str:
    metric, signed = item.metric, item.is_change
    value, low, middle, high = (
        words.value(metric, number, report.currency, signed)
        for number in (
            item.value,
            item.usual.low if signed else item.usual.shown_low,
            item.usual.middle,
            item.usual.high,
        )
    )
    label = f"{metric.label} changed by {value}" if signed else f"{metric.label}: {value}"
    return f"{label} on {item.span.brief}; usually {middle}, from {low} to {high}"


def _charted(report: Report) -> list[Course]:
    """What is unusual, or else the first headline metric that is judged."""
    candidates = [course for course in report.courses if course.metric.kind != Kind.LAST]
    unusual = [course for course in candidates if course.unusual]
    unusual.sort(key=lambda course: -max(item.distance for item in course.unusual))
    judged = [course for course in candidates if course.usual]
    judged.sort(key=lambda course: course.metric.name not in report.definition.headline)
    return unusual[:CHARTS] or judged[:1]


def _chart(course: Course, number: int) -> Picture:
    known = len(course.usual)
    alt = f"{course.metric.label}, {_range(course)}, with the usual range of {known} of them"
    if course.unusual:
        alt += f"; outside of it: {', '.join(item.span.brief for item in course.unusual)}"
    return Picture(f"chart-{number}", charts.banded(course), alt, charts.BANDED)


def _range(course: Course) -> str:
    return f"last {len(course.points)} {course.points[-1][0].grain}s"


def _moved(report: Report, item: Movement) -> Moved:
    metric = item.metric
    ratio = bool(metric.measure.ratio)
    total = words.value(metric, item.change, report.currency, signed=True)
    heads = (item.label, item.before.brief, item.span.brief, "Contribution", *(("by rate", "by mix") if ratio else ()))
    rows = [
        (
            words.named(effect.value),
            *(words.value(metric, number, report.currency) for number in (effect.before, effect.now)),
            *_effects(report, item, effect),
        )
        for effect in sorted(item.effects[:VALUES], key=lambda effect: -abs(effect.effect))
    ]
    rest = item.effects[VALUES:]
    if count := len(rest) + item.hidden:
        others = together([*rest, item.small])
        rows.append((f"{count} {'other' if count == 1 else 'others'}", "", "", *_effects(report, item, others)))
    title = f"{metric.label} by {item.label[:1].lower()}{item.label[1:]}"
    return Moved(title, Cell(total, _TONES[metric.verdict(item.change)]), item.before.brief, heads, tuple(rows))


def _effects(report: Report, item: Movement, effect: Effect) -> tuple[str, ...]:
    numbers = (effect.effect, effect.rate, effect.mix) if item.metric.measure.ratio else (effect.effect,)
    return tuple(words.value(item.metric, number, report.currency, signed=True) for number in numbers)


def _state(state: State) -> Cell:
    return {
        State.GOOD: Cell("OK", "good"),
        State.NOTE: Cell("Note"),
        State.WARNING: Cell("Check", "warn"),
        State.BAD: Cell("Problem", "bad"),
    }[state]


def _notes(report: Report, judged: set[str]) -> tuple[str, ...]:
    left = [item.metric.label for name, item in report.figures.items() if name not in judged]
    weeks = "" if report.definition.grain == Grain.DAY else f", of a week of the {PERIODS[Grain.WEEK]} weeks before"
    found = [
        f"Unusual: more than {LIMIT} spreads from the median of the same weekday in the {PERIODS[Grain.DAY]} weeks "
        f"before{weeks} (at least {LEAST} known). The spread is the median distance from such medians, scaled to a "
        f"standard deviation, and at least what chance makes of a count. Counts below {VOLUME} are not judged, and "
        "balances by their change."
    ]
    if left and judged:
        found.append(
            f"Not judged, for lack of history or volume, or as it is known by longer periods: {', '.join(left)}."
        )
    if any(item.metric.measure.ratio for item in report.movements):
        found.append(
            "A rate changes because the rate of a value changed (by rate) or because values with higher or lower rates "
            "became more of the whole (by mix); both add up to the contribution, and all contributions to the change."
        )
    found.append(
        f'All numbers are of release {report.release} and stay what they are; "lake metrics describe NAME" explains '
        f"each. Owner of this report: {report.definition.owner}."
    )
    return tuple(found)
