"""Lakemesh on Airflow: a cycle every ten minutes, and maintenance once a day.

`lake` runs as a process of its own environment, so that neither's dependencies reach the other. Variables of the
workers say where: LAKEMESH_PROJECT, the project's folder, and LAKEMESH_COMMAND, by default `.venv/bin/lake` in it.
"""

from __future__ import annotations

import datetime as dt
import json
import os
import subprocess
import tempfile
from typing import Any

from airflow.sdk import DAG, Asset, AssetAlias, BaseOperator
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

PROJECT = os.environ.get("LAKEMESH_PROJECT", "/srv/lakemesh")
COMMAND = os.environ.get("LAKEMESH_COMMAND", f"{PROJECT}/.venv/bin/lake")
RELEASE = Asset(name="lakemesh_release", uri="lakemesh://release")
"""What other DAGs wait for: `schedule=[RELEASE]`. An event of it is a new release, with its number in `extra`."""
DONE, MISUSE = 0, 2


class LakeOperator(BaseOperator):
    """Runs one command of `lake`, with its log lines in the task's log and its JSON as the result.

    Exit code 1 fails the task, which is retried; 2, a wrong setting or contract, fails it without a retry. A cycle that
    finds another one in progress, of whatever scheduler, is skipped.

    Args:
        arguments: the command's name and options.
    """

    template_fields = ("arguments",)
    _process: subprocess.Popen[str] | None = None

    def __init__(self, *, arguments: list[str], **options: Any) -> None:
        super().__init__(**options)
        self.arguments = arguments

    def execute(self, context: Any) -> Any:
        """See BaseOperator."""
        code, result = self._run()
        summary = result if isinstance(result, dict) else {}
        if summary.get("outcome") == "busy":
            raise AirflowSkipException(summary["errors"][0])
        if code != DONE:
            failed = AirflowFailException if code == MISUSE else AirflowException
            raise failed(f"lake {self.arguments[0]} ended with {code}: {'; '.join(summary.get('errors', []))}")
        if summary.get("outcome") == "published":
            context["outlet_events"][AssetAlias(RELEASE.name)].add(RELEASE, extra={"release": summary["state"]})
        return _facts(summary) if summary else result

    def on_kill(self) -> None:
        """End the command in order, within five seconds: nothing half done is visible, and the next one continues."""
        if self._process and self._process.poll() is None:
            self._process.terminate()

    def _run(self) -> tuple[int, Any]:
        with (
            tempfile.TemporaryFile("w+", encoding="utf-8") as output,
            subprocess.Popen(
                [COMMAND, *self.arguments], cwd=PROJECT, stdout=output, stderr=subprocess.PIPE, text=True
            ) as self._process,
        ):
            try:
                for line in self._process.stderr or ():
                    self.log.info("%s", line.rstrip())
                code = self._process.wait()
            finally:
                self.on_kill()  # after a time-out
            output.seek(0)
            text = output.read()
        return code, json.loads(text) if text.strip() else None


def _facts(summary: dict[str, Any]) -> dict[str, Any]:
    """What later tasks and people want to know of a cycle; the rest is in the lake's own records."""
    feeds = (summary["ingest"] or {}).get("feeds", [])
    return {
        "run_id": summary["run_id"],
        "outcome": summary["outcome"],
        "release": summary["state"],
        "rows": sum(feed["rows"] for feed in feeds),
        "quarantined": sum(feed["quarantined"] for feed in feeds),
        "models": sorted(summary["computed"]),
        "seconds": summary["seconds"],
    }


OPTIONS: dict[str, Any] = {
    "start_date": dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
    "catchup": False,  # a cycle loads whatever waits, so a missed one has nothing of its own to do
    "max_active_runs": 1,
    "tags": ["lakemesh"],
    "default_args": {
        "owner": "data",
        "retries": 1,
        "retry_delay": dt.timedelta(seconds=float(os.environ.get("LAKEMESH_RETRY_SECONDS", "60"))),
    },
}

with DAG("lakemesh_cycle", schedule="*/10 * * * *", dagrun_timeout=dt.timedelta(hours=3), **OPTIONS) as cycle:
    LakeOperator(
        task_id="run",
        arguments=["run", "--json"],
        execution_timeout=dt.timedelta(hours=1),
        outlets=[AssetAlias(RELEASE.name)],
    )

with DAG("lakemesh_maintain", schedule="30 3 * * *", dagrun_timeout=dt.timedelta(hours=12), **OPTIONS) as maintenance:
    LakeOperator(
        task_id="maintain", arguments=["maintain", "--json", "--wait", "3600"], execution_timeout=dt.timedelta(hours=5)
    )
