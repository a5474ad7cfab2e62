"""The policies of deploy/terraform under moto's enforcement of IAM: the product's own commands, as tasks on Fargate run
them, are allowed everything, and each action on each resource is needed by a request that the product sent.
"""

from __future__ import annotations

import datetime as dt
import functools
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.settings import PROJECT
from tests.deploy.aws import REGION, Account, Grant, document, grants, permits, render
from tests.home import copy_project, keep_domain, switch_rules_off
from tests.task_keys import serve_keys

LANDING, LAKE, PUBLISHED, ANALYST = "t-landing", "t-lake", "t-published", "t-published-analyst"
BUCKETS: dict[str, Any] = {
    "landing": LANDING,
    "lake": LAKE,
    "everything": PUBLISHED,
    "published": [f"arn:aws:s3:::{name}" for name in (PUBLISHED, ANALYST)],
    "published_objects": [f"arn:aws:s3:::{name}/*" for name in (PUBLISHED, ANALYST)],
}
ROLES = {
    "ingester": ("ingester", BUCKETS),
    "cycle": ("cycle", BUCKETS),
    "maintenance": ("maintenance", BUCKETS),
    "serve": ("serve", BUCKETS),
    "reader": ("reader", {"published": PUBLISHED}),
    "analyst": ("reader", {"published": ANALYST}),
}
RULES = {
    "users": {"retire": {"after_days": 1, "action": "delete"}},
    "activities": {"retire": {"after_days": 1, "action": "move", "to": "raw-archive"}},
    "events": {"retire": {"after_days": 1, "action": "tag"}, "on_erasure": "rewrite"},
}
READ = "from pipeline.releases.release import published; print(published('gold.rpt_active_users').fetchall())"


class Fargate:
    """Runs commands of the image as tasks with a role."""

    def __init__(self, account: Account, folder: Path) -> None:
        pytest.importorskip("jwt", reason="serve: the extra is not installed, see make setup-serve")
        from pipeline.api.keys import new_key

        self.account, self.folder = account, folder
        self.project = _project(folder / "project")
        self.keys = {role: new_key() for role in ("*", "analyst")}
        self.owner = {"AWS_ENDPOINT_URL": account.url, "AWS_REGION": REGION}
        self.owner |= {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "NO_PROXY": "127.0.0.1"}
        for name in ("tmp", "home"):
            (folder / name).mkdir()
        (folder / "dotenv").touch()
        self.variables = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LAKE_"))}
        self.variables |= {
            "PYTHONPATH": str(PROJECT),
            "SQLMESH_DOTENV_PATH": str(folder / "dotenv"),
            "TMPDIR": str(folder / "tmp"),
            "LAKE_PROJECT": str(self.project),
            "LAKE_HOME": str(folder / "home"),
            "LANDING_URI": f"s3://{LANDING}/{{bucket}}",
            "LAKE_URI": f"s3://{LAKE}",
            "PUBLISHED_URI": f"s3://{PUBLISHED}",
            "PUBLISHED_STATES": "2",
            "LAKE_ROLE_KEYS": json.dumps({"analyst": "a key of at least 16 characters"}),
            "LAKE_ERASURE_KEY": "another key of at least 16 characters",
            "LAKE_API_KEYS": json.dumps(
                {f"caller{n}": {"sha256": key[1], "role": role} for n, (role, key) in enumerate(self.keys.items())}
            ),
            "LAKE_API_AUDIT_SECONDS": "1",
        }
        self.tasks = {
            role: account.task(role, document(grants(render(policy, values))))
            for role, (policy, values) in ROLES.items()
        }

    def run(self, role: str, *command: str, **settings: str) -> str:
        """Run a command as a role to its end."""
        done = self._start(role, command, settings)
        out, log = done.communicate(timeout=500)
        denied = [(call.method, call.target, call.needs) for call in self.account.calls if not call.allowed]
        assert done.returncode == 0, f"{role} {command}: {denied}\n{out}\n{log}"
        return out

    def sample(self, *options: str) -> None:
        """Let producers write, as the owner of the account: they are none of the product's roles."""
        end = (dt.datetime.now(dt.UTC) - dt.timedelta(days=5)).strftime("%Y-%m-%d")
        size = ("--end", end, "--days", "3", "--accounts", "0", "--events", "150")
        command = (*LAKE_COMMAND, "sample", *size, *options)
        subprocess.run(command, check=True, env=self.variables | self.owner, cwd=self.project, capture_output=True)
        self.account.age(LANDING, 3)

    def age_releases(self) -> None:
        """Make all releases so old that they may be pruned."""
        store = self.account.client("s3")
        for bucket in (PUBLISHED, ANALYST):
            for item in store.list_objects_v2(Bucket=bucket, Prefix="states/")["Contents"]:
                if item["Key"].endswith("/manifest.json"):
                    place = {"Bucket": bucket, "Key": item["Key"]}
                    manifest = json.load(store.get_object(**place)["Body"])
                    published = dt.datetime.fromisoformat(manifest["published_at"]) - dt.timedelta(days=2)
                    manifest["published_at"] = published.isoformat()
                    store.put_object(**place, Body=json.dumps(manifest).encode())

    def person(self) -> str:
        """An account in the landing."""
        store = self.account.client("s3")
        key = store.list_objects_v2(Bucket=LANDING, Prefix="raw-users/")["Contents"][0]["Key"]
        lines = store.get_object(Bucket=LANDING, Key=key)["Body"].read().splitlines()
        return str(json.loads(lines[0])["user_id"])

    def lose(self, role: str, command: str, person: str) -> None:
        """Let a role load a forgotten person, others and a broken line, while another writer is quicker."""
        lines = [json.dumps({"user_id": user}) for user in (person, *(f"{role}{number}" for number in range(60)))]
        body = "\n".join([*lines, "{broken"]).encode()
        self.account.client("s3").put_object(Bucket=LANDING, Key=f"raw-users/{role}.json", Body=body)
        home = {"LAKE_HOME": str(self.folder / f"rival-{role}")}
        environment = self.variables | self.owner | home
        rival = functools.partial(
            subprocess.run, (*LAKE_COMMAND, "ingest", "users"), env=environment, cwd=self.project, capture_output=True
        )
        self.account.interpose(f"/{LAKE}/ledger/users/", rival)
        with self.account.enforced():
            self.run(role, *LAKE_COMMAND, command)

    def serve(self) -> None:
        """Run the server, read a table as each caller and the measures, and end it."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        server = self._start("serve", (*LAKE_COMMAND, "serve", "--port", str(port)), {})
        try:
            rows = "v1/tables/gold.rpt_active_users/rows?limit=5"
            for role, path in (("*", rows), ("analyst", rows), ("*", "metrics")):
                assert self._get(f"http://127.0.0.1:{port}/{path}", self.keys[role][0], server) == 200
        finally:
            server.send_signal(signal.SIGTERM)
            _, log = server.communicate(timeout=60)
        assert "Access" not in log, log

    def _get(self, url: str, key: str, server: subprocess.Popen[str]) -> int:
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"})
        for _ in range(300):
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return int(answer.status)
            except urllib.error.HTTPError as error:
                pytest.fail(f"{url}: {error.read()!r}")
            except OSError:
                assert server.poll() is None, server.communicate()[1]
                time.sleep(0.2)
        pytest.fail(f"{url}: no answer")

    def _start(self, role: str, command: tuple[str, ...], settings: dict[str, str]) -> subprocess.Popen[str]:
        environment = self.variables | self.tasks[role] | settings
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        return subprocess.Popen(command, env=environment, cwd=self.project, text=True, **pipes)  # type: ignore[call-overload,no-any-return]


CALLS = yaml.safe_load(Path(__file__).with_name("calls.yaml").read_text())
OFTEN = (
    sys.executable,
    "-c",
    "from ingest.ledger import ledger; ledger.CHECKPOINT_ENTRIES = 1; from pipeline.cli import program; program()",
)
"""`lake`, with a checkpoint after each entry instead of each 64, so that old ones are deleted."""
LAKE_COMMAND = (sys.executable, "-m", "pipeline")
SQLMESH = (str(Path(sys.executable).with_name("sqlmesh")),)


def _project(folder: Path) -> Path:
    """The domain engagement, with a role, and rules for old objects that use all three actions."""
    copy_project(folder)
    keep_domain(folder, "engagement")
    switch_rules_off(folder)
    shutil.copytree(PROJECT / "ingest/contracts/engagement", folder / "ingest/contracts/engagement")
    for feed, rules in RULES.items():
        file = folder / f"ingest/contracts/engagement/{feed}.yaml"
        contract = yaml.safe_load(file.read_text())
        contract["source"] |= rules
        file.write_text(yaml.safe_dump(contract, sort_keys=False))
    (folder / "access").mkdir()
    role = {"name": "analyst", "description": "Analysts.", "owner": "platform", "tables": ["gold.*"]}
    (folder / "access/roles.yaml").write_text(yaml.safe_dump({"roles": [role | {"classes": {"direct": "hash"}}]}))
    return folder


@pytest.fixture(scope="module")
def account(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Account]:
    """An account in which every command of every role has run once, under enforcement."""
    folder = tmp_path_factory.mktemp("account")
    keys: dict[str, dict[str, str]] = {}
    with pytest.MonkeyPatch.context() as patch, serve_keys(keys, folder) as variables:
        account = Account(keys, variables, patch)
        try:
            account.create_buckets([LANDING, LAKE, PUBLISHED, ANALYST])
            fargate = Fargate(account, folder)
            fargate.sample()
            with account.enforced():
                fargate.run("ingester", *OFTEN, "ingest", LAKE_LOAD_OBJECTS="3")
                fargate.run("cycle", *SQLMESH, "plan", "--auto-apply", "--no-prompts", "--skip-tests")
                fargate.run("cycle", *LAKE_COMMAND, "run")
            for seed in ("2", "3"):
                fargate.sample("--seed", seed, "--malformed", "0.02")
                fargate.age_releases()
                with account.enforced():
                    fargate.run("cycle", *OFTEN, "run", LAKE_LOAD_OBJECTS="3")
            someone = fargate.person()
            with account.enforced():
                fargate.serve()
                for role, uri in (("reader", PUBLISHED), ("analyst", ANALYST)):
                    fargate.run(role, sys.executable, "-c", READ, PUBLISHED_URI=f"s3://{uri}")
                person = ("--subject", f"user_id={someone}", "--because", "request", "--request", "1", "--yes")
                fargate.run("maintenance", *LAKE_COMMAND, "maintain", "--grace-hours", "0")
                fargate.run("maintenance", *LAKE_COMMAND, "erase", *person)
            for role, command in (("ingester", "ingest"), ("cycle", "run")):
                fargate.lose(role, command, someone)
            yield account
        finally:
            account.close()


@pytest.mark.parametrize("role", ROLES)
def test_a_policy_allows_the_recorded_calls_and_nothing_that_none_of_them_needs(role: str) -> None:
    policy, values = ROLES[role]
    allowed = grants(render(policy, values))
    needs = [_needed(call) for call in CALLS[role]]
    assert [need for need in needs if not permits(allowed, *need)] == []
    for grant in allowed:
        kept = [item for item in allowed if item != grant]
        assert not all(permits(kept, *need) for need in needs), f"{role} does not need {grant}"
    assert len(set(needs)) == len(allowed)


def _needed(call: str) -> tuple[str, str]:
    """The action and resource of a line of calls.yaml."""
    action, place = call.split(" ")
    return action, f"arn:aws:s3:::{place.replace('*', 'x')}{'/x' if place.count('/') == 1 else ''}"


@pytest.mark.slow
@pytest.mark.parametrize("role", ROLES)
def test_a_role_may_do_what_the_product_calls_and_nothing_else(account: Account, role: str) -> None:
    policy, values = ROLES[role]
    allowed = grants(render(policy, values))
    calls = [call for call in account.calls if call.role == role]
    assert calls
    assert [(call.method, call.target, call.needs) for call in calls if not call.allowed] == []
    needless: list[Grant] = []
    for grant in allowed:
        used = [call for call in calls if call.uses(grant)]
        account.allow(role, document([item for item in allowed if item != grant]))
        if not used or account.replay(used[0]):
            needless.append(grant)
    account.allow(role, document(allowed))
    assert all(account.replay(call) for call in calls[:20])
    assert needless == []
    assert set(CALLS[role]) <= {name for call in calls for name in call.names}
