"""Decoded columns of every type of Arrow, and statistics that writers cut."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.checks.traces import cells as module
from pipeline.checks.traces.cells import Cells
from pipeline.checks.traces.find import find_traces
from pipeline.checks.traces.places import FolderPlace
from pipeline.checks.traces.trace import Kind
from tests.pipeline.checks.traces.planted import EMAIL, LONG, MATCHER, USER, VALUES
from tests.pipeline.checks.traces.test_files import rows

CELLS = Cells(MATCHER)


def labels(array: Any, *path: str) -> set[str]:
    return {VALUES[one.value].label for one in CELLS.search(path or ("a",), array)}


@pytest.mark.parametrize(
    "kind",
    [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()],
    ids=str,
)
def test_texts_and_bytes(kind: pa.DataType) -> None:
    cells = [None, "x", f"a {USER.text}", "", None]
    array = pa.array([one.encode() if one is not None and "bin" in str(kind) else one for one in cells], kind)
    assert labels(array) == {"user_id"}
    assert labels(array.slice(0, 2)) == set()
    assert labels(array[:0]) == set()


def test_nested_and_encoded_arrays() -> None:
    texts = pa.array(["b", EMAIL.text])
    assert labels(pa.RunEndEncodedArray.from_arrays(pa.array([3, 5], pa.int32()), texts)) == {"email"}
    assert labels(pa.DictionaryArray.from_arrays(pa.array([0, 0]), texts)) == {"email"}
    union = pa.UnionArray.from_dense(pa.array([0, 1], pa.int8()), pa.array([0, 1], pa.int32()), [pa.array([1]), texts])
    assert labels(union) == {"email"}
    for kind in (
        pa.list_(pa.string()),
        pa.large_list(pa.string()),
        pa.list_(pa.string(), 2),
        pa.list_view(pa.string()),
    ):
        assert labels(pa.array([None, ["b", EMAIL.text]], kind)) == {"email"}
    maps = pa.array([[("b", [{"id": 17}])]], pa.map_(pa.string(), pa.list_(pa.struct([("id", pa.int64())]))))
    assert labels(maps, "customer_id") == {"customer_id"}
    assert labels(maps, "other") == set()


@pytest.mark.parametrize(
    "kind", [pa.int8(), pa.uint8(), pa.uint64(), pa.float32(), pa.float64(), pa.decimal128(5, 1), pa.decimal256(50, 0)]
)
def test_numbers(kind: pa.DataType) -> None:
    values = pa.array([1, None, 17, 3]).cast(pa.decimal128(22, 2) if pa.types.is_decimal(kind) else kind).cast(kind)
    assert labels(values, "customer_id") == {"customer_id"}
    assert labels(values, "product_id") == set()
    assert labels(values.slice(3), "customer_id") == set()


def test_cells_are_joined_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "JOINED_BYTES", 100)
    assert labels(pa.array(["x" * 90, USER.text, "y" * 500, EMAIL.text] * 20)) == {"user_id", "email"}
    assert labels(pa.array([USER.text[:6], USER.text[6:]])) == set()


def test_statistics_that_are_cut() -> None:
    address = LONG.text.encode()
    assert CELLS.cut([address[:16]])
    assert CELLS.cut([address[:15] + bytes([address[15] + 1])])  # a greatest value, cut and raised
    assert not CELLS.cut([address[:14] + b"zz"])
    assert not CELLS.cut([address[:17], b"0b9d"])


def test_damaged_bytes_of_parquet_are_found_out_or_do_no_harm(tmp_path: Path) -> None:
    draw = random.Random(11)
    folder = tmp_path / "files"
    folder.mkdir()
    pq.write_table(rows(planted=True), tmp_path / "whole", compression="zstd", write_page_index=True)
    whole = (tmp_path / "whole").read_bytes()
    count = 150
    for number in range(count):
        data = bytearray(whole)
        for _ in range(draw.randrange(1, 20)):
            data[draw.randrange(4, len(data))] = draw.randrange(256)
        (folder / f"{number:03}.file").write_bytes(data)

    scan = find_traces([FolderPlace("files", folder)], VALUES)

    named = {trace.where.split(",")[0] for trace in scan.traces}
    assert named == {f"{number:03}.file" for number in range(count)}
    assert scan.of(Kind.UNREADABLE)
    assert scan.of(Kind.FOUND)
