"""The names of column types, and which of them the author of another one meant."""

from __future__ import annotations

import difflib
import re

TYPES = ("string", "boolean", "integer", "double", "decimal(p, s)", "date", "timestamp", "struct")
MAX_DIGITS = 38
"""Greatest precision of a decimal."""
_REPEATED = "`repeated: true`"
_SYNONYMS = {
    "string": "text str varchar char nvarchar nchar bpchar character varying character_varying clob enum symbol "
    "bytes binary varbinary bytea blob time interval",
    "string, the text of a UUID": "uuid guid uniqueidentifier",
    "string, as JSON text, or struct with its fields": "json jsonb variant",
    "boolean": "bool bit flag",
    "integer": "int int2 int4 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bigint smallint tinyint mediumint "
    "hugeint long short serial bigserial",
    "double": "float float4 float8 float16 float32 float64 real number double_precision doubleprecision",
    "decimal(p, s), as in decimal(18, 2)": "decimal numeric money bignumeric dec",
    "date": "day date32 date64",
    "timestamp": "datetime datetime2 datetime64 timestamptz timestamp_tz timestamp_ntz timestamp_ltz timestampz "
    "timestamp_ns timestamp_us timestamp_ms instant",
    "struct with its fields": "object record row map dict message document nested",
    f"the type of one element, with {_REPEATED}": "list array sequence set repeated",
}
_BY_NAME = {name: meant for meant, names in _SYNONYMS.items() for name in names.split()}
_DECIMAL = re.compile(r"(?:decimal|numeric|number|dec|decimal128|bignumeric)\((\d+)(?:,(\d+))?\)")
_LIST = re.compile(r"(?:list|array|repeated)[<(\[](.+)[>)\]]|(.+)\[\d*\]")


def meant_by(name: str) -> str:
    """Return what to write instead of a type that there is not, in words.

    >>> meant_by("int"), meant_by("numeric(10,2)"), meant_by("VARCHAR(20)"), meant_by("timestamp with time zone")
    ('integer', 'decimal(10, 2)', 'string', 'timestamp')
    >>> meant_by("text[]"), meant_by("list<struct>"), meant_by("strng")
    ('string with `repeated: true`', 'struct with `repeated: true`', 'string')
    >>> meant_by("colour")
    'string, boolean, integer, double, decimal(p, s), date, timestamp or struct'
    """
    plain = " ".join(name.lower().split())
    compact = plain.replace(" ", "")
    if compact in TYPES:
        return compact
    if found := _DECIMAL.fullmatch(compact):
        fits = 1 <= int(found[1]) <= MAX_DIGITS and int(found[2] or 0) <= int(found[1])
        return f"decimal({found[1]}, {found[2] or 0})" if fits else f"decimal(p, s) with p from 1 to {MAX_DIGITS}"
    if found := _LIST.fullmatch(compact):
        item = found[1] or found[2]
        if _LIST.fullmatch(item):
            return f"struct with {_REPEATED}, and a field for the inner list, because no column holds lists of lists"
        return f"{item if item in TYPES else meant_by(item)} with {_REPEATED}"
    words = re.sub(r"\(.*\)|<.*>", "", plain).strip()
    for ending in (" with time zone", " without time zone", " with local time zone", " unsigned"):
        words = words.removesuffix(ending)
    words = words.replace(" ", "_")
    if words in TYPES:
        return words
    if meant := _BY_NAME.get(words):
        return meant
    near = difflib.get_close_matches(words, [*TYPES, *_BY_NAME], 1, 0.8)
    if near:
        return _BY_NAME.get(near[0], near[0])
    return f"{', '.join(TYPES[:-1])} or {TYPES[-1]}"
