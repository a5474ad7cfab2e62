"""Rule: tuning a process keeps nothing alive, and hides pandas only as long as it says."""

from __future__ import annotations

import subprocess
import sys

import pytest


def output(program: str) -> list[str]:
    """The lines that a program prints in a process of its own."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_garbage_that_exists_at_a_later_call_is_collected() -> None:
    program = (
        "import gc, weakref\n"
        "from ingest.process import collect_rarely\n"
        "class Node: pass\n"
        "collect_rarely()\n"
        "node = Node(); node.itself = node; kept = weakref.ref(node); del node\n"
        "collect_rarely(); gc.collect()\n"
        "print(kept() is None, gc.get_threshold()[0])\n"
    )
    assert output(program) == ["True 50000"]


def test_pandas_is_hidden_while_it_says_so_and_arrow_finds_it_afterwards() -> None:
    pytest.importorskip("pandas")
    program = (
        "import sys\n"
        "from ingest.process import without_pandas\n"
        "import pyarrow as pa\n"
        "with without_pandas():\n"
        "    with without_pandas():\n"
        "        pa.array([1, 2])\n"
        "    table = pa.table({'a': [1]})\n"
        "    print('pandas' in sys.modules)\n"
        "import pandas\n"
        "print(table.to_pandas().shape, pa.array(pandas.Series([1, None], dtype='Int64')).null_count)\n"
        "with without_pandas():\n"
        "    import pandas as again\n"
        "print(again is pandas)\n"
    )
    assert output(program) == ["False", "(1, 1) 1", "True"]
