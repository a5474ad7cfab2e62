"""A session over a release on S3 reads that release, and no other object or address."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from ingest.settings import Settings
from pipeline.api.compute import compute
from pipeline.api.limits import Limits
from pipeline.api.session import Session
from pipeline.api.tasks import Task
from pipeline.api.worker import Worker
from pipeline.releases.release import Releases, manifest_key
from pipeline.warehouse import duck
from tests.portal_release import make_release, project
from tests.task_keys import serve_keys


@pytest.mark.s3
def test_a_session_over_s3_reads_its_release_alone(s3_lake: dict[str, str], tmp_path: Path) -> None:
    options = Settings(lake_home=str(tmp_path / "home"), published_uri="s3://lake/published", lake_uri="s3://lake")
    releases = Releases(options)
    make_release(releases, 1)
    project(tmp_path / "project")
    session = Session(options, "", 1, tmp_path / "project" / "metrics", Limits())
    asked = {"sql": "SELECT COUNT(*) AS fees FROM gold.fees"}
    found = compute(session, Task(kind="sql", role="", release=1, digest="", rows=9, bytes=1 << 20, arguments=asked))
    assert (found.problem, found.tables, found.rows) == ("", ["gold.fees"], 1)
    for place in (f"s3://lake/published/{manifest_key(1)}", "s3://lake/x.parquet", "http://127.0.0.1:1/x"):
        with pytest.raises(duckdb.PermissionException):
            session.connection.execute(f"FROM read_text('{place}')").fetchall()
    session.close()


@pytest.mark.s3
def test_a_worker_opens_the_release_again_when_its_key_was_renewed(
    s3_lake: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = Settings(lake_home=str(tmp_path / "home"), published_uri="s3://lake/published", lake_uri="s3://lake")
    make_release(Releases(options), 1)
    project(tmp_path / "project")
    right = {"AccessKeyId": options.aws_access_key_id or "", "SecretAccessKey": options.aws_secret_access_key or ""}
    wrong = right | {"SecretAccessKey": "expired"}
    asked = {"sql": "SELECT COUNT(*) AS fees FROM gold.fees"}
    task = Task(kind="sql", role="", release=1, digest="", rows=9, bytes=1 << 20, arguments=asked)
    keys = {"serve": right | {"Token": ""}}
    duck._provider.cache_clear()
    with serve_keys(keys, tmp_path, seconds=60) as variables:
        for name, value in variables("serve").items():
            monkeypatch.setenv(name, value)
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name)
        worker = Worker(
            Settings(lake_home=str(tmp_path / "home"), published_uri="s3://lake/published", lake_uri="s3://lake"),
            Limits(),
            tmp_path / "project" / "metrics",
        )
        assert worker.answer(task).problem == ""
        keys["serve"] = wrong | {"Token": ""}
        assert worker.answer(task).problem != ""
        keys["serve"] = right | {"Token": ""}
        assert worker.answer(task).problem == ""
        worker._close_all()
    duck._provider.cache_clear()
