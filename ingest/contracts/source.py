"""The source of a feed: where its objects are, how they are found, and what happens to them once loaded."""

from __future__ import annotations

import datetime as dt
import re
from enum import StrEnum
from string import Formatter
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator, model_validator

MARKER = "_SUCCESS"
"""Name of an object without records that Hadoop jobs write to a finished folder."""
LONGEST_SECONDS = 10**10
"""Greatest duration in a contract, about 300 years; a longer one is a mistake and overflows the calendar."""
BY_CONTRACT = "source.ignore: "
"""Prefix of the name of a contract's ignore rule; its pattern follows."""
DEBEZIUM = "debezium"
"""The format of change events, with which a feed is of the kind `change`."""
BUCKET = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _date_prefix(value: str) -> str:
    """Check a template like `{date:%Y/%m/%d}/`."""
    try:
        fields = [(name, spec or "") for _, name, spec, _ in Formatter().parse(value) if name is not None]
    except ValueError as error:
        raise ValueError(f"'{value}' is not a template: {error}") from None
    directives = re.findall(r"%.?", "".join(spec for _, spec in fields))
    if {name for name, _ in fields} != {"date"} or not set(directives) <= {"%Y", "%m", "%d", "%j"}:
        raise ValueError(f"'{value}' must contain {{date:…}} with %Y, %m, %d and %j, for instance {{date:%Y/%m/%d}}/")
    if "%Y" not in directives:
        raise ValueError(f"'{value}' names the same folder every year; expected %Y in it")
    shown = value.format(date=dt.date(2000, 1, 1))
    if not shown.endswith("/") or {"", ".", ".."} & set(shown[:-1].split("/")):
        raise ValueError(f"'{value}' must name a folder below the feed's prefix: no leading slash, one trailing slash")
    return value


def glob_regex(pattern: str) -> str:
    r"""Convert a glob pattern to a regular expression for RE2 and `re` (with `(?s)`), without anchors.

    `*` matches any run of characters including slashes, `?` one character, `[abc]`, `[a-z]` and `[!a]` one of a set,
    as in Python's fnmatch; an unclosed bracket is literal. RE2 takes linear time for any pattern and text.

    >>> print(glob_regex("*.tmp"), glob_regex("a?[!0-9]/[x"), glob_regex("[[]b]"))
    .*\.tmp a.[^0-9]/\[x [\[]b\]
    """
    out, at = [], 0
    while at < len(pattern):
        character = pattern[at]
        at += 1
        if character in "*?":
            out.append(".*" if character == "*" else ".")
            continue
        negated = character == "[" and pattern.startswith("!", at)
        end = pattern.find("]", at + negated + 1) if character == "[" else -1
        if end < 0:
            out.append(re.escape(character))
            continue
        members = re.sub(r"([\\\[\]^&~|])", r"\\\1", pattern[at + negated : end])
        out.append(f"[{'^' if negated else ''}{members}]")
        at = end + 1
    return "".join(out)


def _ignore(value: str) -> str:
    """Check a pattern of `source.ignore`."""
    if not value.strip("*"):
        raise ValueError(f"ignore: '{value}' matches every object; expected a pattern such as *.tmp or _temporary/*")
    try:
        re.compile(glob_regex(value))
    except re.error as error:
        raise ValueError(
            f"ignore: '{value}' is not a pattern: {error}; expected for instance *.tmp or part-[0-9]*"
        ) from None
    return value


def _marker(value: str) -> str:
    """Check a template like `{date:%Y/%m/%d}/_SUCCESS`."""
    folder, slash, name = value.rpartition("/")
    if name != MARKER:
        raise ValueError(f"'{value}' must end in /{MARKER}: an object with another name would be read as data")
    return _date_prefix(folder + slash) + name


def _path(value: str) -> str:
    """Check a dotted path below the `source` of an envelope."""
    if not all(value.split(".")):
        raise ValueError(f"order: '{value}' is not a path; expected names joined by dots, such as lsn or file")
    return value


class Retire(Strict):
    """The rule by which `lake maintain` retires source objects that the ledger proves loaded.

    Attributes:
        after_days: minimum age since their last modification.
        action: `delete` them, `move` them, or `tag` them (S3) for a lifecycle rule of the bucket.
        to: target bucket or bucket/prefix of `move`, as `<to>/<source bucket>/<key>`; outside every feed.
    """

    after_days: int = Field(ge=1, le=LONGEST_SECONDS // 86_400)
    action: str = Field(pattern="^(delete|move|tag)$")
    to: str | None = Field(default=None, pattern=rf"^{BUCKET}(/[^/]+)*$")

    @model_validator(mode="after")
    def _target(self) -> Self:
        if (self.action == "move") != (self.to is not None):
            raise ValueError("retire: `to` is required with action move, and allowed with no other")
        if self.to and {".", ".."} & set(self.to.split("/")):
            raise ValueError(f"retire: '{self.to}' has a path segment `.` or `..`")
        return self


class Completeness(Strict):
    """When a day of an event feed is complete, so that models with the signal `feed_is_complete` compute it.

    Attributes:
        after_seconds: the day is complete once an object is loaded that was written at least this long after its end.
        marker: the day is complete once this object is in the landing, a key below the prefix for a UTC date, for
            instance `{date:%Y/%m/%d}/_SUCCESS`; instead of after_seconds.
        deadline_seconds: this long after its end an incomplete day is computed anyway, and reported.
    """

    after_seconds: int | None = Field(default=None, ge=0, le=LONGEST_SECONDS)
    marker: Annotated[str, AfterValidator(_marker)] | None = None
    deadline_seconds: int = Field(ge=0, le=LONGEST_SECONDS)

    @model_validator(mode="after")
    def _one_sign(self) -> Self:
        if (self.after_seconds is None) == (self.marker is None):
            raise ValueError("completeness: give either after_seconds or marker")
        return self


class Values(StrEnum):
    """What the messages of a topic have: JSON, or Avro by the schemas of a registry."""

    JSON = "json"
    AVRO = "avro"


class Kafka(Strict):
    """The topic of Kafka that a feed reads; the broker is a setting.

    Attributes:
        values: of its messages. With `avro` each begins with the id of its schema in the registry.
    """

    topic: str = Field(pattern=r"^[a-zA-Z0-9._-]{1,249}$")
    values: Values = Values.JSON

    @field_validator("values", mode="before")
    @classmethod
    def _known(cls, value: object) -> object:
        if value not in set(Values):
            raise ValueError(f"kafka: values are {value}; expected json or avro, to which a connector can convert them")
        return value


class Source(Strict):
    """The location of the feed's objects, a topic, or both: then the topic continues what the objects began.

    Formats of objects are detected from the content, CSV from the name or set here.

    Attributes:
        bucket: empty for a feed that only reads a topic.
        kafka: the topic; None for none.
        format: `auto`, `csv`, or `debezium` for the change events of a database table, as JSON in any container.
        order: of change events, the paths below the envelope's `source` that order them, as `[file, pos, row]` for
            MySQL; by default those of the connector, for PostgreSQL `[lsn]`.
        date_prefix: the folder of a UTC date below the prefix, for instance `{date:%Y/%m/%d}/`. With it, only the
            folders of the recent days are listed between two full sweeps.
        recent_days: number of those days, today (UTC) included.
        full_sweep_hours: maximum time until an object outside those folders, or without a notification, is found.
        retire: the retirement rule; none by default.
        on_erasure: what an erasure does with an object that has the person: `rewrite` it without the person's records,
            `delete` it (its other records are in bronze), or `report` it, where Lakemesh may not write.
        ignore: glob patterns of objects that are never loaded; each is matched against the whole key below the prefix
            as it is printed (invalid UTF-8 and control characters as `\\x..`), and `*` matches slashes too: `*.tmp`,
            `_temporary/*`.
    """

    bucket: str = Field(default="", pattern=rf"^{BUCKET}$")
    kafka: Kafka | None = None
    prefix: str = ""
    format: str = Field(default="auto", pattern="^(auto|csv|debezium)$")
    order: tuple[Annotated[str, AfterValidator(_path)], ...] = ()
    date_prefix: Annotated[str, AfterValidator(_date_prefix)] | None = None
    recent_days: int | None = Field(default=None, ge=1, le=366)
    full_sweep_hours: float = Field(default=24, ge=0, le=LONGEST_SECONDS // 3600)
    retire: Retire | None = None
    on_erasure: str = Field(default="report", pattern="^(report|rewrite|delete)$")
    ignore: tuple[Annotated[str, AfterValidator(_ignore)], ...] = ()

    @model_validator(mode="after")
    def _somewhere(self) -> Self:
        if self.bucket:
            return self
        if self.kafka is None:
            raise ValueError("source: it names neither a bucket nor a topic; expected `bucket`, `kafka` or both")
        if of_objects := sorted(self.model_fields_set - {"bucket", "kafka", "format", "order"}):
            raise ValueError(f"source: {', '.join(of_objects)} describe objects; expected a bucket with them")
        return self

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.order and self.format != DEBEZIUM:
            raise ValueError("source: order is of change events; expected it with format: debezium only")
        return self

    @model_validator(mode="after")
    def _recent(self) -> Self:
        if (self.date_prefix is None) != (self.recent_days is None):
            raise ValueError("source: date_prefix and recent_days go together")
        return self

    @property
    def folder(self) -> str:
        """The prefix in the form that Store lists: whole path segments, no trailing slash."""
        return self.prefix.rstrip("/")

    @property
    def name(self) -> str:
        """The bucket or, of a feed that reads a topic alone, the topic."""
        return self.bucket or (f"topic {self.kafka.topic}" if self.kafka else "")

    def contains(self, key: str) -> bool:
        """Whether a key is below the prefix."""
        return not self.folder or key.startswith(f"{self.folder}/")

    def recent_folders(self, today: dt.date) -> list[str] | None:
        """Return the folders of the recent days, each once; None when the contract sets no date_prefix."""
        if self.date_prefix is None or self.recent_days is None:
            return None
        days = (today - dt.timedelta(days=number) for number in range(self.recent_days))
        below = dict.fromkeys(self.date_prefix.format(date=day).rstrip("/") for day in days)
        return [f"{self.folder}/{name}" if self.folder else name for name in below]
