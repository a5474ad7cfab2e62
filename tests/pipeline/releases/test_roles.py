"""Releases of roles: for each role, table and column exactly what the file says, at the cost of what changed."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import pytest

from ingest.contracts.classes import Class
from ingest.errors import ConfigError
from ingest.settings import Settings
from pipeline.access.classes import Classed
from pipeline.access.privacy import Group
from pipeline.access.roles import Role
from pipeline.releases import roles
from pipeline.releases.catalog import write_catalog
from pipeline.releases.export import prune
from pipeline.releases.release import Release, ReleaseFile, Releases, ReleaseTable, catalog_key, file_key, manifest_key
from pipeline.releases.role_views import check_patterns, views_of
from pipeline.releases.roles import make, settings_of
from pipeline.releases.rollups import store_rollups

NOW = dt.datetime(2026, 5, 1, 6, tzinfo=dt.UTC)
KEY = "a key that is long enough"
PEOPLE = "gold.people"
PLAYS, WEEKLY, TOTAL = "gold.plays_daily", "gold.plays_weekly", "gold.plays_total"
ROLLUP = (
    "SELECT CAST(DATE_TRUNC('WEEK', d.date) AS DATE) AS week_date, d.country_code AS country_code, "
    "CAST(SUM(d.plays) AS BIGINT) AS plays FROM gold.plays_daily AS d "
    "GROUP BY CAST(DATE_TRUNC('WEEK', d.date) AS DATE), d.country_code"
)
SUMMED = "SELECT country_code, SUM(plays)::BIGINT AS plays FROM gold.plays_daily GROUP BY ALL"
QUASI, DIRECT = (Classed(found, found, frozenset({"customer"})) for found in (Class.QUASI, Class.DIRECT))
CLASSES = {
    PEOPLE: {"customer_id": DIRECT, "name": DIRECT, "country_code": QUASI, "spent": Classed()},
    PLAYS: {"date": Classed(), "country_code": QUASI, "plays": Classed()},
    WEEKLY: {"week_date": Classed(), "country_code": QUASI, "plays": Classed()},
    TOTAL: {"country_code": QUASI, "plays": Classed()},
}
GROUPS = {name: Group("plays", "", "privacy/x.yaml") for name in (PLAYS, WEEKLY, TOTAL)}
COLUMNS = {
    PEOPLE: {"customer_id": "BIGINT", "name": "TEXT", "country_code": "TEXT", "spent": "DECIMAL(18, 2)"},
    PLAYS: {"date": "DATE", "country_code": "TEXT", "plays": "BIGINT"},
    WEEKLY: {"week_date": "DATE", "country_code": "TEXT", "plays": "BIGINT"},
    TOTAL: {"country_code": "TEXT", "plays": "BIGINT"},
}
PERSONS = [(1, "Ada", "de", 10), (2, "Bo", "de", 5), (3, "Cy", "de", 7), (4, "Di", "fr", 9), (5, "Eva", None, 1)]


class World:
    """Releases of a small domain, made by hand."""

    def __init__(self, folder: Path) -> None:
        self.releases = Releases(Settings(lake_home=str(folder)))
        self.before: Release | None = None
        self.days = {
            dt.date(2026, 3, 2): {"de": 40, "fr": 3},
            dt.date(2026, 3, 3): {"de": 41, "fr": 9},
            dt.date(2026, 4, 7): {"de": 5, "fr": 4, "it": 1},
        }

    def publish(self, *changed: dt.date, people: bool = False) -> Release:
        """Publish the next release, with new files for the months of changed days."""
        number = self.before.number + 1 if self.before else 1
        old = self.before.tables if self.before else {}
        months = {f"{day:%Y-%m}" for day in changed} if self.before else {f"{day:%Y-%m}" for day in self.days}
        kept = tuple(file for file in old[PLAYS].files if file.part not in months) if old else ()
        rows = [(day, country, plays) for day, found in self.days.items() for country, plays in found.items()]
        files = tuple(
            self._write(PLAYS, [row for row in rows if f"{row[0]:%Y-%m}" == month], number, month)
            for month in sorted(months)
        )
        persons = (self._write(PEOPLE, PERSONS, number),) if people or not old else old[PEOPLE].files
        tables = {
            PEOPLE: self._table(PEOPLE, persons, grain=("customer_id",), not_null=("customer_id", "name")),
            PLAYS: self._table(PLAYS, kept + files, time_column="date", grain=("date", "country_code")),
            WEEKLY: self._table(WEEKLY, query=ROLLUP, grain=("week_date", "country_code")),
            TOTAL: self._table(
                TOTAL, query=f"SELECT country_code, SUM(plays)::BIGINT AS plays FROM {PLAYS} GROUP BY ALL"
            ),
        }
        tables |= store_rollups(self.releases, tables, self.before, number)
        self.before = Release(number, NOW, "lake", {}, number, tables)
        path = Path(self.releases.options.lake_home) / f"catalog-{number}.duckdb"
        write_catalog(self.releases, path, self.before)
        self.releases.store.put(catalog_key(number), path.read_bytes())
        self.releases.store.put(manifest_key(number), self.before.to_json())
        self.releases.point_to(number)
        return self.before

    def _table(self, name: str, files: tuple[ReleaseFile, ...] = (), **options: Any) -> ReleaseTable:
        return ReleaseTable(name, "1", "", tuple((*item, "") for item in COLUMNS[name].items()), files, **options)

    def _write(self, name: str, rows: list[Any], number: int, part: str = "") -> ReleaseFile:
        key = file_key(name, number, part)
        path = self.releases.store.stage(key)
        with duckdb.connect() as connection:
            connection.execute(f"CREATE TABLE made ({', '.join(map(' '.join, COLUMNS[name].items()))})")
            connection.executemany(f"INSERT INTO made VALUES ({', '.join('?' * len(COLUMNS[name]))})", rows)
            connection.execute(f"COPY made TO '{path}' (FORMAT parquet)")
        self.releases.store.publish({key: path})
        return ReleaseFile(key, part, len(rows), 1)


@pytest.fixture
def world(tmp_path: Path) -> World:
    made = World(tmp_path)
    made.publish()
    return made


def role(**options: Any) -> Role:
    given = {"name": "analyst", "description": "Reads.", "owner": "data", "tables": ["gold.*"], "minimum_group_size": 4}
    return Role.model_validate(given | options)


def made_for(world: World, wanted: Role, key: str | None = KEY) -> tuple[Releases, roles.Made | None]:
    own = Releases(settings_of(world.releases.options, wanted.name))
    current = world.releases.current()
    assert current is not None
    views = views_of(wanted, current, CLASSES, GROUPS, key)
    return own, make(world.releases, own, wanted, views, key)


def rows(own: Releases, table: str) -> Counter[tuple[Any, ...]]:
    with own.connect() as reader:
        return Counter(reader.execute(f"FROM lake.{table}").fetchall())


def hashed(value: Any, key: str = KEY) -> str:
    return hmac.new(key.encode(), f"customer:{value}".encode(), hashlib.sha256).hexdigest()[:32]


def test_direct_columns_are_not_shown_and_small_groups_of_persons_have_no_country(world: World) -> None:
    own, _ = made_for(world, role(minimum_group_size=3))
    expected = [(None, None, "de" if row[2] == "de" else None, row[3]) for row in PERSONS]
    assert rows(own, PEOPLE) == Counter(expected)
    table = own.current().tables[PEOPLE]  # type: ignore[union-attr]
    assert (table.grain, table.not_null) == ((), ())


def test_group_is_counted_by_persons_and_not_by_their_rows(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Three versions of one customer are one person, whatever else tells the rows apart; rows without a key count."""
    versions = [*PERSONS[:3], *((6, f"Zoe {number}", "it", number) for number in range(3))]
    unknown = [(None, f"Guest {number}", "es", number) for number in range(3)]
    monkeypatch.setattr(f"{__name__}.PERSONS", [*versions, *unknown])
    world.publish(people=True)
    own, _ = made_for(world, role(minimum_group_size=3))
    assert Counter(row[2] for row in rows(own, PEOPLE).elements()) == Counter({"de": 3, None: 3, "es": 3})


def test_hashes_join_and_stay_keys(world: World) -> None:
    own, _ = made_for(world, role(classes={"direct": "hash", "quasi": None}))
    assert rows(own, PEOPLE) == Counter((hashed(row[0]), hashed(row[1]), None, row[3]) for row in PERSONS)
    table = own.current().tables[PEOPLE]  # type: ignore[union-attr]
    assert table.grain == ("customer_id",)
    assert {name: kind for name, kind, _ in table.columns}["customer_id"] == "TEXT"


def test_no_cell_is_below_the_minimum_and_rollups_are_of_what_is_shown(world: World) -> None:
    own, _ = made_for(world, role())
    shown = {
        (day, country, plays) for day, found in world.days.items() for country, plays in found.items() if plays >= 4
    }
    assert rows(own, PLAYS) == Counter(shown)
    # by week from the same rows: the three plays of 2 March cannot be calculated from both
    march, april = dt.date(2026, 3, 2), dt.date(2026, 4, 6)
    assert rows(own, WEEKLY) == Counter([(march, "de", 81), (march, "fr", 9), (april, "de", 5), (april, "fr", 4)])
    assert rows(own, TOTAL) == Counter([("de", 86), ("fr", 16)])


def test_rows_are_filtered_by_their_clear_values(world: World) -> None:
    where = {"tables": [PLAYS], "where": "country_code = 'de' AND plays > 10"}
    own, _ = made_for(
        world, role(rows=[where], tables=["gold.plays_*"], **{"except": [TOTAL]}, classes={"quasi": None})
    )
    assert rows(own, PLAYS) == Counter([(dt.date(2026, 3, 2), None, 40), (dt.date(2026, 3, 3), None, 41)])
    assert rows(own, WEEKLY) == Counter([(dt.date(2026, 3, 2), None, 81)])
    assert set(own.current().tables) == {PLAYS, WEEKLY}  # type: ignore[union-attr]


def test_view_of_filtered_rows_needs_a_condition_of_its_own(world: World) -> None:
    wanted = role(rows=[{"tables": [PLAYS], "where": "country_code = 'de'"}])
    with pytest.raises(
        ConfigError, match=r"sees some rows of gold.plays_daily alone, but gold.plays_total is computed"
    ):
        made_for(world, wanted)


def test_next_release_writes_what_changed_alone(world: World) -> None:
    own, first = made_for(world, role(classes={"direct": "hash"}))
    assert first is not None
    assert first.files == 2 + 1 + 1 + 2  # months, persons, the view, months of weeks
    assert made_for(world, role(classes={"direct": "hash"}))[1] is None
    world.days[dt.date(2026, 4, 8)] = {"de": 11}
    world.publish(dt.date(2026, 4, 8))
    _, second = made_for(world, role(classes={"direct": "hash"}))
    assert second is not None
    assert (second.number, second.files, second.has_new_rules) == (
        2,
        4,
        False,
    )  # April, two months of weeks, the view
    assert own.numbers() == [1, 2]


def test_new_key_rewrites_hashes_and_withdraws_older_releases(world: World) -> None:
    wanted = role(classes={"direct": "hash"})
    made_for(world, wanted)
    world.publish(people=True)
    made_for(world, wanted)
    other = "another key, as long as that"
    own, done = made_for(world, wanted, other)
    assert done is not None
    assert (done.has_new_key, done.files, own.numbers()) == (True, 1, [2])  # only persons have hashes
    assert {row[0] for row in rows(own, PEOPLE)} == {hashed(row[0], other) for row in PERSONS}
    stored = b"".join(own.store.get(item.key) for item in own.store.list())
    assert not any(hashed(row[0]).encode() in stored for row in PERSONS)


def test_stricter_rules_leave_nothing_of_before(world: World) -> None:
    own, _ = made_for(world, role(columns=[{"names": ["gold.people.name"], "show": "clear"}]))
    assert {row[1] for row in rows(own, PEOPLE)} == {row[1] for row in PERSONS}
    _, done = made_for(world, role())
    assert done is not None
    assert done.has_new_rules
    stored = [own.store.root / item.key for item in own.store.list()]  # type: ignore[operator]
    files = [path for path in stored if path.suffix == ".parquet" and PEOPLE in str(path)]
    assert len(files) == 1
    assert {row[1] for row in rows(own, PEOPLE)} == {None}


def test_what_was_interrupted_anywhere_goes_on(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """An error after each change of the store in turn, then the same again: the same release, and nothing left over."""
    wanted = role(classes={"direct": "hash"})
    own, _ = made_for(world, wanted)
    world.days[dt.date(2026, 4, 8)] = {"de": 11}
    world.publish(dt.date(2026, 4, 8))
    stricter = role(classes={"direct": None})
    store = type(own.store)
    left = 0

    def breaking(change: Callable[..., Any]) -> Callable[..., Any]:
        def changed(*given: Any) -> Any:
            nonlocal left
            left -= 1
            if left < 0:
                raise OSError("the disk is gone")
            return change(*given)

        return changed

    for broken_at in range(40):
        left = broken_at
        with monkeypatch.context() as patched:
            for name in ("put", "publish", "delete"):
                patched.setattr(store, name, breaking(getattr(store, name)))
            try:
                made_for(world, stricter)
            except OSError:
                continue
        break
    assert broken_at > 5
    assert {row[:2] for row in rows(own, PEOPLE)} == {(None, None)}
    assert own.numbers() == [2]
    used = {file.key for table in own.get(2).tables.values() for file in table.files}
    assert {item.key for item in own.store.list("tables")} == used


def test_manifest_names_no_table_that_the_role_does_not_see(world: World) -> None:
    clear = world.releases.get(1)
    days = {PLAYS: ("2026-03-02",), PEOPLE: ()}
    audits = ({"name": "people_are_known", "scope": "everything", "rows": 0},)
    store = world.releases.store
    store.put(manifest_key(1), replace(clear, dates=days, audits=audits).to_json())
    own, _ = made_for(world, role(tables=["gold.plays_*"]))
    assert set(own.get(1).dates) == {PLAYS}
    assert len(own.get(1).audits) == 1
    assert b"people" not in own.store.get(manifest_key(1))


def test_readers_follow_a_rollback(world: World) -> None:
    own, _ = made_for(world, role())
    world.publish(people=True)
    made_for(world, role())
    world.releases.roll_back()
    assert roles.roll_back(world.releases, own)
    assert own.pointer() | {"catalog": ""} == {"state": 1, "held": True, "catalog": ""}
    own.store.delete([manifest_key(1)])
    assert not roles.roll_back(world.releases, own)
    assert own.pointer() == {}


def test_pruned_releases_go(world: World) -> None:
    own, _ = made_for(world, role())
    for _ in range(3):
        world.publish(people=True)
        made_for(world, role())
    prune(world.releases, 2, NOW + dt.timedelta(days=3))
    made_for(world, role())
    assert own.numbers() == world.releases.numbers() == [3, 4]


def test_removed_role_leaves_nothing(world: World) -> None:
    own, _ = made_for(world, role())
    roles.register(world.releases, ["analyst"])
    assert roles.registered(world.releases) == {"analyst"}
    assert roles.empty(own, "analyst")
    assert own.current().tables == {}  # type: ignore[union-attr]
    roles.delete(own, "analyst")
    assert list(own.store.list()) == []


def test_two_roles_never_share_a_schema(tmp_path: Path) -> None:
    options = Settings(lake_home=str(tmp_path), serving_dsn="postgresql:///bi", serving_schema="s" * 50)
    assert settings_of(options, "a" * 12).serving_schema == f"{'s' * 50}_{'a' * 12}"
    with pytest.raises(ConfigError, match="is longer than 63 characters; shorten SERVING_SCHEMA"):
        settings_of(options, "a" * 13)


def test_place_of_somebody_else_is_neither_written_nor_deleted(world: World) -> None:
    """A landing bucket s3://lake-events is where the role events of PUBLISHED_URI=s3://lake would be."""
    own = Releases(settings_of(world.releases.options, "analyst"))
    own.store.put("2026/03/events.json", b"{}")
    for use in (
        lambda: made_for(world, role()),
        lambda: roles.empty(own, "analyst"),
        lambda: roles.delete(own, "analyst"),
    ):
        with pytest.raises(ConfigError, match=r"published-analyst: expected the releases of role analyst, but it has"):
            use()
    own.store.put("current.json", b'{"state": 7}')
    assert not roles.roll_back(world.releases, own)
    assert {item.key for item in own.store.list()} == {"2026/03/events.json", "current.json"}


@pytest.mark.parametrize(
    ("options", "pattern"),
    [
        ({"tables": ["gold.*", "golt.plays_*"]}, "golt.plays_*"),
        ({"except": ["gold.persons"]}, "gold.persons"),
        ({"columns": [{"names": ["gold.people.nmae"], "show": "hash"}]}, "gold.people.nmae"),
        ({"tables": [PEOPLE], "columns": [{"names": [f"{PLAYS}.plays"], "show": None}]}, f"{PLAYS}.plays"),
        ({"rows": [{"tables": ["gold.plays"], "where": "country_code = 'de'"}]}, "gold.plays"),
    ],
)
def test_pattern_that_matches_nothing_is_refused(world: World, options: Any, pattern: str) -> None:
    release = world.releases.get(1)
    check_patterns(role(columns=[{"names": ["gold.*.name"], "show": None}], **{"except": [TOTAL]}), release)
    with pytest.raises(ConfigError, match=f": {re.escape(pattern)} matches nothing that the role sees"):
        check_patterns(role(**options), release)


def test_column_that_the_project_no_longer_knows_counts_as_sensitive(world: World) -> None:
    own = Releases(settings_of(world.releases.options, "analyst"))
    current = world.releases.current()
    assert current is not None
    known = {name: {key: item for key, item in found.items() if key != "spent"} for name, found in CLASSES.items()}
    make(world.releases, own, role(), views_of(role(), current, known, GROUPS, None), None)
    assert {row[3] for row in rows(own, PEOPLE)} == {None}


@pytest.mark.parametrize(
    ("options", "key", "message"),
    [
        ({"classes": {"direct": "hash"}}, None, "role analyst shows hashes in gold.people, so expected its key"),
        ({"classes": {"direct": "hash"}}, "short", "at least 16 characters, in LAKE_ROLE_KEYS"),
        ({"tables": ["silver.*"]}, None, "role analyst sees no table; published are gold.people"),
        ({"classes": {"none": "hash"}}, KEY, r"masks gold.plays_daily.date, by which the table is divided"),
        ({"columns": [{"names": ["*.*.spent"], "show": {"partial": 1}}]}, None, "spent is of type .*does not suit"),
        ({"rows": [{"tables": [PEOPLE], "where": "name"}]}, None, "is a VARCHAR; expected a comparison"),
        ({"rows": [{"tables": [PEOPLE], "where": "x.name = 'a'"}]}, None, "the condition on rows of gold.people fails"),
        (
            {"rows": [{"tables": [PEOPLE], "where": "spent = 'much'"}]},
            None,
            "the condition on rows of gold.people fails",
        ),
        ({"rows": [{"tables": [PEOPLE], "where": "city = 'x'"}]}, None, "names city; expected one of country_code"),
        (
            {"columns": [{"names": [f"{WEEKLY}.country_code"], "show": None}]},
            None,
            "shows gold.plays_weekly.country_code as null, but it is summed from what the role sees of gold.plays",
        ),
        (
            {"rows": [{"tables": [WEEKLY], "where": "country_code = 'de'"}]},
            None,
            "sees some rows of gold.plays_weekly alone, but they are summed from .* give gold.plays_daily the same",
        ),
    ],
)
def test_rules_that_do_not_fit_are_refused(world: World, options: Any, key: str | None, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        made_for(world, role(**options), key)
