"""A cycle that was killed is counted by the next one, also where every process has the same number."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from ingest.settings import read_settings
from pipeline.monitoring.running import begin, end


def test_only_processes_that_are_gone_count_as_killed(clean_settings: Path) -> None:
    options, noted = read_settings(), clean_settings / "measures" / "running"
    assert not begin(options), "there was none before"
    assert not begin(options), "a process does not count itself"
    end(options)
    assert not noted.exists()

    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        noted.write_text(str(other.pid))  # as an older version noted it
        assert not begin(options), "it still ends"
        end(options)
        other.kill()
    noted.write_text(f"{other.pid}")
    assert begin(options)

    # in a container every cycle is process 1: what differs is when it started
    noted.write_text(f"{os.getpid()} 1")
    assert begin(options)
    noted.write_text("broken")
    assert not begin(options)
