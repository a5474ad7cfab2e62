"""Human-readable output of `lake features`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pipeline.cli.layout import table, text
from pipeline.features.join import Joined
from pipeline.features.view import FeatureView
from pipeline.releases.release import Release


def as_list(release: Release, views: Sequence[FeatureView]) -> dict[str, Any]:
    """The features of a release, for programs."""
    return {
        "release": release.number,
        "views": [
            {
                "table": view.table,
                "key": view.key,
                "at": view.at,
                "meaning": view.meaning,
                "features": [
                    {"name": name, "type": kind, "description": comment}
                    for name, kind, comment in view.features(release)
                ],
            }
            for view in views
        ],
    }


def show_list(release: Release, views: Sequence[FeatureView]) -> str:
    """Format the features of a release: one table, since all views have the same."""
    rows = table("feature", "type", "meaning", texts=3)
    for feature in views[0].features(release):
        rows.add_row(*feature)
    lines = [f"{view.table} by {view.key} and {view.at}, {view.meaning}" for view in views]
    return text(f"release {release.number}", *lines, "", rows)


def show_joined(joined: Joined, view: FeatureView) -> str:
    """Say what was joined, in one line."""
    unmatched = f", {joined.unmatched:,} without features" if joined.unmatched else ""
    return f"{joined.rows.num_rows:,} rows{unmatched}, from release {joined.release}, {view.meaning}"
