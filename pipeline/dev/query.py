"""A query on the current release, as any reader would run it: `python -m pipeline.dev.query SQL`."""

from __future__ import annotations

import sys

from ingest.errors import LakemeshError
from ingest.settings import settings
from pipeline.lake import Lake


def main() -> int:
    """Print the result under a heading that names the release; 1 when there is none."""
    try:
        releases = Lake(settings()).releases
        with releases.connect() as reader:
            print(f"== gold, from release {releases.pointer()['state']}")
            print(reader.execute(sys.argv[1]).df().to_string(index=False))
    except LakemeshError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
