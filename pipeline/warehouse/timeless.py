"""Models whose rows follow from the rows of their parents alone, whenever they are computed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sqlglot import exp
from sqlmesh.core.dialect import find_tables
from sqlmesh.core.macros import RuntimeStage
from sqlmesh.core.model import Model, SqlModel
from sqlmesh.core.snapshot import Snapshot

from pipeline.warehouse.cache import read_cache, write_cache

FILE = "lakemesh_timeless.json"
_FORMAT = "2"
_TWO_TIMES = (
    {"start": "2001-02-03", "end": "2001-02-03", "execution_time": "2001-02-04 01:02:03"},
    {"start": "2022-11-12", "end": "2022-12-13", "execution_time": "2023-03-04 05:06:07"},
)
"""A query that is rendered the same for both does not depend on the time of its computation."""
_OTHER_EACH_TIME = (
    *(exp.CurrentDate, exp.CurrentDatetime, exp.CurrentTime, exp.CurrentTimestamp, exp.Localtime, exp.Localtimestamp),
    *(exp.Rand, exp.Randn, exp.Uuid, exp.TableSample),
    exp.Anonymous,  # a function that SQLGlot does not know
)


def timeless(snapshots: Iterable[Snapshot], folder: Path) -> set[str]:
    """SQLMesh's full names of those snapshots whose rows and audits depend on the rows of their parents alone.

    Args:
        folder: SQLMesh's cache, for the answers.
    """
    stored = read_cache(folder / FILE)
    entries: dict[str, Any] = {}
    for snapshot in snapshots:
        key = hashlib.sha256(f"{_FORMAT} {version('sqlmesh')} {snapshot.fingerprint}".encode()).hexdigest()
        entry = stored.get(snapshot.name)
        if not isinstance(entry, dict) or entry.get("key") != key:
            entry = {"key": key, "is_timeless": is_timeless(snapshot.model)}
        entries[snapshot.name] = entry
    if (merged := stored | entries) != stored:
        write_cache(folder / FILE, merged)
    return {name for name, entry in entries.items() if entry["is_timeless"] is True}


def is_timeless(model: Model) -> bool:
    """Whether rows and audits of a model depend on the rows of its parents alone, not on the time or on chance."""
    if not isinstance(model, SqlModel) or model.pre_statements or model.post_statements:
        return False
    parents = {model.fqn, *model.depends_on}
    for render in [model.render_query, *(_audit_of(model, audit, args) for audit, args in model.audits_with_args)]:
        first, second = (render(**times, runtime_stage=RuntimeStage.EVALUATING) for times in _TWO_TIMES)
        if first is None or first != second or any(map(is_other_each_time, first.walk())):
            return False
        if not find_tables(first, default_catalog=model.default_catalog, dialect=model.dialect) <= parents:
            return False
    return True


def _audit_of(model: Model, audit: Any, args: Mapping[str, Any]) -> Any:
    return lambda **times: model.render_audit_query(audit, **times, **args)


def is_other_each_time(node: exp.Expression) -> bool:
    """Whether a part of a query may be another with each computation: the time, chance, or a file."""
    is_function = isinstance(node, exp.Table) and not isinstance(node.this, exp.Identifier)
    return is_function or isinstance(node, _OTHER_EACH_TIME)
