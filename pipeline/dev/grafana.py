"""Dashboards of Grafana over the measures of a lake: `python -m pipeline.dev.grafana` writes their JSON."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ingest.settings import PROJECT

FOLDER = PROJECT / "deploy" / "grafana" / "dashboards"
HEIGHTS = {"stat": 4, "timeseries": 8}


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel.

    Attributes:
        queries: PromQL with the legend of its series.
        unit: of Grafana: s, bytes, short, percentunit, …
        kind: `timeseries` or `stat`.
        width: of 24 columns.
    """

    title: str
    queries: Sequence[tuple[str, str]]
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 8
    description: str = ""


@dataclass(frozen=True, slots=True)
class Board:
    """A dashboard: panels by row."""

    uid: str
    title: str
    description: str
    rows: Sequence[tuple[str, Sequence[Panel]]]


def _stat(title: str, query: str, unit: str = "short", description: str = "") -> Panel:
    return Panel(title, [(query, title)], unit, "stat", 4, description)


LAKE = Board(
    "lakemesh",
    "Lakemesh",
    "What readers have, what cycles do, and what feeds bring.",
    [
        (
            "Readers",
            [
                _stat(
                    "Since readers had everything",
                    "time() - max(lakemesh_release_current_timestamp_seconds)",
                    "s",
                    "Since a cycle last published, or found that the release has everything.",
                ),
                _stat("Age of the release", "time() - max(lakemesh_release_published_timestamp_seconds)", "s"),
                _stat("Release", "max(lakemesh_release_number)", "none"),
                _stat("Rows of the release", "max(lakemesh_release_rows)"),
                _stat("Withheld after a rollback", "max(lakemesh_release_is_held)", "bool_yes_no"),
                _stat("Suspect", "max(lakemesh_release_is_suspect)", "bool_yes_no"),
                Panel("Storage", [("lakemesh_storage_bytes", "{{place}}")], "bytes", width=12),
                Panel(
                    "Quality of the newest whole day",
                    [("lakemesh_feed_quality_ratio", "{{feed}} {{dimension}}")],
                    "percentunit",
                    width=12,
                ),
            ],
        ),
        (
            "Cycles",
            [
                Panel("Cycles by outcome", [("increase(lakemesh_cycles_total[1h])", "{{outcome}}")]),
                Panel(
                    "Share that succeeded in a day",
                    [
                        (
                            "1 - increase(lakemesh_cycle_failures_total[1d])"
                            " / clamp_min(sum without (outcome) (increase(lakemesh_cycles_total[1d])), 1)",
                            "succeeded",
                        )
                    ],
                    "percentunit",
                ),
                Panel("Seconds by stage, last cycle", [("lakemesh_cycle_last_stage_seconds", "{{stage}}")], "s"),
                Panel(
                    "Duration against the median of a week",
                    [
                        ("lakemesh_cycle_last_seconds", "{{outcome}}"),
                        ("quantile_over_time(0.5, lakemesh_cycle_last_seconds[1w])", "{{outcome}}, median"),
                    ],
                    "s",
                ),
                Panel(
                    "Models of the last cycle",
                    [
                        ("lakemesh_cycle_last_models_computed", "computed"),
                        ("lakemesh_cycle_last_models_skipped", "unchanged"),
                        ("lakemesh_cycle_last_dates_computed", "dates"),
                        ("lakemesh_cycle_last_withheld_dates", "withheld dates"),
                    ],
                ),
                Panel("Audits", [("increase(lakemesh_audits_total[1h])", "{{result}}")]),
                Panel("Peak memory of the last cycle", [("lakemesh_cycle_last_peak_memory_bytes", "peak")], "bytes"),
                Panel(
                    "Rows loaded by cycles",
                    [("sum by (feed) (increase(lakemesh_cycle_rows_loaded_total[1h]))", "{{feed}}")],
                ),
                Panel(
                    "Time since the last maintenance",
                    [("time() - lakemesh_maintenance_last_end_timestamp_seconds", "age")],
                    "s",
                ),
            ],
        ),
        (
            "Feeds",
            [
                Panel(
                    "Later than the contract allows",
                    [
                        (
                            "time() - lakemesh_feed_newest_object_timestamp_seconds - lakemesh_feed_freshness_seconds",
                            "{{feed}}",
                        )
                    ],
                    "s",
                    description="Negative: in time.",
                ),
                Panel("Waiting objects", [("lakemesh_feed_waiting_objects", "{{feed}}")]),
                Panel("Waiting bytes", [("lakemesh_feed_waiting_bytes", "{{feed}}")], "bytes"),
                Panel(
                    "Age of the oldest waiting object",
                    [("time() - lakemesh_feed_oldest_waiting_timestamp_seconds", "{{feed}}")],
                    "s",
                ),
                Panel("Rows of bronze", [("lakemesh_feed_rows", "{{feed}}")]),
                Panel("Quarantine by reason", [("lakemesh_feed_quarantined_records", "{{feed}} {{reason}}")]),
            ],
        ),
    ],
)
SERVER = Board(
    "lakemesh-api",
    "Lakemesh: API and live numbers",
    "What programs ask `lake serve`, and how old live numbers are.",
    [
        (
            "API",
            [
                Panel(
                    "Requests a second",
                    [("sum by (route) (rate(lakemesh_api_request_seconds_count[5m]))", "{{route}}")],
                    "reqps",
                    width=12,
                ),
                Panel(
                    "95th percentile of answers",
                    [
                        (
                            "histogram_quantile(0.95, sum by (le, route)"
                            " (rate(lakemesh_api_request_seconds_bucket[5m])))",
                            "{{route}}",
                        )
                    ],
                    "s",
                    width=12,
                ),
            ],
        ),
        (
            "Live numbers",
            [
                Panel("Latency", [("lakemesh_live_latency_seconds", "{{feed}} {{percentile}}")], "s", width=12),
                Panel("Messages not read", [("lakemesh_live_lag_messages", "{{feed}}")], width=12),
            ],
        ),
    ],
)
BOARDS = (LAKE, SERVER)


def rendered(board: Board) -> str:
    """The JSON of a dashboard, as Grafana imports it."""
    from grafana_foundation_sdk.builders import dashboard as boards
    from grafana_foundation_sdk.cog.encoder import JSONEncoder

    found = (
        boards.Dashboard(board.title)
        .uid(board.uid)
        .description(board.description)
        .tags(["lakemesh"])
        .refresh("1m")
        .time("now-24h", "now")
        .timezone("utc")
        .with_variable(boards.DatasourceVariable("datasource").label("Prometheus").type("prometheus"))
    )
    ids = itertools.count(1)
    for title, panels in board.rows:
        found = found.with_row(boards.Row(title).id(next(ids)))
        for panel in panels:
            found = found.with_panel(_panel(panel).id(next(ids)))
    return f"{JSONEncoder(sort_keys=True, indent=2).encode(found.build())}\n"


def _panel(panel: Panel) -> Any:
    from grafana_foundation_sdk.builders import prometheus, stat, timeseries
    from grafana_foundation_sdk.models.dashboard import DataSourceRef

    source = DataSourceRef(type_val="prometheus", uid="${datasource}")
    made: Any = stat.Panel() if panel.kind == "stat" else timeseries.Panel()
    made = made.title(panel.title).unit(panel.unit).datasource(source).span(panel.width).height(HEIGHTS[panel.kind])
    if panel.description:
        made = made.description(panel.description)
    for number, (query, legend) in enumerate(panel.queries):
        made = made.with_target(
            prometheus.Dataquery().expr(query).legend_format(legend).ref_id(chr(ord("A") + number)).datasource(source)
        )
    return made


def file_of(board: Board) -> Path:
    """Where the JSON of a dashboard is."""
    return FOLDER / f"{board.uid}.json"


def main() -> None:
    """Write the JSON of all dashboards."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for board in BOARDS:
        file_of(board).write_text(rendered(board), encoding="utf-8")
        print(file_of(board).relative_to(PROJECT))


if __name__ == "__main__":
    main()
