"""What the findings of `lake doctor` look like."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ingest.text import printable
from pipeline.doctor.finding import Finding, Status


def show_findings(findings: Sequence[Finding]) -> str:
    """Format findings, each with what to do about it, and how many there are of each status."""
    lines = []
    for item in findings:
        lines.append(f"{item.status:<4}  {item.check}: {printable(item.object)}: {printable(item.found)}")
        if item.status is not Status.OK:
            lines.append(f"      expected: {printable(item.expected)}")
            lines.append(f"      next: {printable(item.next_step)}")
    counts = Counter(item.status for item in findings)
    lines.append(", ".join(f"{counts[status]} {status}" for status in Status))
    return "\n".join(lines)
