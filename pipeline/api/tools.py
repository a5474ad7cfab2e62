"""Tools for agents (MCP) over the same core as HTTP: they read, and their answers are small."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import asdict
from typing import Annotated, Any

import msgspec
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import Field

from ingest.errors import LakemeshError
from pipeline.api.core import Core, metric_of, table_of
from pipeline.api.explain import explain as explained
from pipeline.api.keys import Caller
from pipeline.api.search import search as searched
from pipeline.api.small import small
from pipeline.api.snapshots import Snapshot
from pipeline.api.wrong import wrong
from pipeline.checks.trace import masked_history, object_history

MOST_ROWS = 100
INSTRUCTIONS = """\
Numbers of one audited release of a lakehouse. Begin with `search`; prefer `query_metric` to `query_sql`: a metric is
defined once and refuses sums that make no sense. Every answer names the release that it is read from and the last
complete date; `explain` says where a number comes from, `whats_wrong` what to be careful about. Answers are cut, and
say so. Nothing here can change anything."""
_READS = ToolAnnotations(read_only_hint=True, destructive_hint=False, idempotent_hint=True, open_world_hint=False)
_Names = Annotated[list[str], Field(description="Names of metrics.", max_length=10)]
_By = Annotated[
    list[str] | None,
    Field(description="At most one grain (day, week, month, quarter, year) and dimensions of the metric."),
]
_Where = Annotated[
    list[str] | None, Field(description="Conditions that all hold: `country_code=fr`, `plan in (a, b)`, `x is null`.")
]
_Limit = Annotated[int, Field(ge=1, le=MOST_ROWS, description="Most rows.")]

CallerOf = Callable[[Any], Caller]
"""Tells who calls from the context of a call."""


def tools(core: Core, caller_of: CallerOf) -> MCPServer[Any]:
    """The server of the tools."""
    server: MCPServer[Any] = MCPServer("lakemesh", title="Lakemesh", instructions=INSTRUCTIONS, log_level="WARNING")

    async def opened(context: Context[Any, Any]) -> tuple[Caller, Snapshot]:
        caller = caller_of(context)
        return caller, await core.snapshot(caller)

    def tool(function: Callable[..., Any]) -> None:
        server.tool(annotations=_READS, structured_output=False)(_with_errors(function))

    async def search(
        ctx: Context[Any, Any],
        text: Annotated[str, Field(description="Words, such as `weekly active users`.", max_length=200)],
        limit: Annotated[int, Field(ge=1, le=50)] = 10,
    ) -> str:
        """Find metrics, tables, columns and terms by words; start here."""
        caller, snapshot = await opened(ctx)
        core.note(caller, "catalog", ["search"], snapshot)
        found = searched(snapshot, text)
        shown = [{"kind": item.kind, "name": item.name, "text": item.text[:160]} for item in found[:limit]]
        value: dict[str, Any] = {"release": snapshot.release.number, "found": shown}
        if len(found) > limit:
            value["cut"] = f"{limit} of {len(found)} matches are shown; use more or other words, or a higher limit"
        elif not found:
            value["hint"] = "nothing matches; use fewer or other words"
        return small(value, ["found"], "use more specific words")

    async def describe(
        ctx: Context[Any, Any],
        name: Annotated[str, Field(description="A metric, or a table as schema.table.", max_length=200)],
    ) -> str:
        """Describe a metric (meaning, dimensions, grains, what may be summed) or a table (columns, grain)."""
        caller, snapshot = await opened(ctx)
        if "." not in name:
            metric = metric_of(snapshot, name)
            core.note(caller, "catalog", [name], snapshot)
            return small({"release": snapshot.release.number, **metric.model_dump(mode="json")}, [], "")
        table = table_of(snapshot, name)
        core.note(caller, "catalog", [name], snapshot)
        columns = [f"{column} {kind}: {comment}" for column, kind, comment in table.columns]
        value = {
            "release": snapshot.release.number,
            "name": table.name,
            "description": table.description,
            "rows": table.rows or None,
            "grain": table.grain,
            "metrics": [metric.name for metric in snapshot.definitions.values() if metric.table == table.name],
            "columns": columns,
        }
        return small(value, ["columns", "metrics"], "search finds columns by name")

    async def query_metric(
        ctx: Context[Any, Any],
        metrics: _Names,
        by: _By = None,
        where: _Where = None,
        since: Annotated[str, Field(description="First date, 2026-01-31.")] = "",
        until: Annotated[str, Field(description="Last date, inclusive.")] = "",
        compare: Annotated[str, Field(description="previous, year, or empty.")] = "",
        limit: _Limit = 50,
    ) -> str:
        """Compute metrics: rows by period and dimensions, with totals that are right for ratios too."""
        caller, snapshot = await opened(ctx)
        asked = {
            "names": metrics,
            "by": by or [],
            "where": where or [],
            "since": since,
            "until": until,
            "compare": compare,
        }
        found = await core.metrics(caller, snapshot, asked, "json", rows=limit)
        value = msgspec.json.decode(found.outcome.body)
        kept = ("release", "complete_to", "columns", "rows", "totals", "refused_totals", "cut")
        value["columns"] = [{"name": item["name"], "label": item["label"]} for item in value["columns"]]
        return small({name: value[name] for name in kept if value.get(name)}, ["rows"], "filter, or use a longer grain")

    async def query_sql(
        ctx: Context[Any, Any],
        sql: Annotated[str, Field(description="One SELECT in DuckDB's dialect; tables as schema.table.")],
        limit: _Limit = 50,
    ) -> str:
        """Run one SELECT over published tables, for what no metric answers."""
        caller, snapshot = await opened(ctx)
        found = await core.sql(caller, snapshot, sql, "json", rows=limit)
        value = msgspec.json.decode(found.outcome.body)
        kept = ("release", "complete_to", "columns", "rows", "cut")
        return small({name: value[name] for name in kept if value.get(name) is not None}, ["rows"], "aggregate in SQL")

    async def explain(
        ctx: Context[Any, Any],
        name: Annotated[str, Field(description="A metric, schema.table, or schema.table.column.", max_length=200)],
    ) -> str:
        """Say where a number comes from: lineage to the feeds, audits, freshness, the SQL of its table."""
        caller, snapshot = await opened(ctx)
        core.note(caller, "catalog", [name], snapshot)
        found = await asyncio.to_thread(explained, snapshot, name)
        return small(found, ["lineage", "tables", "feeds"], "explain a table or column on the way")

    async def why(
        ctx: Context[Any, Any],
        source_object: Annotated[str, Field(description="bucket/key, as in `_source_file`.", max_length=1000)],
    ) -> str:
        """Tell the history of one source object: loads, files, and each rejected line with its reason, masked."""
        caller, snapshot = await opened(ctx)
        if caller.role:
            raise ToolError("objects are not masked for roles, so roles do not see their history")
        lake = core.lake
        found = await asyncio.to_thread(object_history, source_object, lake.landings, lake.store, lake.connect)
        history = masked_history(found)
        core.note(caller, "object", [history.feed], snapshot)
        value = {
            "feed": history.feed,
            "object": history.source_file,
            "state": history.state,
            "loads": [
                {"position": step.position, "committed_at": step.committed_at, "rows": step.version.rows}
                for step in history.steps
            ],
            "files": list(history.files),
            "rejected": [asdict(line) | {"raw": line.raw[:200]} for line in history.bad_lines],
        }
        return small(value, ["rejected", "files", "loads"], "`lake why` shows all")

    async def whats_wrong(ctx: Context[Any, Any]) -> str:
        """Say what is wrong now: old release, failed audits, late feeds, rejected records."""
        caller, snapshot = await opened(ctx)
        return small(await wrong(core, caller, snapshot), ["wrong", "fine"], "`lake status` and `lake audit` show all")

    for function in (search, describe, query_metric, query_sql, explain, why, whats_wrong):
        tool(function)
    return server


def _with_errors(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return errors as results that say how to correct the call."""
    import functools

    @functools.wraps(function)
    async def called(*args: Any, **options: Any) -> Any:
        try:
            return await function(*args, **options)
        except LakemeshError as error:
            raise ToolError(str(error)) from None

    return called
