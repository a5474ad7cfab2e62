"""The catalog of a release as values, and as `catalog.json`, which other tools read by docs/catalog.schema.json.

Names of columns and what is computed from them are references: `silver.users.country_code` is a column (a field of a
struct by its dotted path), `source:raw-users/country_code` a field of the objects of a feed, `metric:plays` a metric
and `tile:overview/3` a tile of a dashboard.
"""

from __future__ import annotations

import msgspec

FORMAT_VERSION = 1


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """A part of the catalog; values that equal their default are left out of its JSON."""


class Profile(Entry, frozen=True):
    """What the values of a column are like.

    Attributes:
        nulls: number of NULLs.
        distinct: number of distinct values; above 10,000 approximate (HyperLogLog, about 2 %).
        low: least value as text; absent for personal columns.
        high: greatest value as text; absent for personal columns.
        top: the most frequent texts with their numbers of rows; absent for personal columns and those with many values.
    """

    nulls: int
    distinct: int
    low: str | None = None
    high: str | None = None
    top: tuple[tuple[str, int], ...] = ()


class Column(Entry, frozen=True):
    """A column of a table; fields of a struct have dotted names.

    Attributes:
        name: unique within the table.
        type: SQL type in DuckDB's dialect.
        description: the comment of the model or contract.
        class_: how its values relate to a person: direct, quasi, sensitive or none.
        subjects: whose values they are.
        required: whether the contract requires a value in every record.
        upstream: the columns and source fields that its values are directly computed from.
        groups: of those, the ones that only group or order the rows that it is computed from.
        profile: absent where the release has no values.
    """

    name: str
    type: str
    description: str = ""
    class_: str = msgspec.field(default="none", name="class")
    subjects: tuple[str, ...] = ()
    required: bool = False
    upstream: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    profile: Profile | None = None


class Result(Entry, frozen=True):
    """The last result of an audit.

    Attributes:
        at: when the cycle that ran it began, UTC.
        rows: number of offending rows; 0 when it passed.
        scope: the dates that it checked.
    """

    at: str
    rows: int
    scope: str = ""


class Audit(Entry, frozen=True):
    """An audit of a table, or a standalone one that compares tables.

    Attributes:
        name: as in the project.
        arguments: what it was called with, as SQL.
        description: what must hold.
        owner: who answers for it; absent for audits of a table, which has an owner.
        blocking: whether rows that it finds prevent a release.
        reads: tables that a standalone audit reads.
        last: absent if it was not run since the warehouse was created.
    """

    name: str
    arguments: str = ""
    description: str = ""
    owner: str = ""
    blocking: bool = True
    reads: tuple[str, ...] = ()
    last: Result | None = None


class Figures(Entry, frozen=True):
    """How much a table holds.

    Attributes:
        rows: number of rows; of a feed those of the newest versions of its objects.
        bytes: size of its files in the release; absent for tables that are not released.
        files: number of them.
        first: first date of the time column, ISO 8601.
        last: last date of it.
        changed_in: number of the release that last wrote a file of it.
        profiled_rows: number of rows that the profile covers, the newest ones.
        profiled: fingerprint of the files that the profile was computed from.
    """

    rows: int = 0
    bytes: int = 0
    files: int = 0
    first: str = ""
    last: str = ""
    changed_in: int = 0
    profiled_rows: int = 0
    profiled: str = ""


class Contract(Entry, frozen=True):
    """The contract of a feed.

    Attributes:
        version: increased with each change of the columns.
        kind: event, entity or change.
        source: bucket and prefix of its objects.
        format: auto, csv or debezium.
        key: columns that identify a fact or an entity.
        event_time: column that dates an event.
        latest_by: columns whose greatest values win among versions of a key.
        freshness_seconds: maximum age of the newest object.
        completeness: when a day is complete, in words; empty without a rule.
        unknown_fields: rescue, evolve or freeze.
        overwritten: replace or refuse.
        max_quarantined_share: share of quarantined records from which an ingest fails, 0 to 1.
        references: columns whose values are keys of other feeds, as `column → table.column`.
        retirement: what happens to objects that are loaded, in words; empty to keep them.
    """

    version: int
    kind: str
    source: str
    format: str
    key: tuple[str, ...]
    freshness_seconds: int
    event_time: str = ""
    latest_by: tuple[str, ...] = ()
    completeness: str = ""
    unknown_fields: str = "rescue"
    overwritten: str = "replace"
    max_quarantined_share: float = 0.05
    references: tuple[str, ...] = ()
    retirement: str = ""


class Day(Entry, frozen=True):
    """The quality of a table on one UTC date, each share 0 to 1; absent where it is unknown.

    Attributes:
        date: ISO 8601.
        validity: good records ÷ records.
        completeness: rows received ÷ rows expected, at most 1.
        uniqueness: distinct keys ÷ rows.
        freshness: maximum age ÷ age of the newest object at the end of the date, at most 1.
        audits: audits that passed ÷ audits that ran.
        score: weighted mean of those that are known.
        minimum: the least of them.
        records: records that arrived.
        bad: records that are not good.
        received: rows received.
        expected: rows expected.
    """

    date: str
    validity: float | None = None
    completeness: float | None = None
    uniqueness: float | None = None
    freshness: float | None = None
    audits: float | None = None
    score: float | None = None
    minimum: float | None = None
    records: int = 0
    bad: int = 0
    received: int = 0
    expected: float | None = None


class Finding(Entry, frozen=True):
    """Rejected records of one object, by reason and column.

    Attributes:
        date: UTC date on which the object was written.
        object: bucket and key.
        reason: such as wrong_type.
        column: the column at fault, dotted; empty if it is the record.
        records: number of them.
        line: of the first, counted from 1; 0 if it is the whole object.
    """

    date: str
    object: str
    reason: str
    records: int
    column: str = ""
    line: int = 0


class Quality(Entry, frozen=True):
    """The quality of a table.

    Attributes:
        days: by date, oldest first.
        feeds: the feeds whose quality it shares, for a table that is computed from them.
        findings: what lies behind a low validity, newest first; the newest, if there are many.
        finding_count: how many there are.
    """

    days: tuple[Day, ...] = ()
    feeds: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    finding_count: int = 0


class Table(Entry, frozen=True):
    """A feed, a table, a view or a seed.

    Attributes:
        name: schema and name.
        kind: feed, table, view or seed.
        description: what one row is.
        domain: engagement, revenue, …
        owner: who answers for it.
        grain: columns that identify a row.
        tags: as in the model.
        materialization: how it is kept up to date: INCREMENTAL_BY_TIME_RANGE, FULL, VIEW, …
        schedule: cron expression; empty for feeds and seeds.
        time_column: the column that dates rows; empty for others.
        file: the model, contract or seed, relative to the project.
        released: whether releases have it.
        columns: in their order.
        reads: tables that it is computed from.
        chosen_by: columns that decide which rows it has, by filters, joins and grouping, but reach no value.
        references: columns that are keys of other tables, as `column → table.column`.
        sql: the query; empty for feeds and seeds.
        audits: those of the table, then standalone ones that read it.
        figures: absent where nothing is known.
        contract: of a feed.
        quality: absent where nothing is known.
    """

    name: str
    kind: str
    description: str
    domain: str
    owner: str
    columns: tuple[Column, ...]
    grain: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    materialization: str = ""
    schedule: str = ""
    time_column: str = ""
    file: str = ""
    released: bool = False
    reads: tuple[str, ...] = ()
    chosen_by: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    sql: str = ""
    audits: tuple[Audit, ...] = ()
    figures: Figures | None = None
    contract: Contract | None = None
    quality: Quality | None = None


class Metric(Entry, frozen=True):
    """A metric.

    Attributes:
        name: unique over all domains.
        label: what people call it.
        description: what it means.
        owner: who answers for it.
        domain: the file that defines it.
        unit: what is counted.
        format: integer, decimal, percent, currency or duration.
        table: the table that it is computed from.
        measure: how, in words.
        direction: which change is good news: up, down or none.
        grains: periods that it can be reported by.
        dimensions: columns by which it can be grouped, with labels.
        synonyms: other names.
        upstream: columns, or metrics for a ratio, that its value is computed from.
    """

    name: str
    label: str
    description: str
    owner: str
    domain: str
    unit: str
    format: str
    table: str
    measure: str
    direction: str = "none"
    grains: tuple[str, ...] = ()
    dimensions: dict[str, str] = {}
    synonyms: tuple[str, ...] = ()
    upstream: tuple[str, ...] = ()


class Tile(Entry, frozen=True):
    """A tile of a dashboard.

    Attributes:
        id: unique within the dashboard.
        title: its heading.
        question: the question that it answers.
        kind: number, line, bar, table, …
        upstream: the metrics and columns that it shows.
    """

    id: str
    title: str
    kind: str
    question: str = ""
    upstream: tuple[str, ...] = ()


class Exposure(Entry, frozen=True):
    """A dashboard: where numbers of the release are shown.

    Attributes:
        name: as in the address of its page.
        title: its heading.
        question: the question that it answers.
        owner: who answers for it.
        tiles: in their order.
    """

    name: str
    title: str
    owner: str
    question: str = ""
    tiles: tuple[Tile, ...] = ()


class Term(Entry, frozen=True):
    """A term of the glossary.

    Attributes:
        term: the word.
        meaning: what it means in this project.
    """

    term: str
    meaning: str


class Catalog(Entry, frozen=True):
    """The catalog of one release.

    Attributes:
        format: version of this structure.
        project: name of the SQLMesh project.
        release: number.
        published_at: when, ISO 8601.
        tables: feeds, tables, views and seeds by name.
        metrics: by name.
        exposures: dashboards in the order of the pages.
        audits: standalone audits by name.
        glossary: in alphabetical order.
    """

    format: int
    project: str
    release: int
    published_at: str
    tables: tuple[Table, ...] = ()
    metrics: tuple[Metric, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    audits: tuple[Audit, ...] = ()
    glossary: tuple[Term, ...] = ()

    def to_json(self) -> bytes:
        """`catalog.json`."""
        return msgspec.json.encode(self)
