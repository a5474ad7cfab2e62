"""The version of the project: what states it agrees, and a tag is that of a prepared release.

    python -m pipeline.dev.version              exit 1 with what does not agree
    python -m pipeline.dev.version --tag v0.3.0     for a release: the changelog must have nothing unreleased, too
    python -m pipeline.dev.version --notes          the changelog of the version, for the page of the release

docs/releasing.md has the steps.
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from pathlib import Path

import yaml

from ingest.settings import PROJECT

CHANGELOG, CHART = "CHANGELOG.md", "deploy/helm/lakemesh/Chart.yaml"
SEMANTIC = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")
_HEADING = re.compile(r"^## \[([^\]]+)\](?: - (\d{4}-\d{2}-\d{2}))?$", re.MULTILINE)


def stated(project: Path) -> dict[str, str]:
    """Return the version by the place that states it, without those that the project does not have."""
    package = tomllib.loads((project / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    found = {"pyproject.toml": str(package["version"])}
    headings = [name for name, _, _ in _sections(project) if name != "Unreleased"]
    found[CHANGELOG] = headings[0] if headings else ""
    if (project / CHART).is_file():
        chart = yaml.safe_load((project / CHART).read_text(encoding="utf-8"))
        found |= {f"{CHART} version": str(chart["version"]), f"{CHART} appVersion": str(chart["appVersion"])}
    return found


def problems(project: Path, tag: str = "") -> list[str]:
    """Return why the project cannot be released as it is, one line each.

    Args:
        tag: of the release; without one, unreleased changes are right.
    """
    versions = stated(project)
    wanted = versions["pyproject.toml"]
    found = [f"{place} says {version or 'nothing'}, pyproject.toml {wanted}" for place, version in versions.items()]
    found = [line for line, version in zip(found, versions.values(), strict=True) if version != wanted]
    if not SEMANTIC.fullmatch(wanted):
        found.append(f"pyproject.toml: {wanted} is no semantic version; expected MAJOR.MINOR.PATCH")
    if tag and tag != f"v{wanted}":
        found.append(f"the tag {tag} is not that of version {wanted}; expected v{wanted}")
    for name, date, text in _sections(project):
        if tag and name == "Unreleased" and text:
            found.append(f"{CHANGELOG} has unreleased changes; move them below a heading of the version")
        if name != "Unreleased" and not (date and text):
            found.append(f"{CHANGELOG}: {name} has no {'changes' if date else 'date'}")
    return found


def notes(project: Path) -> str:
    """Return the changes of the newest version, in Markdown."""
    return next(text for name, _, text in _sections(project) if name != "Unreleased")


def _sections(project: Path) -> list[tuple[str, str, str]]:
    """The sections of the changelog, newest first: name, date and text."""
    text = (project / CHANGELOG).read_text(encoding="utf-8")
    found = list(_HEADING.finditer(text))
    ends = [*(item.start() for item in found[1:]), len(text)]
    return [(item[1], item[2] or "", text[item.end() : end].strip()) for item, end in zip(found, ends, strict=True)]


def main() -> int:
    """Print what does not agree, or the notes; 1 if something does not."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.dev.version", description="Check the project's version.")
    parser.add_argument("--tag", default="", help="of the release, v and the version")
    parser.add_argument("--notes", action="store_true", help="print the changes of the version")
    options = parser.parse_args()
    if options.notes:
        print(notes(PROJECT))
        return 0
    found = problems(PROJECT, options.tag)
    for line in found:
        print(f"error: {line}", file=sys.stderr)
    if not found:
        print(stated(PROJECT)["pyproject.toml"])
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
