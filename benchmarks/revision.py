"""The project as it was, so that a benchmark may compare with it in the same run."""

from __future__ import annotations

import io
import subprocess
import zipfile
from pathlib import Path

PROJECT = Path(__file__).resolve().parents[1]


def project_at(revision: str, folder: Path) -> Path:
    """Extract the project as of a revision into a folder; return it, for a process with it as `PYTHONPATH`."""
    archive = subprocess.run(
        ["git", "-C", str(PROJECT), "archive", "--format=zip", revision], check=True, stdout=subprocess.PIPE
    ).stdout
    with zipfile.ZipFile(io.BytesIO(archive)) as files:
        files.extractall(folder)
    return folder
