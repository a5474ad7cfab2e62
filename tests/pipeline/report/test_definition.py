"""Definitions of reports: those of the project, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from ingest.errors import ConfigError
from ingest.settings import PROJECT
from pipeline.metrics.definition import load_metrics
from pipeline.report.check import faults
from pipeline.report.definition import known_report, load_reports

METRICS = load_metrics(PROJECT / "metrics")
GOOD = {
    "title": "T",
    "owner": "analytics",
    "period": "day",
    "headline": ["plays"],
    "sections": [{"title": "S", "metrics": ["plays", "mrr"], "explain": {"plays": ["os_name"]}}],
}


def section(**fields: object) -> dict[str, object]:
    return {"sections": [{"title": "S", "metrics": ["plays"]} | fields]}


def test_reports_of_the_project_are_valid() -> None:
    reports = load_reports(PROJECT / "reports", METRICS)
    assert {name: report.period for name, report in reports.items()} == {"daily": "day", "weekly": "week"}
    assert {METRICS[name].domain for name in reports["daily"].metrics()} == {"engagement", "revenue"}


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"period": "month"}, "period: Input should be 'day' or 'week'"),
        ({"headline": ["mrr_daily"]}, "headline: mrr_daily; expected metrics of its sections"),
        ({"colour": "red"}, "colour: Extra inputs are not permitted"),
        ({"sections": [{"title": "S", "metrics": ["plays"]}] * 2}, "two sections have the title S; expected another"),
        (section(metrics=["playz"]), "section S: there is no metric playz; `lake metrics list` shows them"),
        (section(labels={"mrr": "MRR"}), "section S: labels: mrr; expected metrics of the section"),
        (section(metrics=["plays", "activity_accounts"]), "activity_accounts cannot be summed over activity_id"),
        (section(explain={"mrr": ["os_name"]}), "section S: explain: mrr; expected metrics of the section"),
        (section(explain={"plays": ["planet"]}), "explain: plays has no dimension 'planet'; it has country_code"),
        (section(explain={"plays": []}), "explain: plays names no dimension"),
        (
            section(metrics=["plays", "time_spent"], explain={"time_spent": ["os_name"]}),
            "explain: time_spent counts nothing, so small groups would not be recognised",
        ),
        (
            section(metrics=["plays", "lifetime_revenue"], explain={"lifetime_revenue": ["plan_id"]}),
            "explain: lifetime_revenue is a ratio of ratios",
        ),
    ],
)
def test_a_wrong_definition_is_named(tmp_path: Path, changed: dict[str, object], message: str) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(GOOD | changed))
    with pytest.raises(ConfigError) as error:
        load_reports(tmp_path, METRICS)
    assert str(error.value).startswith(f"{tmp_path / 'mine.yaml'}: ")
    assert message in str(error.value)


def test_an_unknown_report_is_named_with_those_that_exist(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(GOOD))
    with pytest.raises(ConfigError, match="there is no report 'hourly'; expected one of mine"):
        known_report(load_reports(tmp_path, METRICS), "hourly")
    with pytest.raises(ConfigError, match="reports/ has none"):
        known_report(load_reports(tmp_path / "none", METRICS), "daily")


def test_a_personal_dimension_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(GOOD))
    reports = load_reports(tmp_path, METRICS).values()
    assert faults(reports, METRICS, lambda table, column: False) == []
    (fault,) = faults(reports, METRICS, lambda *names: names == ("gold.activity_engagement_metrics", "os_name"))
    assert fault.startswith("reports/mine.yaml: explain: plays by os_name: gold.activity_engagement_metrics.os_name is")
