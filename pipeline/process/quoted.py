"""Values that engines quote in their errors: of a cast that failed, of a key that exists. Any may be a person's."""

from __future__ import annotations

import re

HIDDEN = "***"
_REST = r"[^\n]*"
_QUOTING = (
    # DuckDB
    (r"Could not (?:convert string|cast value|parse string) ", r" (?:to [A-Z(]|according to)"),
    (r"Casting value ", r" to type"),
    (r"Type [A-Z][^\n']{0,80}? with value ", r" can't be cast"),
    (r"(?:field format|field value out of range): ", r", expected"),
    (r"according to format specifier \"[^\"\n]*\"\s+", r"\s+\^"),
    (r"(?i:duplicate key )\"", r"\"(?: violates|$)"),
    (r"conversion of string ", r": "),
    (r" Input: ", r"\Z"),
    # Postgres
    (r"\)=\(", r"\) (?:already exists|is not present|is still referenced|conflicts)"),
    (r"Failing row contains \(", r"\)\.?$"),
    (r"invalid input syntax for type [\w ]+: ", r"\n"),
    # Spark
    (r"\[CAST_INVALID_INPUT\] The value ", r" of the type"),
)
_MOST = 20_000
"""Characters of a value; of a longer one the first line is hidden."""
_PATTERNS = tuple(
    re.compile(rf"({before})(?:.{{0,{_MOST}}}?(?={after})|{_REST})", re.DOTALL | re.MULTILINE)
    for before, after in _QUOTING
)


def without_quoted(text: str) -> str:
    """Hide the values that errors of DuckDB, Postgres and Spark quote.

    >>> without_quoted("Conversion Error: Could not convert string 'it's ada@example.com' to INT32")
    'Conversion Error: Could not convert string *** to INT32'
    >>> without_quoted("DETAIL:  Key (user_id)=(u1) already exists.")
    'DETAIL:  Key (user_id)=(***) already exists.'
    """
    for pattern in _PATTERNS:
        text = pattern.sub(rf"\1{HIDDEN}", text)
    return text
