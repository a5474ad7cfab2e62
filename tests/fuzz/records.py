"""Texts of records: those of the contract, and all others. Drawn by Hypothesis, so that failures can be shrunk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from hypothesis import strategies as st

from tests.fuzz.account import LEVELS, Contract

VALUES: dict[str, Any] = yaml.safe_load(Path(__file__).with_name("values.yaml").read_text(encoding="utf-8"))
JSON: dict[str, list[str]] = VALUES["json"]
_TEXTS = [text for texts in JSON.values() for text in texts]
DEEP = ["[" * n + "]" * n for n in (LEVELS - 1, LEVELS, 5_000)] + ['{"k":' * (LEVELS - 2) + "1" + "}" * (LEVELS - 2)]
GOOD = {"string": '"u"', "boolean": "true", "integer": "7", "double": "1.5", "decimal": "1.5", "date": '"2024-02-29"'}
GOOD["timestamp"] = '"2026-01-10T10:00:00Z"'


def often(usual: Any, *rare: Any, times: int = 30) -> st.SearchStrategy[Any]:
    """The usual, a number of times as often as the rare."""
    return st.sampled_from([usual] * times + list(rare))


def arrays(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """A JSON array of some of these."""
    return st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]")


_member = st.tuples(st.sampled_from(['"a"', '"b"', '"\\u0061"']), st.sampled_from(_TEXTS))
_scalars = st.sampled_from([*_TEXTS, *DEEP, "1" * 400]) | st.text(max_size=5).map(lambda text: f'"{text}"')
_objects = st.lists(_member, max_size=3).map(
    lambda pairs: "{" + ",".join(f"{name}: {text}" for name, text in pairs) + "}"
)
anything = _scalars | arrays(_scalars | _objects) | _objects


def kind_of(column: Contract) -> str:
    """The column's type without its precision."""
    return str(column["type"]).split("(")[0]


def one_of(column: Contract) -> Contract:
    """A repeated column as one of its elements."""
    return {name: item for name, item in column.items() if name != "repeated"}


def good(column: Contract) -> str:
    """A value that the column accepts."""
    if column.get("repeated"):
        return f"[{good(one_of(column))}, {good(one_of(column))}]"
    if column["type"] == "struct":
        return "{" + ",".join(f'"{member["name"]}":{good(member)}' for member in column["fields"]) + "}"
    return GOOD[kind_of(column)]


@st.composite
def value(draw: st.DrawFn, column: Contract) -> str:
    """A value for the column: good, at a limit, or of another type."""
    if draw(st.sampled_from([True, False, False, False, False])):
        return draw(st.just(good(column)) | anything)
    if column.get("repeated"):
        return draw(arrays(value(one_of(column))))
    return draw(record(column["fields"]) if column["type"] == "struct" else st.sampled_from(JSON[kind_of(column)]))


@st.composite
def record(draw: st.DrawFn, columns: list[Contract]) -> str:
    """An object of the columns: most of them valid, a few changed, omitted, repeated or unknown."""
    pairs = [(f'"{column["name"]}"', good(column)) for column in columns]
    for _ in range(draw(st.sampled_from([0, 0, 1, 1, 1, 2]))):
        place = draw(st.integers(0, len(columns) - 1))
        change = draw(st.sampled_from(["value"] * 8 + ["absent", "twice", "many"] + ["unknown"] * 4))
        if change == "value":
            pairs[place] = (pairs[place][0], draw(value(columns[place])))
        elif change == "absent":
            pairs[place] = ("", "")
        elif change == "twice":
            pairs.append((pairs[place][0], good(columns[place])))
        elif change == "many":
            pairs += [(f'"n{number}"', "1") for number in range(draw(st.sampled_from([50, 3_000, 9_999, 10_001])))]
        else:
            pairs.insert(place, (f'"{draw(st.sampled_from(VALUES["unknown"]))}"', draw(anything)))
    between = draw(st.sampled_from([",", ", ", " ,\t"]))
    return "{" + between.join(f"{name}:{text}" for name, text in pairs if name) + "}"


@st.composite
def lines(draw: st.DrawFn, contract: Contract) -> bytes:
    """A line that is a record, or nearly one; it never contains a line feed."""
    text = draw(record(contract["columns"])).encode("utf-8", "surrogatepass")
    change = draw(st.sampled_from([""] * 30 + ["cut", "byte", "noise", "around", "double", "end", "long"]))
    place = draw(st.integers(0, len(text) - 1)) if change in ("cut", "byte") else 0
    if change == "cut":
        text = text[:place]
    elif change == "byte":
        text = (
            text[:place]
            + draw(st.sampled_from([b"\xff", b"\0", b"\xed\xa0\x80", b"\r", b"'", b""]))
            + text[place + 1 :]
        )
    elif change == "noise":
        text = draw(st.binary(max_size=30)) + draw(st.sampled_from([b"", text]))
    elif change == "around":
        edges = st.sampled_from(
            [b" ", b"\t", b"\r", b"\f", b"\v", b"\xc2\xa0", b"\xef\xbb\xbf", b"\0", b"[", b"]", b","]
        )
        text = draw(edges) + text + draw(edges)
    elif change == "double":
        text += draw(st.sampled_from([b"", b" ", b","])) + text
    elif change == "end":
        text = text[:-1] + draw(st.sampled_from([b",}", b"]", b"}}", b"} // x", b""]))
    elif change == "long":
        text = text[:-1] + b',"new":"' + b"x" * draw(st.sampled_from([3_000, 70_000, 300_000])) + b'"}'
    return text.replace(b"\n", b"")
