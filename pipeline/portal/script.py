"""Data files of the portal: JSON inside a script, since a page opened from disk may not fetch."""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any

_CALL = re.compile(rb"^lakemesh\.define\((\"(?:[^\"\\]|\\.)*\"),(.*)\);\n$", re.DOTALL)
_MARKUP = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ESCAPED = str.maketrans(_MARKUP)


def data_file(name: str, value: Any) -> bytes:
    """A script that defines a value by name.

    No value can end the script or begin a comment or markup in it: `<`, `>` and `&` are escaped, as are the line ends
    that JSON allows and JavaScript once did not.

    Args:
        value: of types that JSON has; NaN and infinity are refused.

    Raises:
        ValueError: a number is not finite.
    """
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return f"lakemesh.define({json.dumps(name)},{text.translate(_ESCAPED)});\n".encode()


def read_data_file(data: bytes) -> Any:
    """The value that a data file defines.

    Raises:
        ValueError: it is not a data file.
    """
    found = _CALL.match(data)
    if found is None:
        raise ValueError("not a data file of the portal")
    return json.loads(found.group(2))


def digest(data: bytes) -> str:
    """The part of a file's name that follows from its content."""
    return hashlib.sha256(data).hexdigest()[:16]
