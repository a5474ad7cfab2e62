"""Ten questions of analysts, answered by the tools for agents alone: `python -m pipeline.dev.questions`.

It starts `lake mcp` on the lake of the settings, such as that of `make demo`, and writes the transcript to
docs/agents.md. What it calls next follows from what it was answered.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

from mcp import Client, StdioServerParameters

from ingest.settings import PROJECT

PATH = PROJECT / "docs" / "agents.md"
_SHOWN = 420
HEAD = """\
# Questions that agents answer

`lake mcp` and `/mcp` ([serve.md](serve.md)) offer seven tools. This transcript was made by
`python -m pipeline.dev.questions` from the lake of `make demo`: nothing but the tools was used, and each call follows
from the answers before it. Answers are shortened here.
"""


@dataclass
class Transcript:
    """The calls of a question, and what was answered."""

    client: Client
    lines: list[str] = field(default_factory=list)

    async def call(self, tool: str, **arguments: Any) -> Any:
        """Call a tool and note it; an error is a text."""
        result = await self.client.call_tool(tool, arguments)
        text = "".join(getattr(item, "text", "") for item in result.content)
        shown = text if len(text) <= _SHOWN else f"{text[:_SHOWN].rpartition(',')[0]}, …"
        asked = ", ".join(f"{name}={json.dumps(value)}" for name, value in arguments.items())
        self.lines += [f"{tool}({asked})", f"  → {'error: ' * bool(result.is_error)}{shown}"]
        return text if result.is_error else json.loads(text)


Answered = Callable[[Transcript], Awaitable[str]]


async def _plays(log: Transcript) -> str:
    found = await log.call("search", text="plays", limit=3)
    name = next(item["name"] for item in found["found"] if item["kind"] == "metric")
    weeks = (await log.call("query_metric", metrics=[name], by=["week"], compare="previous", limit=20))["rows"]
    last = weeks[-2]
    return f"{last[name]:,} plays in the week of {last['period']}, {last[f'{name}_difference']:+,} on the week before."


async def _countries(log: Transcript) -> str:
    await log.call("describe", name="completion_rate")
    rows = (await log.call("query_metric", metrics=["plays", "completion_rate"], by=["country_code"]))["rows"]
    known = [row for row in rows if row["country_code"] and row["plays"] >= 100]
    best = max(known, key=lambda row: float(row["completion_rate"]))
    return f"`{best['country_code']}` with {float(best['completion_rate']):.1%} of {best['plays']:,} plays completed."


async def _mrr(log: Transcript) -> str:
    found = await log.call("query_metric", metrics=["mrr"], by=["month"], compare="previous", limit=60)
    last = found["rows"][-1]
    moves = ["new_mrr", "expansion_mrr", "contraction_mrr", "churn_mrr", "reactivation_mrr", "fx_mrr"]
    moved = (await log.call("query_metric", metrics=moves, by=["month"], since=last["period"]))["rows"][-1]
    parts = ", ".join(f"{name.removesuffix('_mrr')} {float(moved[name] or 0):+,.0f}" for name in moves)
    return f"MRR of {last['period'][:7]} is {float(last['mrr']):,.0f}, {float(last['mrr_difference']):+,.0f}: {parts}."


async def _churn(log: Transcript) -> str:
    found = await log.call("search", text="churn of customers monthly", limit=5)
    name = next(item["name"] for item in found["found"] if item["kind"] == "metric" and "rate" in item["name"])
    rows = (await log.call("query_metric", metrics=[name], by=["month"], limit=60))["rows"]
    worst = max((row for row in rows[-12:] if row[name] is not None), key=lambda row: float(row[name]))
    return f"{worst['period'][:7]}: {float(worst[name]):.1%} of the customers at its opening left."


async def _refused_sum(log: Transcript) -> str:
    refused = await log.call("query_metric", metrics=["activity_accounts"])
    by = ["day", "activity_id"]
    last = (await log.call("query_metric", metrics=["plays"], by=["day"], limit=100))["complete_to"]
    found = await log.call("query_metric", metrics=["activity_accounts"], by=by, since=last, limit=100)
    best = max(found["rows"], key=lambda row: row["activity_accounts"])
    reason = str(refused).partition("activity_accounts ")[2]
    return (
        f"{best['activity_accounts']} accounts played `{best['activity_id']}` on {last}. One number over all days is "
        f"refused: the metric {reason}."
    )


async def _products(log: Transcript) -> str:
    found = await log.call("describe", name="product_net_revenue")
    by = next(name for name in found["dimensions"] if "category" in name or "name" in name or "product" in name)
    rows = (await log.call("query_metric", metrics=["product_net_revenue", "product_margin"], by=[by]))["rows"]
    best = max(rows, key=lambda row: float(row["product_net_revenue"] or 0))
    margin = f"{float(best['product_margin']):.1%}" if best["product_margin"] else "unknown"
    return f"`{best[by]}` with {float(best['product_net_revenue']):,.0f} net, margin {margin}."


async def _sql(log: Transcript) -> str:
    table = "gold.activity_engagement_metrics"
    await log.call("describe", name=table)
    wrong = await log.call("query_sql", sql=f"SELECT os, SUM(plays) FROM {table} GROUP BY ALL")
    sql = (
        f"SELECT os_name, DAYNAME(date) AS day, SUM(activities_played)::BIGINT AS plays FROM {table} "
        "GROUP BY ALL ORDER BY plays DESC LIMIT 3"
    )
    row = (await log.call("query_sql", sql=sql))["rows"][0]
    assert isinstance(wrong, str)
    return f"{row['day']}s on {row['os_name']}: {row['plays']:,} plays. No metric has weekdays, so SQL was needed."


async def _where_from(log: Transcript) -> str:
    found = await log.call("explain", name="completion_rate")
    sources = sorted({part for line in found["lineage"] for part in line.split() if part.startswith("source:")})
    audits = found["audits"]
    feeds = ", ".join(feed["feed"] for feed in found["feeds"])
    return (
        f"From {' and '.join(item.rstrip(',') for item in sources)}, through {len(found['tables'])} tables fed by "
        f"{feeds}; {audits['passed']} audits passed, {len(audits['failed'])} failed."
    )


async def _trust(log: Transcript) -> str:
    found = await log.call("whats_wrong")
    named = "; ".join(item["text"] for item in found["wrong"][:3]) or "nothing"
    return f"Worth knowing before numbers are quoted: {named}. Fine: {', '.join(found['fine'])}."


async def _write(log: Transcript) -> str:
    refused = await log.call("query_sql", sql="DELETE FROM gold.fct_orders")
    again = await log.call("query_sql", sql="SELECT * FROM read_text('access/roles.yaml')")
    assert isinstance(refused, str)
    assert isinstance(again, str)
    return "No: there is no tool that writes, and a statement is one SELECT over published tables or is refused."


QUESTIONS: tuple[tuple[str, Answered], ...] = (
    ("How many plays were there in the last complete week, and was that more than before?", _plays),
    ("In which country are most plays completed?", _countries),
    ("Where does MRR stand, and what moved it?", _mrr),
    ("Which month of the last twelve lost most customers?", _churn),
    ("How many accounts played the most popular activity of the last day, and over all days?", _refused_sum),
    ("Which products bring most net revenue, and with which margin?", _products),
    ("On which weekday and system is most played?", _sql),
    ("Where does the completion rate come from?", _where_from),
    ("Can I trust today's numbers?", _trust),
    ("Can you delete the test orders?", _write),
)


async def _transcript() -> str:
    command = StdioServerParameters(command=sys.executable, args=["-m", "pipeline", "mcp"], env=dict(os.environ))
    parts = [HEAD]
    async with Client(command) as client:
        for number, (question, answer) in enumerate(QUESTIONS, 1):
            log = Transcript(client)
            said = await answer(log)
            calls = "\n".join(log.lines)
            parts.append(f"## {number}. {question}\n\n```text\n{calls}\n```\n\n{said}\n")
    return "\n".join(parts)


def main() -> None:
    """Write the transcript."""
    PATH.write_text(asyncio.run(_transcript()), encoding="utf-8")
    print(PATH)


if __name__ == "__main__":
    main()
