"""Ten dashboard queries on the published files, on Postgres, and on the events themselves.

    python -m benchmarks.serving --events 100000000 --days 1096 --folder /somewhere/with/30/GB

The history is generated as silver.activity_events_enriched, the input of gold, in Parquet files of thirty days with
only the queried columns, from hashes of a sequence number (the same events in every run), with the shares of devices
and apps of `lake sample`; 50,000 users and 600 activities, few of them with most plays. Gold is computed by the
models' own SQL, published in files per month like `lake publish`, and loaded into a temporary PostgreSQL like
`lake publish --to postgres`.
"""

from __future__ import annotations

import argparse
import datetime as dt
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.dashboard_history import (
    DAILY,
    FIRST,
    POPULARITY,
    SILVER,
    last_day,
    make_silver,
    publish_gold,
    silver,
)
from benchmarks.measure import this_machine
from ingest.settings import Settings, read_settings, settings
from pipeline.releases.release import Releases
from pipeline.serving.serve import serve
from sample.users import COUNTRIES
from tests.postgres_server import serve_postgres


@dataclass(frozen=True, slots=True)
class Question:
    """A query of a dashboard.

    Attributes:
        days: days from `{since}` to `{day}`.
        gold: the query; `{day}`, `{since}` and `{country}` are filled in, with other values each time.
        silver: the same query on the events.
    """

    name: str
    days: int
    gold: str
    silver: str


@dataclass(frozen=True, slots=True)
class Contender:
    """A system under test.

    Attributes:
        ask: runs a query.
        cpu: returns its CPU time so far, of all its threads, seconds.
        layer: which of a question's queries it runs.
    """

    ask: Callable[[str], object]
    cpu: Callable[[], float]
    layer: str
    rounds: int


@dataclass(frozen=True, slots=True)
class Taken:
    """The cost of one answer, in seconds."""

    wall: float
    cpu: float


def _daily(columns: str, rest: str, of_events: str) -> tuple[str, str]:
    """A query on the daily table, and the same on the events, which compute its measures."""
    events = columns
    for measure, found in (
        ("SUM(activities_played)", "COUNT(event_id)"),
        ("SUM(completed_plays)", "COUNT(CASE WHEN completed_flag THEN event_id END)"),
        ("SUM(total_time_spent)", "SUM(duration_seconds)"),
    ):
        events = events.replace(measure, found)
    return f"SELECT {columns} FROM {DAILY} {rest}", f"SELECT {events} FROM {SILVER} {of_events or rest}"


_RANGE = "WHERE date > DATE '{since}' AND date <= DATE '{day}'"
_WHO = f"{_RANGE} AND country_code = '{{country}}'"
QUESTIONS = (
    Question(
        "plays and time per day, 30 days",
        30,
        *_daily("date, SUM(activities_played), SUM(total_time_spent)", f"{_RANGE} GROUP BY date ORDER BY date", ""),
    ),
    Question(
        "one day and the day a week before",
        7,
        *_daily(
            "date, SUM(activities_played), SUM(completed_plays)",
            "WHERE date IN (DATE '{since}', DATE '{day}') GROUP BY date",
            "",
        ),
    ),
    Question(
        "plays by country, 7 days",
        7,
        *_daily(
            "country_code, SUM(activities_played) AS plays", f"{_RANGE} GROUP BY country_code ORDER BY plays DESC", ""
        ),
    ),
    Question(
        "plays by system and app in a country, 30 days",
        30,
        *_daily("os_name, app_version, SUM(activities_played)", f"{_WHO} GROUP BY os_name, app_version", ""),
    ),
    Question(
        "share completed per day and status in a country, 90 days",
        90,
        *_daily(
            "date, subscription_status, SUM(completed_plays)::DOUBLE PRECISION / SUM(activities_played)",
            f"{_WHO} GROUP BY date, subscription_status ORDER BY date",
            "",
        ),
    ),
    Question(
        "plays per month, all history",
        0,
        f"SELECT month_date, SUM(activities_played) FROM {DAILY}_monthly GROUP BY month_date ORDER BY month_date",
        f"SELECT DATE_TRUNC('MONTH', date), COUNT(event_id) FROM {SILVER} GROUP BY 1 ORDER BY 1",
    ),
    Question(
        "kinds of activity per week, a year, in a country",
        364,
        f"SELECT week_date, activity_type, SUM(activities_played) FROM {DAILY}_weekly "
        "WHERE week_date > DATE '{since}' AND week_date <= DATE '{day}' AND country_code = '{country}' GROUP BY 1, 2",
        f"SELECT DATE_TRUNC('WEEK', date), activity_type, COUNT(event_id) FROM {SILVER} {_WHO} GROUP BY 1, 2",
    ),
    Question(
        "twenty most played activities, 7 days",
        7,
        f"SELECT activity_id, MAX(activity_name), SUM(plays) AS plays FROM {POPULARITY} {_RANGE} GROUP BY activity_id "
        "ORDER BY plays DESC LIMIT 20",
        f"SELECT activity_id, MAX(activity_name), COUNT(event_id) AS plays FROM {SILVER} {_RANGE} GROUP BY activity_id "
        "ORDER BY plays DESC LIMIT 20",
    ),
    Question(
        "one activity per day, 90 days",
        90,
        f"SELECT date, plays, user_count FROM {POPULARITY} {_RANGE} AND activity_id = 'activity_007' ORDER BY date",
        f"SELECT date, COUNT(event_id), COUNT(DISTINCT user_id) FROM {SILVER} {_RANGE} "
        "AND activity_id = 'activity_007' GROUP BY date ORDER BY date",
    ),
    Question(
        "ten most played activities ever",
        0,
        "SELECT activity_name, plays, plays_share FROM gold.rpt_most_played_activities ORDER BY plays_rank LIMIT 10",
        f"SELECT activity_id, COUNT(event_id) AS plays FROM {SILVER} GROUP BY activity_id ORDER BY plays DESC LIMIT 10",
    ),
)


def main() -> None:
    """Make the history, publish and serve it, run the queries, and print a table."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--events", type=int, default=1_000_000)
    arguments.add_argument("--days", type=int, default=90)
    arguments.add_argument("--rounds", type=int, default=20, help="runs of each question")
    arguments.add_argument("--silver-rounds", type=int, default=3, help="runs on the events, which take longer")
    arguments.add_argument(
        "--postgres", action=argparse.BooleanOptionalAction, default=True, help="measure Postgres as well"
    )
    arguments.add_argument("--folder", type=Path, help="keep history and files here, for another run")
    options = arguments.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="lakemesh-serving-"))
    try:
        _make(folder, options.events, options.days)
        if options.postgres:
            with serve_postgres() as server:
                given = {name.removeprefix("PG").lower(): value for name, value in server.variables.items()}
                dsn = " ".join(f"{name}={_quoted(value)}" for name, value in (given | {"dbname": "postgres"}).items())
                _serve(folder, options.days, dsn)
                _compare(folder, options.days, options.rounds, options.silver_rounds, dsn)
        else:
            _compare(folder, options.days, options.rounds, options.silver_rounds)
    finally:
        if options.folder is None:
            shutil.rmtree(folder)


def _make(folder: Path, events: int, days: int) -> None:
    """Make the history and the first release, unless they exist."""
    folder.mkdir(parents=True, exist_ok=True)
    history = folder / "silver"
    with _settings(folder, SERVING_DSN="") as options:
        if not history.exists():
            with _timed("events generated"):
                draft = folder / "silver.draft"
                shutil.rmtree(draft, ignore_errors=True)
                draft.mkdir()
                make_silver(draft, events, days)
                draft.rename(history)
        if not Releases(options).numbers():
            with _timed("gold computed and published"):
                publish_gold(history, options, days)
        Releases(options).point_to(1)
        tables = Releases(options).get(1).tables
    sizes = [sum(path.stat().st_size for path in history.iterdir())]
    sizes.append(sum(file.bytes for table in tables.values() for file in table.files))
    print(f"{events:,} events on {days} days ({this_machine()})")
    print(f"events {sizes[0] / 1e9:.2f} GB, published {sizes[1] / 1e9:.3f} GB")
    for name, table in tables.items():
        print(f"{name}: {f'{table.rows:,} rows' if table.files else 'a view'}", flush=True)


def _serve(folder: Path, days: int, dsn: str) -> None:
    """Load two releases into Postgres, the second with one changed day."""
    with _settings(folder, SERVING_DSN=dsn) as options:
        with _timed("first release loaded into Postgres"):
            done = serve(options, Releases(options))
        print(f"{sum(change.written for change in done.changes.values()):,} rows written", flush=True)
        with _timed("same release again"):
            serve(options, Releases(options))
        if len(Releases(options).numbers()) < 2:
            publish_gold(folder / "silver", options, days, last_day(days) - dt.timedelta(days=min(40, days - 1)))
        Releases(options).point_to(2)
        with _timed("a release with one changed day"):
            done = serve(options, Releases(options))
        for name, change in done.changes.items():
            print(f"{name}: {change.deleted:,} rows deleted, {change.written:,} written", flush=True)


def _compare(folder: Path, days: int, rounds: int, silver_rounds: int, dsn: str = "") -> None:
    """Run all in turn, so that drift of the machine affects all equally, and print a table."""
    with _settings(folder, SERVING_DSN=dsn) as options:
        published, events = Releases(options).connect(), silver(folder / "silver")
    contenders = {
        "published": Contender(lambda query: published.execute(query).fetchall(), time.process_time, "gold", rounds),
        "events": Contender(lambda query: events.execute(query).fetchall(), time.process_time, "silver", silver_rounds),
    }
    if dsn:
        contenders["Postgres"] = _postgres(dsn, rounds)
    taken: dict[str, list[list[Taken]]] = {name: [[] for _ in QUESTIONS] for name in contenders}
    for round_number in range(-1, rounds):  # the first round is a warm-up and is not counted
        for place, question in enumerate(QUESTIONS):
            for name, contender in contenders.items():
                if round_number < contender.rounds and (round_number >= 0 or contender.rounds > 1):
                    query = getattr(question, contender.layer)
                    one = _measured(contender, _filled(query, question, days, round_number))
                    if round_number >= 0:
                        taken[name][place].append(one)
    print(f"\n| question | {' | '.join(f'{name} ms, median | p95 | CPU' for name in contenders)} |")
    print("|---" * (1 + 3 * len(contenders)) + "|")
    for place, question in enumerate(QUESTIONS):
        print(_line(question.name, [taken[name][place] for name in contenders]))
    print(_line("all ten", [[one for some in taken[name] for one in some] for name in contenders]), flush=True)


def _postgres(dsn: str, rounds: int) -> Contender:
    """Postgres with one process per query, as on a server with many readers; CPU time in steps of 1/100 s."""
    import psycopg2

    session = psycopg2.connect(dsn)
    session.autocommit = True
    cursor = session.cursor()
    cursor.execute("SET max_parallel_workers_per_gather = 0")
    process = Path(f"/proc/{session.info.backend_pid}/stat")

    def ask(query: str) -> None:
        cursor.execute(query)
        cursor.fetchall()

    def cpu() -> float:
        user, system = process.read_text().rsplit(")", 1)[1].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    return Contender(ask, cpu, "gold", rounds)


def _measured(contender: Contender, query: str) -> Taken:
    cpu, started = contender.cpu(), time.perf_counter()
    contender.ask(query)
    return Taken(time.perf_counter() - started, contender.cpu() - cpu)


def _line(name: str, taken_by: Sequence[Sequence[Taken]]) -> str:
    cells = [
        _ms(seconds)
        for taken in taken_by
        for seconds in (
            statistics.median(one.wall for one in taken),
            _p95([one.wall for one in taken]),
            statistics.mean(one.cpu for one in taken),
        )
    ]
    return f"| {name} | {' | '.join(cells)} |"


def _quoted(value: str) -> str:
    """Quote a value for a libpq connection string."""
    escaped = value.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"


def _p95(taken: Sequence[float]) -> float:
    """The smallest time that 95 % of the answers did not exceed."""
    return sorted(taken)[-(-len(taken) * 95 // 100) - 1]


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:,.1f}" if seconds < 0.1 else f"{seconds * 1000:,.0f}"


def _filled(query: str, question: Question, days: int, round_number: int) -> str:
    """Fill in a question, with another day and country each time."""
    day = last_day(days) - dt.timedelta(days=(round_number * 37) % max(1, days // 3) if round_number >= 0 else 0)
    since = max(day - dt.timedelta(days=question.days), FIRST - dt.timedelta(days=1))
    return query.format(day=day, since=since, country=COUNTRIES[round_number % len(COUNTRIES)])


@contextmanager
def _settings(folder: Path, **variables: str) -> Iterator[Settings]:
    """Settings of a lake in a folder, for SQLMesh too, without those of this machine."""
    (folder / "dotenv").touch()
    given = {"LAKE_HOME": str(folder), "SQLMESH_DOTENV_PATH": str(folder / "dotenv"), "LAKE_GATEWAY": ""}
    previous = {name: os.environ.get(name) for name in given | variables}
    os.environ.update(given | variables)
    settings.cache_clear()
    try:
        yield read_settings()
    finally:
        for name, value in previous.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        settings.cache_clear()


@contextmanager
def _timed(what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    print(f"{what} in {time.perf_counter() - started:,.1f} s", flush=True)


if __name__ == "__main__":
    main()
