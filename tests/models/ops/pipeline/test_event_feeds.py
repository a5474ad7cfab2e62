"""Models of operations that list feeds one by one lack none."""

from __future__ import annotations

from sqlglot import exp
from sqlmesh import Context

from ingest.contracts.contract import Kind, contracts


def test_the_keys_of_each_event_feed_are_counted(project: Context) -> None:
    declared = {
        contract.feed: (contract.table, set(contract.key))
        for contract in contracts().values()
        if contract.kind is Kind.EVENT
    }
    counted = {}
    for select in project.get_model("ops.event_keys_daily").render_query_or_raise().find_all(exp.Select):
        columns = {column.alias: column for column in select.expressions}
        table, keys = select.find(exp.Table), columns["key_count"].find(exp.Distinct)
        assert table
        assert keys
        counted[columns["feed"].find(exp.Literal).name] = (
            f"{table.db}.{table.name}",
            {column.name for column in keys.find_all(exp.Column)},
        )
    assert counted == declared
