"""A few more plays, as producers would write them."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path


def write_plays(landing: Path, name: str, day: dt.date, count: int) -> None:
    """Write one object of plays on a UTC date, each by a different user.

    Args:
        name: name of the object, and prefix of the ids in it.
    """
    lines = [
        json.dumps(
            {
                "event_id": f"{name}-{place}",
                "name": "activity_exit",
                "occurred_at": f"{day} 10:00:00",
                "user_id": f"{name.split('-')[0]}-{place}",
                "data": {"activity_id": "a", "duration": 60.0, "completed": True, "collection_id": ""},
            }
        )
        for place in range(count)
    ]
    (landing / "raw-events" / f"{name}.json").write_text("\n".join(lines) + "\n", encoding="utf-8")
