"""Where retired objects may go, and whose they may be."""

from __future__ import annotations

from collections.abc import Mapping

from ingest.contracts.source import Source
from ingest.errors import ConfigError


def check_retirement(name: str, sources: Mapping[str, Source]) -> None:
    """Check that retired objects of a feed are neither loaded again nor still needed by another feed.

    Args:
        name: the feed's, as on the command line.
        sources: of all feeds, by such names.

    Raises:
        ConfigError: they are.
    """
    source = sources[name]
    rule = source.retire
    own = f"{source.bucket}/{source.prefix}"
    for other, its in sources.items() if rule else ():
        place = f"{its.bucket}/{its.prefix}"
        if rule and rule.to and _overlap(rule.to, place):
            raise ConfigError(
                f"{name}: source.retire.to {rule.to} overlaps the source of {other}, so retired objects would be "
                "loaded again; name another bucket or prefix"
            )
        if other != name and _overlap(own, place):
            raise ConfigError(
                f"{name}: source.retire would remove objects that {other} reads too; give each feed a bucket or prefix "
                "of its own, or remove the rule"
            )


def _overlap(one: str, other: str) -> bool:
    """Whether one of two bucket/prefix locations contains the other.

    >>> _overlap("raw/old", "raw/"), _overlap("raw", "raw/new"), _overlap("raw-old", "raw")
    (True, True, False)
    """
    first, second = (f"{place.rstrip('/')}/" for place in (one, other))
    return first.startswith(second) or second.startswith(first)
