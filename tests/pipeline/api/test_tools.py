"""Tools for agents: the same numbers as SQL, small, read-only, errors that say how to correct a call."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.streamable_http import streamable_http_client

from pipeline.api.small import MOST_CHARACTERS
from tests.pipeline.api.serving import KEYS, Server, World, environment

Called = Callable[..., Awaitable[tuple[bool, Any]]]


def with_tools(server: Any, body: Callable[[Called], Awaitable[None]], check: Any = None) -> None:
    """Call tools of a server: its address, or how to start it."""

    async def run() -> None:
        async with Client(server) as client:

            async def call(name: str, /, **arguments: Any) -> tuple[bool, Any]:
                result = await client.call_tool(name, arguments)
                text = "".join(item.text for item in result.content)
                assert len(text) <= MOST_CHARACTERS
                return bool(result.is_error), text if result.is_error else json.loads(text)

            if check:
                check(await client.list_tools())
            await body(call)

    asyncio.run(run())


def on_streams(made: World, *arguments: str, **variables: str) -> StdioServerParameters:
    command = ["-m", "pipeline", "mcp", *arguments]
    return StdioServerParameters(command=sys.executable, args=command, env=environment(made, **variables))


def keyed_client(server: Server, name: str) -> Any:
    headers = {"Authorization": f"Bearer {KEYS[name][0]}"}
    return streamable_http_client(f"{server.address}/mcp", http_client=httpx2.AsyncClient(headers=headers))


def test_numbers_are_those_of_sql(open_server: Server, shared: World) -> None:
    with shared.releases.connect() as reader:
        wanted = reader.execute(
            "SELECT DATE_TRUNC('year', date)::DATE, SUM(plays) FROM gold.plays_daily GROUP BY ALL ORDER BY 1"
        ).fetchall()
        total, finished = reader.execute("SELECT SUM(plays), SUM(finished) FROM gold.plays_daily").fetchone() or (0, 0)

    def only_reads(listed: Any) -> None:
        assert {tool.name for tool in listed.tools} == {
            *("search", "describe", "query_metric", "query_sql", "explain", "why", "whats_wrong")
        }
        assert all(tool.annotations.read_only_hint for tool in listed.tools)

    async def body(call: Called) -> None:
        failed, found = await call("query_metric", metrics=["plays", "finish_rate"], by=["year"])
        assert not failed
        assert [(row["period"], row["plays"]) for row in found["rows"]] == [
            (day.isoformat(), int(plays)) for day, plays in wanted
        ]
        assert found["totals"]["plays"] == total
        assert abs(float(found["totals"]["finish_rate"]) - finished / total) < 1e-9
        assert (found["release"], found["complete_to"]) == (1, "2026-10-31")
        _, rows = await call("query_sql", sql="SELECT SUM(plays) AS plays FROM gold.plays_daily")
        assert [int(row["plays"]) for row in rows["rows"]] == [total]

    with_tools(f"{open_server.address}/mcp", body, only_reads)


def test_answers_are_small_and_say_what_was_cut(open_server: Server) -> None:
    async def body(call: Called) -> None:
        _, found = await call("query_sql", sql="SELECT repeat('x', 5000) AS long, * FROM gold.plays_daily", limit=100)
        assert len(found["rows"]) < 100
        assert "of 100 are shown" in found["cut"]
        assert "5,000 characters" in found["rows"][0]["long"]
        _, found = await call("query_metric", metrics=["plays"], by=["day"], limit=5)
        assert len(found["rows"]) == 5
        assert "the first 5 rows of 1,096" in found["cut"]
        _, found = await call("search", text="gold", limit=3)
        assert len(found["found"]) == 3
        assert "3 of" in found["cut"]

    with_tools(f"{open_server.address}/mcp", body)


def test_errors_are_results_that_say_how_to_correct_the_call(open_server: Server) -> None:
    async def body(call: Called) -> None:
        for name, arguments, said in [
            ("query_metric", {"metrics": ["play"]}, "did you mean plays"),
            ("query_metric", {"metrics": ["plays"], "by": ["planet"]}, "it has country_code, device"),
            ("query_metric", {"metrics": ["plays"], "since": "soon"}, "expected 2026-01-31"),
            ("query_metric", {"metrics": ["cohort_size"], "by": []}, "cannot be summed"),
            ("query_sql", {"sql": "COPY gold.fees TO 'x'"}, "is no SELECT"),
            ("query_sql", {"sql": "FROM read_text('/etc/passwd')"}, "is not run"),
            ("query_sql", {"sql": "SELECT x FROM gold.fees"}, "x"),
            ("query_sql", {"sql": "SELECT 1", "limit": 10_000}, "limit"),
            ("describe", {"name": "gold.play_daily"}, "gold.plays_daily"),
            ("explain", {"name": "nothing"}, "use search"),
            ("why", {"source_object": "nowhere/x"}, "expected bucket/key"),
        ]:
            failed, text = await call(name, **arguments)
            assert failed, name
            assert said in text, text

    with_tools(f"{open_server.address}/mcp", body)


def test_the_catalog_is_searched_and_described(open_server: Server) -> None:
    async def body(call: Called) -> None:
        _, found = await call("search", text="sessions")
        assert (found["found"][0]["kind"], found["found"][0]["name"]) == ("metric", "plays")
        _, found = await call("search", text="contry")
        assert any("country_code" in item["name"] for item in found["found"])
        _, found = await call("describe", name="gold.plays_daily")
        assert found["grain"] == ["date", "country_code", "device"]
        assert "plays" in found["metrics"]
        _, found = await call("describe", name="finish_rate")
        assert found["measure"]["ratio"] == ["finished", "plays"]
        failed, found = await call("whats_wrong")
        assert not failed
        assert found["release"] == 1
        assert {"release", "complete_to"} & {item["what"] for item in found["wrong"]} or found["fine"]
        _, found = await call("explain", name="plays")
        assert "not known here" in found["note"]  # these releases have no catalog

    with_tools(f"{open_server.address}/mcp", body)


def test_a_role_uses_tools_over_its_own_release(keyed: Server) -> None:
    async def body(call: Called) -> None:
        _, found = await call("query_metric", metrics=["plays"], by=["country_code"])
        assert [row["country_code"] for row in found["rows"]] == ["de"]
        failed, text = await call("query_metric", metrics=["mrr"], by=["month"])
        assert failed
        assert "mrr_monthly" not in text
        for name, arguments in [
            ("query_sql", {"sql": "FROM gold.mrr_monthly"}),
            ("describe", {"name": "gold.mrr_monthly"}),
            ("explain", {"name": "gold.mrr_monthly"}),
            ("why", {"source_object": "raw-users/x"}),
        ]:
            assert (await call(name, **arguments))[0], name
        _, found = await call("search", text="mrr monthly")
        assert not [item for item in found["found"] if "mrr" in item["name"]]
        _, found = await call("whats_wrong")
        assert not [item for item in found["wrong"] if "/" in item["what"]]

    with_tools(keyed_client(keyed, "ada"), body)


def test_standard_input_and_output_offer_the_same(shared: World) -> None:
    async def of_a_role(call: Called) -> None:
        assert (await call("query_sql", sql="FROM gold.themes"))[0]
        _, found = await call("query_sql", sql="SELECT DISTINCT country_code FROM gold.plays_daily")
        assert found["rows"] == [{"country_code": "de"}]

    with_tools(on_streams(shared, "--role", "analyst"), of_a_role)
