"""Runs a command and waits for all that it starts, so that whoever measures this process measures them too.

    python -m benchmarks.tree COMMAND ARGUMENTS…

pyspark leaves its Java behind when it ends; the kernel would count that for nobody (Linux alone).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys

PR_SET_CHILD_SUBREAPER = 36


def main() -> None:
    """Becomes the parent of what is left behind, and ends as the command did."""
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
