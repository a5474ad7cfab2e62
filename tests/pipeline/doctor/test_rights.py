"""Rights: what is missing is named, on real stores, and nothing stays behind."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from ingest.settings import PROJECT, Settings, settings
from ingest.storage.bucket import s3_client
from ingest.storage.store import Store
from pipeline.dev.local_s3 import serve
from pipeline.doctor import rights
from pipeline.doctor.finding import Finding, Reporter, Status
from pipeline.lake import Lake
from tests.home import Home
from tests.s3_servers import PASSWORD, SERVERS, USER, Server, serve_program

REPORT = Reporter("rights")
UNPRIVILEGED = ("setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search")
"""Takes from root what makes it read and write everything; others lack it anyway."""


def of_store(uri: str, options: Settings) -> list[Finding]:
    return list(rights.of_store(REPORT, "LAKE_URI", Store(uri, options)))


def test_a_store_that_ignores_conditions_is_a_warning(s3_lake: dict[str, str]) -> None:
    options = settings()

    found = of_store("s3://lake/below", options)

    assert [item.status for item in found] == [Status.OK, Status.WARN]
    assert found[0].found == "list, put, get, delete work"
    assert "one host" in found[1].next_step
    assert list(Store("s3://lake", options).list()) == [], "the probe objects are removed"


def test_a_missing_bucket_fails_with_its_name(s3_lake: dict[str, str]) -> None:
    found = of_store("s3://nowhere", settings())
    assert {item.status for item in found} == {Status.FAIL}
    assert "s3://nowhere: no such bucket" in found[0].found


def test_rights_that_a_policy_does_not_grant(clean_settings: Path, tmp_path: Path) -> None:
    # GIVEN a store that knows a second user, who may list and read, and put, but not delete
    program = shutil.which("versitygw")
    if program is None:
        pytest.skip(f"versitygw is not installed: go install {SERVERS['versitygw'].package}")
    (tmp_path / "iam").mkdir()
    known = SERVERS["versitygw"]
    server = Server(known.package, ("--iam-dir", str(tmp_path / "iam"), *known.arguments), known.environment)
    user, secret = "reader", uuid.uuid4().hex
    with serve_program(program, server, tmp_path / "objects", ["lake", "other"]) as variables:
        admin = Settings.model_validate(variables)
        known_by = {"ADMIN_ACCESS_KEY": USER, "ADMIN_SECRET_KEY": PASSWORD}
        made = subprocess.run(
            [
                *(program, "admin", "--endpoint-url", variables["AWS_ENDPOINT_URL"], "create-user"),
                *("--access", user, "--secret", secret, "--role", "user"),
            ],
            env=os.environ | known_by,
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stdout + made.stderr
        for bucket, actions in (
            ("lake", ["s3:ListBucket", "s3:GetObject", "s3:PutObject"]),
            ("other", ["s3:ListBucket", "s3:GetObject"]),
        ):
            allowed = {"Effect": "Allow", "Principal": {"AWS": [user]}, "Action": actions}
            allowed["Resource"] = [f"arn:aws:s3:::{bucket}", f"arn:aws:s3:::{bucket}/*"]
            policy = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
            s3_client(admin).put_bucket_policy(Bucket=bucket, Policy=policy)
        options = admin.model_copy(update={"aws_access_key_id": user, "aws_secret_access_key": secret})

        # WHEN each bucket is looked at
        without_delete, without_put = of_store("s3://lake", options), of_store("s3://other", options)

        # THEN exactly what is missing fails, and the probe that stays is named
        failed = [item for item in without_delete if item.status is Status.FAIL]
        assert [item.object.rsplit(", ", 1)[1] for item in failed] == ["delete"]
        (left,) = [item.key for item in Store("s3://lake", admin).list()]
        assert failed[0].next_step.endswith(f"then delete s3://lake/{left}")
        assert without_delete[-1].found == "list, put, get work"
        assert [(item.status, item.object.rsplit(", ", 1)[1]) for item in without_put] == [(Status.FAIL, "put")]
        assert "access refused" in without_put[0].found
        assert list(Store("s3://other", admin).list()) == []


def test_wrong_credentials_fail_and_do_not_stop_other_checks(
    clean_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(tmp_path / "s3", ["lake"]) as variables:
        options = Settings.model_validate(variables | {"AWS_SECRET_ACCESS_KEY": "wrong" * 8})
        found = of_store("s3://lake", options)
    assert [item.object.rsplit(", ", 1)[1] for item in found] == ["list", "put"]
    assert all("access refused" in item.found for item in found)


def test_read_only_folders_of_a_user_without_privileges(clean_settings: Path, home: Home) -> None:
    # GIVEN a lake that this user can only read, releases that cannot be made, and a landing that cannot be entered
    lake = clean_settings / "lake"
    lake.mkdir(parents=True)
    home.put("users", "a.json", {"user_id": "u1"})
    home.put("events", "a.json", {"event_id": "e1"})
    hidden = clean_settings / "landing" / "raw-events"
    for folder, mode in ((lake, 0o500), (hidden, 0o000), (clean_settings, 0o500)):
        folder.chmod(mode)

    # WHEN
    shown = subprocess.run(
        [*UNPRIVILEGED, sys.executable, "-m", "pipeline", "doctor", "--json"],
        cwd=PROJECT,
        env=os.environ | {"LAKE_HOME": str(clean_settings)},
        capture_output=True,
        text=True,
        check=False,
    )
    for folder in (clean_settings, lake, hidden):
        folder.chmod(0o700)

    # THEN
    assert shown.returncode == 1, shown.stderr
    failed = {item["object"]: item for item in json.loads(shown.stdout) if item["status"] == "fail"}
    assert f"LAKE_URI ({lake}), put" in failed
    assert f"PUBLISHED_URI ({clean_settings / 'published'})" in failed
    assert f"landing {hidden}" in failed
    assert f"LAKE_HOME ({clean_settings})" in failed
    assert all(item["next_step"] and item["expected"] for item in failed.values())
    assert list(lake.iterdir()) == []


def test_landings_that_are_not_there(clean_settings: Path, home: Home) -> None:
    def of_landings() -> list[Finding]:
        return [item for item in rights.check(Lake(settings())) if item.object.startswith("LANDING")]

    assert [item.status for item in of_landings()] == [Status.FAIL]
    home.put("users", "a.json", {"user_id": "u1"})
    assert [item.status for item in of_landings()] == [Status.OK, Status.WARN]
