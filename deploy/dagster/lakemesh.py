"""Lakemesh on Dagster: a cycle every ten minutes, and maintenance once a day.

`lake` runs as a process of its own environment, so that neither's dependencies reach the other. Variables of the code
location say where: LAKEMESH_PROJECT, the project's folder, and LAKEMESH_COMMAND, by default `.venv/bin/lake` in it.
"""

import datetime as dt
import json
import os
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from typing import Any

import dagster as dg

PROJECT = os.environ.get("LAKEMESH_PROJECT", "/srv/lakemesh")
COMMAND = os.environ.get("LAKEMESH_COMMAND", f"{PROJECT}/.venv/bin/lake")
RETRIES = dg.RetryPolicy(max_retries=1, delay=float(os.environ.get("LAKEMESH_RETRY_SECONDS", "60")))
CYCLE_SECONDS, MAINTENANCE_SECONDS = 3600, 5 * 3600
"""How long a command may take; then it is ended in order, and the next one continues."""
LONGEST_SECONDS = 2 * CYCLE_SECONDS + 600
"""After this a run that is not marked as ended has lost its process: with its retry, none takes longer."""
MISUSE = 2
RUNNING = [
    *(dg.DagsterRunStatus.NOT_STARTED, dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.STARTING),
    *(dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.CANCELING),
]


def lake(log: Any, seconds: float, *arguments: str) -> Any:
    """Run one command of `lake`, with its log lines in the run's log, and return its JSON.

    Raises:
        dg.Failure: it ended with 1, and is retried; or with 2, a wrong setting or contract, and is not.
    """
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as output,
        subprocess.Popen(
            [COMMAND, *arguments], cwd=PROJECT, stdout=output, stderr=subprocess.PIPE, text=True
        ) as process,
    ):
        limit = threading.Timer(seconds, process.terminate)
        limit.start()
        try:
            for line in process.stderr or ():
                log.info(line.rstrip())
            code = process.wait()
        finally:
            limit.cancel()
            if process.poll() is None:  # the run was terminated
                process.terminate()
        output.seek(0)
        text = output.read()
    result = json.loads(text) if text.strip() else None
    summary = result if isinstance(result, dict) else {}
    if code and summary.get("outcome") != "busy":
        reasons = "; ".join(summary.get("errors", []))
        raise dg.Failure(f"lake {arguments[0]} ended with {code}: {reasons}", allow_retries=code != MISUSE)
    return result


@dg.multi_asset(
    specs=[dg.AssetSpec("gold_release", description="The release of gold that readers get.", skippable=True)],
    retry_policy=RETRIES,
)
def gold_release(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult]:
    """Run a cycle. A new release is a materialization; a cycle without one, or beside another one, is none."""
    summary = lake(context.log, CYCLE_SECONDS, "run", "--json")
    if summary["outcome"] != "published":
        context.log.info(f"no new release: {summary['outcome']} {'; '.join(summary['errors'])}")
        return
    feeds = (summary["ingest"] or {}).get("feeds", [])
    yield dg.MaterializeResult(
        asset_key="gold_release",
        metadata={
            "release": summary["state"],
            "run_id": summary["run_id"],
            "dagster/row_count": sum(feed["rows"] for feed in feeds),
            "quarantined": sum(feed["quarantined"] for feed in feeds),
            "models": sorted(summary["computed"]),
            "seconds": dg.MetadataValue.json(summary["seconds"]),
        },
    )


@dg.op(retry_policy=RETRIES)
def maintain(context: dg.OpExecutionContext) -> None:
    """Compact and clean the lake, and audit everything."""
    lake(context.log, MAINTENANCE_SECONDS, "maintain", "--json", "--wait", "3600")


@dg.job(executor_def=dg.in_process_executor)
def lakemesh_maintain() -> None:
    """Daily maintenance; it may run beside cycles."""
    maintain()


lakemesh_cycle = dg.define_asset_job("lakemesh_cycle", selection=[gold_release], executor_def=dg.in_process_executor)


@dg.schedule(job=lakemesh_cycle, cron_schedule="*/10 * * * *", execution_timezone="UTC")
def every_ten_minutes(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    """Start a cycle unless one is running: the next one loads whatever waits."""
    since = dt.datetime.now(dt.UTC) - dt.timedelta(seconds=LONGEST_SECONDS)
    running = dg.RunsFilter(job_name=lakemesh_cycle.name, statuses=RUNNING, created_after=since)
    if context.instance.get_run_records(running, limit=1):
        return dg.SkipReason("the cycle before is still running")
    return dg.RunRequest()


defs = dg.Definitions(
    assets=[gold_release],
    jobs=[lakemesh_cycle, lakemesh_maintain],
    schedules=[
        every_ten_minutes,
        dg.ScheduleDefinition(job=lakemesh_maintain, cron_schedule="30 3 * * *", execution_timezone="UTC"),
    ],
)
