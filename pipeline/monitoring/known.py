"""What measuring found before and need not read again while a quarantine and a release stay the same.

<LAKE_HOME>/measures/known
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ingest.settings import Settings
from ingest.storage.folders import make_folder
from pipeline.monitoring.definitions import Sample
from pipeline.monitoring.feeds import Reasons
from pipeline.monitoring.release import Quality


@dataclass(slots=True)
class Known:
    """Records by reason at a position of each ledger, and the quality of one release."""

    reasons: Reasons = field(default_factory=dict)
    quality: Quality = field(default_factory=dict)


def read_known(options: Settings) -> Known:
    """What was kept for this lake; nothing if it is damaged or of another lake."""
    found = Known()
    with suppress(FileNotFoundError, ValueError, TypeError, KeyError, AttributeError):
        kept: Any = json.loads(_path(options).read_text(encoding="utf-8"))
        if kept["of"] == _lake(options):
            reasons = {feed: (int(position), dict(counts)) for feed, (position, counts) in kept["reasons"].items()}
            quality = {
                int(number): tuple(Sample(name, float(value), tuple(labels)) for name, value, labels in samples)
                for number, samples in kept["quality"].items()
            }
            found = Known(reasons, quality)
    return found


def keep_known(options: Settings, known: Known) -> None:
    """Keep it for the next cycle.

    Raises:
        OSError: it cannot be written.
    """
    path = _path(options)
    make_folder(path.parent, options.lake_folder_mode)
    quality = {
        number: [[item.name, item.value, item.labels] for item in samples] for number, samples in known.quality.items()
    }
    draft = path.with_suffix(".draft")
    text = json.dumps({"of": _lake(options), "reasons": known.reasons, "quality": quality})
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _path(options: Settings) -> Path:
    return Path(options.lake_home) / "measures" / "known"


def _lake(options: Settings) -> list[str]:
    return [options.lake_uri, options.published_uri]
