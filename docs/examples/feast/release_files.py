"""The files of one table in one release, as links in a folder of their own.

A release's files lie among those of other releases, and its manifest says which are its own.
"""

import json
import os
from pathlib import Path

PUBLISHED = Path(os.environ.get("PUBLISHED_URI", "data/published")).resolve()
HERE = Path(__file__).resolve().parent


def release() -> int:
    """The release named by LAKE_RELEASE, or the one that readers get now."""
    named = os.environ.get("LAKE_RELEASE")
    return int(named) if named else int(json.loads((PUBLISHED / "current.json").read_text())["state"])


def files_of(table: str) -> str:
    """Link the files of a table; return the pattern that matches them."""
    number = release()
    manifest = json.loads((PUBLISHED / f"states/{number:020d}/manifest.json").read_text())
    folder = HERE / "data" / f"release-{number}" / table
    folder.mkdir(parents=True, exist_ok=True)
    for file in manifest["tables"][table]["files"]:
        link = folder / Path(file["key"]).name
        if not link.is_symlink():
            link.symlink_to(PUBLISHED / file["key"])
    return str(folder / "*.parquet")
