"""The class of every column of the project, from contracts and declarations along the column lineage."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sqlmesh.core.context import GenericContext

from ingest.contracts.contract import Contract, load_contracts
from ingest.contracts.contract import contracts as known
from ingest.settings import PROJECT
from pipeline.access.classes import NOTHING, Classed, Classification, classify, of_contracts
from pipeline.access.privacy import FOLDER, Privacy, load_privacy, minimum_group_size
from pipeline.warehouse.lineage import Lineage, lineage_of

OWN_CONTRACTS = Path("ingest", "contracts")


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes of a project's columns.

    Attributes:
        columns: by table and column.
        privacy: what the project declared.
        lineage: along which they were derived.
        minimum_group_size: a page shows no smaller group of a quasi-identifying dimension.
    """

    columns: Classification
    privacy: Privacy
    lineage: Lineage
    minimum_group_size: int

    def of(self, table: str, column: str) -> Classed:
        """Return what is known of a column; of an unknown one, nothing personal."""
        return self.columns.get(table, {}).get(column, NOTHING)

    def personal_names(self) -> frozenset[str]:
        """Return the names of all columns of any table that are personal, to mask rows whose table is not known."""
        return frozenset(
            name for columns in self.columns.values() for name, item in columns.items() if item.class_.is_personal
        )

    def restricted(self, table: str) -> list[str]:
        """Return the columns of a table that no page may show: direct or sensitive ones."""
        return [name for name, item in self.columns.get(table, {}).items() if item.class_.is_restricted]

    def size_column(self, table: str) -> str | None:
        """Return the additive column whose sum is the size of a group; None where each row counts as one."""
        group = self.privacy.groups.get(table)
        return group.size if group else None


def project_classes(
    context: GenericContext, contracts: Mapping[str, Contract] | None = None, cache: Path | None = None
) -> Classes:
    """Return the classes of all columns of a loaded project.

    Args:
        contracts: by feed; by default those in the project's folder, or those of this process if it has none.
        cache: folder of the lineage's cache; see `lineage_of`.

    Raises:
        ConfigError: a contract or a file below `privacy/` is invalid.
    """
    if contracts is None:
        own = context.path / OWN_CONTRACTS
        contracts = load_contracts(own) if own.is_dir() and context.path.resolve() != PROJECT else known()
    privacy = load_privacy(context.path / FOLDER)
    lineage = lineage_of(context, cache)
    found = classify(of_contracts(contracts.values()), lineage.uses, privacy.columns)
    return Classes(found, privacy, lineage, minimum_group_size(context.config.variables))
