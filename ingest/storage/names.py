"""Classification of landing objects: data, ignored by a rule, or unloadable.

Every listed object is in exactly one of the three classes. Only fixed base names and the contract's own patterns
ignore objects, and whatever is not loaded is counted with its rule or reason.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce

import pyarrow as pa
import pyarrow.compute as pc

from ingest.contracts.source import BY_CONTRACT, MARKER, Source, glob_regex
from ingest.text import printable

CONTROL_CHARACTER = "control_character"
NOT_UTF8 = "not_utf8"
DOT_SEGMENT = "dot_segment"
LINK_OUTSIDE = "link_outside"
LINK_LOOP = "link_loop"
LINK_DANGLING = "link_dangling"
LINK_NESTED = "link_nested"
SPECIAL_FILE = "special_file"
PERMISSION_DENIED = "permission_denied"
UNREADABLE = "unreadable"
REASONS = {
    CONTROL_CHARACTER: "a control character in the name",
    NOT_UTF8: "a name that is not UTF-8",
    DOT_SEGMENT: "`.` or `..` between slashes, which HTTP clients resolve to another key",
    LINK_OUTSIDE: "a link to a target outside the bucket's folder",
    LINK_LOOP: "a link that leads back to itself or to one of its parent folders",
    LINK_DANGLING: "a link without a target",
    LINK_NESTED: "a link to a folder, inside a folder that is reached by a link",
    SPECIAL_FILE: "a pipe, a socket or a device",
    PERMISSION_DENIED: "no permission to read the folder or to follow the link",
    UNREADABLE: "a folder or link that the file system fails to read",
}
"""Reasons why an object cannot be loaded, with their descriptions."""

DRAFT = ".lakemesh-draft-"
"""Prefix of the base names of files that Lakemesh is still writing; 32 hexadecimal digits follow."""
DRAFT_RULE = f"{DRAFT}*"
FOLDER_RULE = "folder_marker"
BASE_NAMES = (MARKER, ".DS_Store")
EXAMPLES = 5
"""Number of objects named per rule or reason; the rest is only counted."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_DRAFT = re.compile(rf"{re.escape(DRAFT)}[0-9a-f]{{32}}")
LISTING = pa.schema(
    [("key", pa.string()), ("etag", pa.string()), ("size", pa.int64()), ("modified_at", pa.timestamp("us", "UTC"))]
)
LISTED = LISTING.append(pa.field("problem", pa.string()))
"""A raw listing: `problem` is why the object cannot be loaded, null for most. A key with a problem is escaped by
`printable`, so that it is always valid text; it cannot be used to open the object."""


@dataclass(frozen=True, slots=True)
class NotLoaded:
    """Objects that are not loaded, for one reason.

    Attributes:
        reason: the rule that ignores them (a base name, `folder_marker`, or `source.ignore: <pattern>`), or why they
            cannot be loaded, one of REASONS.
        objects: number of objects.
        examples: the first EXAMPLES of their keys in key order, escaped for printing.
    """

    reason: str
    objects: int
    examples: tuple[str, ...]

    def __str__(self) -> str:
        more = ", …" if self.objects > len(self.examples) else ""
        return f"{self.reason} {self.objects:,} ({', '.join(self.examples)}{more})"


@dataclass(frozen=True, slots=True)
class Classified:
    """A classified listing.

    Attributes:
        table: the data: key, etag, size, modified_at.
        ignored: objects that rules ignore, by rule.
        unloadable: objects that cannot be loaded, by reason.
        left_out: keys of both.
    """

    table: pa.Table
    ignored: tuple[NotLoaded, ...] = ()
    unloadable: tuple[NotLoaded, ...] = ()
    left_out: pa.Array | None = None


def key_problem(key: str) -> str | None:
    r"""Return why no object with that key can be loaded, whatever its content; None if it can.

    Control characters are U+0000 to U+001F and U+007F.

    >>> key_problem("a b/[c]#1.json"), key_problem("/a//b/"), key_problem("a\x1b"), key_problem("caf\udce9")
    (None, None, 'control_character', 'not_utf8')
    >>> key_problem("a/../b"), key_problem("."), key_problem("a/...")
    ('dot_segment', 'dot_segment', None)
    """
    if not key.isprintable():
        if _SURROGATE.search(key):
            return NOT_UTF8
        if _CONTROL.search(key):
            return CONTROL_CHARACTER
    if "/." in key or key.startswith("."):
        return None if {".", ".."}.isdisjoint(key.split("/")) else DOT_SEGMENT
    return None


def draft_of(key: str) -> str:
    """Return the key of a draft file for the future `key`, in the same folder; listings never show it as an object."""
    folder, slash, _ = key.rpartition("/")
    return f"{folder}{slash}{DRAFT}{uuid.uuid4().hex}"


def is_draft(key: str) -> bool:
    """Whether the file is a draft that Lakemesh is still writing, or was killed while writing."""
    return DRAFT in key and _DRAFT.fullmatch(key.rsplit("/", 1)[-1]) is not None


def classify(source: Source, listed: pa.Table) -> Classified:
    """Classify the listing of a feed into data, ignored and unloadable objects.

    A rule that ignores an object takes precedence over a reason why it cannot be loaded.

    Args:
        listed: columns LISTED, with the store's keys.
    """
    rest, ignored = listed, []
    left_out: list[pa.Array] = []
    below = _below(source, rest.column("key")) if source.ignore else pa.nulls(0, pa.string())
    for pattern in source.ignore:
        mask = pc.match_substring_regex(below, rf"(?s)\A(?:{glob_regex(pattern)})\z")
        if pc.any(mask).as_py():
            ignored.append(_counted(f"{BY_CONTRACT}{pattern}", rest.filter(mask), left_out))
            rest, below = rest.filter(pc.invert(mask)), below.filter(pc.invert(mask))
    masks = []
    for rule, mask in _built_in(rest):
        ignored.append(_counted(rule, rest.filter(mask), left_out))
        masks.append(mask)
    if masks:
        rest = rest.filter(pc.invert(reduce(pc.or_, masks)))
    unloadable = []
    problems = rest.column("problem")
    if problems.null_count < len(rest):
        for reason in sorted(pc.unique(problems.drop_null()).to_pylist()):
            unloadable.append(_counted(reason, rest.filter(pc.equal(problems, reason)), left_out))
        rest = rest.filter(pc.is_null(problems))
    keys = pa.concat_arrays(left_out) if left_out else None
    return Classified(rest.select(LISTING.names), tuple(ignored), tuple(unloadable), keys)


def _built_in(listed: pa.Table) -> Iterable[tuple[str, pa.Array]]:
    """Yield the rules that apply to every feed, each with the objects that it ignores; no object is in two of them."""
    keys = listed.column("key")
    for name in BASE_NAMES:
        mask = pc.or_(pc.equal(keys, name), pc.ends_with(keys, f"/{name}"))
        if pc.any(mask).as_py():
            yield name, mask
    if pc.any(pc.match_substring(keys, DRAFT)).as_py():
        drafts = pc.match_substring_regex(keys, rf"(?:\A|/){_DRAFT.pattern}\z")
        if pc.any(drafts).as_py():
            yield DRAFT_RULE, drafts
    markers = pc.and_(pc.or_(pc.ends_with(keys, "/"), pc.equal(keys, "")), pc.equal(listed.column("size"), 0))
    markers = pc.and_(markers, pc.is_null(listed.column("problem")))
    if pc.any(markers).as_py():
        yield FOLDER_RULE, markers


def _below(source: Source, keys: pa.ChunkedArray) -> pa.Array:
    """Return the keys below the feed's prefix, escaped for printing, as matched by the patterns of `source.ignore`."""
    start = len(source.folder) + 1 if source.folder else 0
    below = pc.utf8_slice_codeunits(keys, start).combine_chunks()
    escaped = pc.invert(pc.utf8_is_printable(below))
    if not pc.any(escaped).as_py():
        return below
    texts = pa.array(map(printable, below.filter(escaped).to_pylist()), pa.string())
    return pc.replace_with_mask(below, escaped, texts)


def _counted(reason: str, table: pa.Table, left_out: list[pa.Array]) -> NotLoaded:
    """Count the objects of a table, name the first ones, and add their keys to those left out."""
    keys = table.column("key").combine_chunks()
    left_out.append(keys)
    first = keys.take(pc.select_k_unstable(keys, EXAMPLES, [("", "ascending")])).to_pylist()
    return NotLoaded(reason, len(keys), tuple(printable(key) for key in first))
