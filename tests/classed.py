"""A small project with personal columns: two contracts, a seed, and models of every layer."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from sqlmesh import Context

from ingest.contracts.contract import load_contracts
from ingest.contracts.schema import external_models
from tests.linter.projects import project_of


def column(name: str, kind: str = "string", class_: str = "", subject: str = "", **rules: Any) -> dict[str, Any]:
    """A column of a contract."""
    owned = {"class": class_, "subject": subject} if class_ else {}
    return {"name": name, "type": kind, "description": "x", **owned, **rules}


PEOPLE = {
    "version": 1,
    "kind": "entity",
    "owner": "hr",
    "description": "One record per change of an employee.",
    "source": {"bucket": "raw-people"},
    "key": ["person_id"],
    "freshness_seconds": 60,
    "columns": [
        column("person_id", class_="direct", subject="employee", required=True),
        column("country", class_="quasi", subject="employee"),
        column("team"),
        column("salary", "integer", "sensitive", "employee"),
        column("hired_at", "timestamp"),
        column(
            "device",
            "struct",
            fields=[column("serial", class_="direct", subject="employee"), column("maker")],
        ),
        column(
            "children",
            "struct",
            "sensitive",
            "child",
            repeated=True,
            fields=[column("name"), column("age", "integer")],
        ),
    ],
}
HEADER = """MODEL (
  name {name},
  kind {kind},
  owner hr,
  description 'One row per x.',
  grain x,
  tags ({tags}),
  audits (not_null(columns := x))
);

"""
SILVER = """SELECT
  people.person_id::TEXT AS person_id,
  people.country::TEXT AS country,
  people.team::TEXT AS team,
  people.salary::BIGINT AS salary,
  people.hired_at::TIMESTAMP AS hired_at,
  people.device.serial::TEXT AS serial,
  people.device.maker::TEXT AS maker
FROM bronze.people AS people
"""


def model(name: str, sql: str, kind: str = "FULL") -> dict[str, str]:
    """The file of a model."""
    layer, table = name.split(".")
    return {f"models/{layer}/hr/{table}.sql": HEADER.format(name=name, kind=kind, tags=f"{layer}, hr") + sql}


@contextmanager
def classed_project(folder: Path, models: dict[str, str], privacy: Any = None) -> Iterator[Context]:
    """The project with further models by their name, and the content of `privacy/hr.yaml`."""
    files = {"ingest/contracts/hr/people.yaml": yaml.safe_dump(PEOPLE)}
    files |= model("silver.people", SILVER)
    for name, sql in models.items():
        files |= model(name, sql)
    if privacy is not None:
        files["privacy/hr.yaml"] = privacy if isinstance(privacy, str) else yaml.safe_dump(privacy)
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(text)
    contracts = load_contracts(folder / "ingest" / "contracts")
    files["external_models/bronze.yaml"] = external_models(list(contracts.values()))
    with project_of(folder, files) as context:
        yield context
