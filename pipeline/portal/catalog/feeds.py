"""Feeds in the catalog: each contract with the fields of its objects."""

from __future__ import annotations

from collections.abc import Iterator

from ingest.contracts import contract as contracts
from ingest.contracts.schema import sql_columns, sql_type
from ingest.contracts.source import Completeness, Retire
from pipeline.access.classes import NOTHING, Classification
from pipeline.portal.catalog.entries import Column, Constraint, Contract, Table


def source_of(contract: contracts.Contract) -> str:
    """Where the objects of a feed are: bucket and prefix, or the topic."""
    return "/".join(part for part in (contract.source.name, contract.source.folder) if part)


def feed_table(contract: contracts.Contract, classes: Classification) -> Table:
    """A feed as a table of the catalog.

    Args:
        classes: by table and column.
    """
    rule = contract.completeness
    source = contract.source
    return Table(
        contract.table,
        "feed",
        contract.description,
        contract.domain,
        contract.owner,
        tuple(_columns(contract, classes)),
        grain=contract.key,
        tags=("bronze", contract.domain),
        materialization="ingest",
        time_column="event_date" if contract.kind is contracts.Kind.EVENT else "",
        file=f"ingest/contracts/{contract.domain}/{contract.feed}.yaml",
        references=tuple(f"{item.column} → bronze.{item.feed}.{item.key}" for item in contract.references),
        contract=Contract(
            contract.version,
            str(contract.kind),
            source_of(contract),
            source.format,
            contract.key,
            contract.freshness_seconds,
            contract.event_time or "",
            contract.latest_by,
            _completeness(rule) if rule else "",
            contract.unknown_fields,
            contract.overwritten,
            contract.max_quarantined_share,
            tuple(f"{item.column} → {item.feed}.{item.key}" for item in contract.references),
            _retirement(source.retire) if source.retire else "",
            tuple(
                Constraint(item.name, item.column, item.expected, item.policy.value) for item in contract.constraints
            ),
        ),
    )


def _columns(contract: contracts.Contract, classes: Classification) -> Iterator[Column]:
    """The contract's columns with the fields of structs, then those that ingest adds."""
    declared = dict(contract.walk())
    place = source_of(contract)
    classed = classes.get(contract.table, {})
    for path, column in declared.items():
        known = classed.get(path, NOTHING)
        yield Column(
            path,
            "STRUCT" + "[]" * column.repeated if column.fields else sql_type(column),
            column.description,
            str(known.class_),
            tuple(sorted(known.subjects)),
            column.required,
            tuple(f"{contract.table}.{path}.{item.name}" for item in column.fields) or (f"source:{place}/{path}",),
        )
    for name, kind, description in sql_columns(contract):
        if name not in declared:
            known = classed.get(name, NOTHING)
            yield Column(name, kind, description, str(known.class_), tuple(sorted(known.subjects)))


def _completeness(rule: Completeness) -> str:
    sign = f"once {rule.marker} is in the landing" if rule.marker else "once an object is written after its end"
    if rule.after_seconds:
        sign = f"once an object is written {rule.after_seconds:,} s after its end"
    return f"a day is complete {sign}, and computed at the latest {rule.deadline_seconds:,} s after its end"


def _retirement(rule: Retire) -> str:
    verb = {"delete": "deleted", "move": f"moved to {rule.to}", "tag": "tagged"}[rule.action]
    return f"loaded objects are {verb} after {rule.after_days:,} days"
