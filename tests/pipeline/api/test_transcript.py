"""docs/agents.md is of this project: its calls name tools and metrics that exist."""

from __future__ import annotations

import json
import re

from ingest.settings import PROJECT
from pipeline.dev.questions import QUESTIONS
from pipeline.metrics.definition import load_metrics

TOOLS = {"search", "describe", "query_metric", "query_sql", "explain", "why", "whats_wrong"}


def test_the_transcript_answers_each_question_with_tools_and_metrics_that_exist() -> None:
    text = (PROJECT / "docs" / "agents.md").read_text(encoding="utf-8")
    asked = re.findall(r"^## \d+\. (.*)$", text, re.MULTILINE)
    assert asked == [question for question, _ in QUESTIONS]
    assert len(asked) == 10
    calls = re.findall(r"^(\w+)\((.*)\)$", text, re.MULTILINE)
    assert len(calls) >= 10
    assert {tool for tool, _ in calls} <= TOOLS
    metrics = load_metrics(PROJECT / "metrics")
    for tool, arguments in calls:
        if tool == "query_metric":
            (names,) = re.findall(r"metrics=(\[.*?\])", arguments)
            assert set(json.loads(names)) <= metrics.keys()
    for part in text.split("\n## ")[1:]:
        assert part.rstrip().rpartition("```")[2].strip(), "a question without an answer"
