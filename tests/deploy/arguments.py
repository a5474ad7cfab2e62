"""Compare deploy/terraform with the schema of the AWS provider: `python -m tests.deploy.arguments`.

`terraform validate` does that, and more, where the provider is at hand. provider.json has the arguments and blocks of
the resources that are used, of version 6.25.0, as the npm package @cdktf/provider-aws 21.22.1 has them; a resource that
it lacks is reported, and is to be added from there. Needs `hcl2`, which checkov brings.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import hcl2

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "deploy" / "terraform"
META = {"count", "for_each", "depends_on", "lifecycle", "provider", "__start_line__", "__end_line__"}
"""What Terraform itself adds to each resource, and the parser."""


def faults(text: str, known: Mapping[str, Any]) -> Iterator[str]:
    """Yield what the provider does not know of a file, and what it wants and does not get."""
    for item in hcl2.loads(text).get("resource", []):
        for kind, named in item.items():
            for name, body in named.items():
                if kind not in known:
                    yield f"{kind}.{name}: no such resource"
                    continue
                yield from _unknown(f"{kind}.{name}", body, known[kind]["arguments"])
                for argument in set(known[kind]["required"]) - set(body):
                    yield f"{kind}.{name}: lacks {argument}"


def _unknown(place: str, body: Mapping[str, Any], arguments: Mapping[str, Any]) -> Iterator[str]:
    for name, value in _content(body):
        if name not in arguments:
            yield f"{place}: no argument {name}"
        elif arguments[name]:
            for block in value:
                if isinstance(block, Mapping):
                    yield from _unknown(f"{place}.{name}", block, arguments[name])
                else:
                    yield f"{place}: {name} is a block"


def _content(body: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """The arguments and blocks of a block; dynamic ones as if they were written once."""
    for name, value in body.items():
        if name == "dynamic":
            yield from ((block, own["content"]) for item in value for block, own in item.items())
        elif name not in META:
            yield name, value


def main() -> int:
    """Print the faults; 1 if there are any."""
    known = json.loads((HERE / "provider.json").read_text())
    found = [
        f"{file.relative_to(FOLDER)}: {fault}"
        for file in sorted(FOLDER.rglob("*.tf"))
        for fault in faults(file.read_text(), known)
    ]
    print("\n".join(found) or f"{len(known)} kinds of resources have the arguments that the provider knows")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
