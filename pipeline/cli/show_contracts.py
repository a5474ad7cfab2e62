"""What `lake contracts infer` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ingest.text import printable
from pipeline.cli.layout import table, text

if TYPE_CHECKING:
    from ingest.steps.infer import Inference

MAX_NOTES = 10


def show_inference(found: Inference, is_written: bool) -> str:
    """Format what was read, and what the inferred contract does with it."""
    trial = found.trial
    items: list[Any] = [f"{found.name}: read {found.read}"]
    items += [f"note: {printable(note)}" for note in found.notes[:MAX_NOTES]]
    if len(found.notes) > MAX_NOTES:
        items.append(f"note: {len(found.notes) - MAX_NOTES:,} more objects could not be read; --json lists them")
    items.append(
        f"the contract accepts {trial.accepted:,} of {trial.records:,} records ({_percent(trial.share)}), "
        f"{trial.rescued:,} of them with fields that are no columns"
    )
    if trial.skipped:
        kinds = ", ".join(f"{kind} {count:,}" for kind, count in trial.skipped.items())
        items.append(f"skipped, because they are no change of a row: {kinds}")
    if trial.rejected:
        rejected = table("rejected", "reason", "column", "first")
        for item in trial.rejected:
            rejected.add_row(f"{item.records:,}", item.reason, item.column or "", item.place)
        items.append(rejected)
    if is_written:
        items.append(f"written to {found.path}")
        items.append("next: review it, then `lake contracts --write`")
    return text(*items)


def _percent(share: float) -> str:
    """Format a share; only all is 100 %."""
    return "100 %" if share == 1 else f"{min(share * 100, 99.99):.2f} %"
