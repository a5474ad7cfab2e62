"""How drills are shown."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from pipeline.backup.compare import Fingerprint
from pipeline.cli.layout import table, text
from pipeline.cycle.drill import Drilled


def drill_as_dict(done: Drilled) -> dict[str, Any]:
    """A drill for `--json`."""
    tables = [asdict(item) | {"is_equal": item.is_equal} for item in done.tables]
    return asdict(done) | {"tables": tables, "differences": done.differences}


def show_drill(done: Drilled) -> str:
    """What a drill found, and how long it took."""
    lines: list[Any] = []
    if done.differences:
        listed = table("table", "rows before", "rows after")
        for item in done.tables:
            if not item.is_equal:
                listed.add_row(item.name, _rows(item.before), _rows(item.after))
        lines.append(listed)
    rows = sum(item.before.rows for item in done.tables if item.before)
    equal = len(done.tables) - len(done.differences)
    lines.append(
        f"back-up {done.backup}: release {done.release} was rebuilt from bronze: {equal} of {len(done.tables)} tables "
        f"with {rows:,} rows are equal by hash"
    )
    lines += [f"not compared: {name}, {why}" for name, why in done.left_out.items()]
    stages = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in done.seconds.items())
    lines.append(f"recovery time: {done.recovery_seconds:.1f} s ({stages}); {done.bytes:,} bytes restored")
    lines.append(f"recovery point: {_age(done.recovery_point_seconds)} before this drill")
    lines += done.notes
    return text(*lines)


def _rows(side: Fingerprint | None) -> str:
    return f"{side.rows:,}" if side else "no table"


def _age(seconds: float) -> str:
    minutes = int(seconds // 60)
    return f"{minutes // 60} h {minutes % 60} min" if minutes >= 60 else f"{seconds:.0f} s"
