"""Run a command and wait for all processes that it starts, so that measuring this process includes them.

    python -m benchmarks.tree COMMAND ARGUMENTS…

pyspark leaves its Java process behind when it ends; its cost would otherwise not be accounted (Linux only).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Adopt the processes left behind, and exit with the code of the command."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    code = subprocess.run(sys.argv[1:], check=False).returncode
    while True:
        try:
            os.wait()
        except ChildProcessError:
            break
    sys.exit(code)


if __name__ == "__main__":
    main()
