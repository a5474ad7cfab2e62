"""What tiles call the values of a dimension: unknown, all others, and names that JavaScript knows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.pipeline.portal.conftest import Site
from tests.pipeline.portal.reading import Reader, reading

VALUES = ["", "all others", "constructor", "phone", "unknown", None]
REST = -1
PLAYS = {
    "label": "Plays",
    "format": "integer",
    "direction": "up",
    "kind": "sum",
    "grain": "day",
    "grains": ["day"],
    "dimensions": {"device": "Device"},
    "not_over": [],
    "fixed": [],
}
MADE = """
(tile) => {
  const { page, state } = %s;
  const model = lakemesh.view(tile, new lakemesh.Data(page), state);
  const spec = model.spec(600);
  const color = (spec.encoding.color ?? spec.layer[0].encoding.color).scale;
  return { columns: model.columns, labels: model.rows.map((row) => row[0].text), caption: model.caption,
    domain: color?.domain ?? [], rest: color?.range.indexOf(lakemesh.color("series-rest")) ?? -1,
    bars: (spec.data?.values ?? []).map((row) => [row.label, row.isRest]) };
}
"""


def _cube(values: list[str | None], dimension: str | None, runs: list[list[int]], data: list[int]) -> dict[str, Any]:
    return {
        "dimension": dimension,
        "grain": "day",
        "periods": [[20000, 1]],
        "covers": ["2024-10-04", "2024-10-04"],
        "values": values,
        "runs": runs,
        "parts": {"plays": {"data": data}},
    }


@pytest.fixture(scope="module")
def page(browser: Any, site: Site) -> Iterator[Reader]:
    with reading(browser, site.folder.as_uri() + "/") as reader:
        reader.open("use")
        yield reader


def _shown(page: Reader, tile: dict[str, Any], values: list[str | None]) -> dict[str, Any]:
    places = [REST, *range(len(values))]
    made = {
        "page": {
            "from": "2024-10-04",
            "recent": "2024-10-01",
            "filters": [],
            "metrics": {"plays": PLAYS},
            "cubes": [
                _cube([], None, [[0, 0, 1]], [100]),
                _cube(values, "device", [[place, 0, 1] for place in places], [1 + 10 * item for item in places[::-1]]),
            ],
        },
        "state": {"period": "7d", "to": 20000, "compare": "none", "by": None, "is": None},
    }
    base = {"metrics": ["plays"], "by": "device", "grain": "day", "title": "Devices", "id": "1", "width": 6}
    found: dict[str, Any] = page.tab.evaluate(MADE % json.dumps(made), base | tile)
    return found


def test_unknown_and_all_others_are_no_values(page: Reader) -> None:
    found = _shown(page, {"kind": "bar", "values": {"": "Nothing", "phone": "Telephone"}}, VALUES)
    assert found["labels"] == [
        *("Nothing", "“all others”", "constructor", "Telephone", "“unknown”"),
        *("unknown", "all others"),
    ]
    assert [label for label, is_rest in found["bars"] if is_rest] == ["all others"]


def test_the_colour_of_the_rest_is_that_of_no_value(page: Reader) -> None:
    found = _shown(page, {"kind": "stacked"}, ["all others", "b", "c", "d", "e", "f", "g", None])
    assert found["columns"][1:] == found["domain"]
    assert found["domain"] == ["“all others”", "b", "c", "d", "e", "f", "all others"]
    assert found["rest"] == 6


def test_a_cut_list_says_how_much_is_shown(page: Reader) -> None:
    values: list[str | None] = [f"value {number:02}" for number in range(14)]
    found = _shown(page, {"kind": "bar", "limit": 10}, values)
    assert "; 10 of 15, the table has all" in found["caption"]
    assert len(found["bars"]) == 10
    found = _shown(page, {"kind": "heatmap"}, values)
    assert "; the 12 largest" in found["caption"]
