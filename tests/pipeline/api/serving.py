"""A real server process over releases made by hand, and clients for it."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ingest.contracts.classes import Class
from ingest.settings import Settings
from pipeline.access.classes import Classed
from pipeline.access.roles import Role, load_roles
from pipeline.releases.release import Release, Releases
from pipeline.releases.role_views import views_of
from pipeline.releases.roles import make, register, settings_of
from tests.home import free_port
from tests.portal_release import make_release, project, source_tables

ROLES = """
roles:
  - name: analyst
    description: Sees Germany's plays, without devices.
    owner: shop
    tables: [gold.plays_daily, gold.fees]
    columns: [{names: [gold.plays_daily.device], show: "null"}]
    rows: [{tables: [gold.plays_daily], where: country_code = 'de'}]
    minimum_group_size: 1
  - name: finance
    description: Sees money alone.
    owner: shop
    tables: [gold.fees, gold.mrr_monthly]
    minimum_group_size: 1
"""
GRAINS = {
    "gold.plays_daily": ("date", "country_code", "device"),
    "gold.active_daily": ("date",),
    "gold.mrr_monthly": ("month_date", "plan"),
    "gold.fees": ("month_date", "currency"),
}
KEYS = {"boss": ("lake_boss-key-of-the-tests", "*"), "ada": ("lake_analyst-key-of-the-tests", "analyst")}
KEYS |= {"fin": ("lake_finance-key-of-the-tests", "finance")}
SECRET = "a secret of tokens that is long enough"


@dataclasses.dataclass
class World:
    """Releases and a project below one folder."""

    folder: Path

    @property
    def home(self) -> Path:
        return self.folder / "home"

    @property
    def options(self) -> Settings:
        home = self.home
        return Settings(
            lake_home=str(home), published_uri=str(home / "published"), lake_uri=str(home / "lake"), aws_region="x"
        )

    @property
    def releases(self) -> Releases:
        return Releases(self.options)

    def publish(self, number: int, has_roles: bool = True, **options: Any) -> Release:
        """Publish a release, with the declared grains, and those of the roles."""
        made = make_release(self.releases, number, **options)
        tables = {name: dataclasses.replace(item, grain=GRAINS.get(name, ())) for name, item in made.tables.items()}
        release = dataclasses.replace(made, tables=tables)
        releases = self.releases
        releases.store.put(f"states/{number:020d}/manifest.json", release.to_json())
        for role in load_roles(self.folder / "project") if has_roles else ():
            self.publish_role(role, release)
        return release

    def publish_role(self, role: Role, release: Release) -> None:
        plain = Classed(Class.NONE, Class.NONE, frozenset())
        classes = {name: {column: plain for column, _, _ in item.columns} for name, item in release.tables.items()}
        own = Releases(settings_of(self.options, role.name))
        register(self.releases, [item.name for item in load_roles(self.folder / "project")])
        make(self.releases, own, role, views_of(role, release, classes, {}, None), None)


def world(folder: Path) -> World:
    """A world with release 1."""
    found = World(folder)
    project(folder / "project")
    (folder / "project" / "access").mkdir()
    (folder / "project" / "access" / "roles.yaml").write_text(ROLES)
    (folder / "dotenv").touch()
    found.home.mkdir()
    found.publish(1)
    return found


def entries(keys: Mapping[str, tuple[str, str]] = KEYS) -> str:
    """LAKE_API_KEYS of keys and roles by name."""
    return json.dumps(
        {name: {"sha256": hashlib.sha256(key.encode()).hexdigest(), "role": role} for name, (key, role) in keys.items()}
    )


@dataclasses.dataclass
class Reply:
    """What a server answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def kind(self) -> str:
        """The end of the problem's type."""
        return str(self.json["type"]).rsplit(":", 1)[1]


@dataclasses.dataclass
class Client:
    """A client with or without a key."""

    address: str
    key: str = ""

    def get(self, path: str, headers: Mapping[str, str] | None = None, **query: Any) -> Reply:
        text = urllib.parse.urlencode(query, doseq=True)
        return self.send(urllib.request.Request(f"{self.address}{path}{'?' * bool(text)}{text}"), headers)

    def sql(self, text: str, headers: Mapping[str, str] | None = None, **query: Any) -> Reply:
        suffix = f"?{urllib.parse.urlencode(query)}" if query else ""
        data = json.dumps({"sql": text}).encode()
        request = urllib.request.Request(f"{self.address}/v1/query{suffix}", data, {"Content-Type": "application/json"})
        return self.send(request, headers)

    def send(self, request: urllib.request.Request, headers: Mapping[str, str] | None = None) -> Reply:
        if self.key:
            request.add_header("Authorization", f"Bearer {self.key}")
        for name, value in (headers or {}).items():
            request.add_header(name, value)
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try:
            with opener.open(request, timeout=60) as answer:
                return Reply(answer.status, dict(answer.headers.items()), answer.read())
        except urllib.error.HTTPError as error:
            return Reply(error.code, dict(error.headers.items()), error.read())


@dataclasses.dataclass
class Server(Client):
    """A client of a server process that runs."""

    pid: int = 0

    def named(self, name: str) -> Client:
        """A client with a key."""
        return Client(self.address, KEYS[name][0])


def environment(made: World, **variables: str) -> dict[str, str]:
    """The environment of a process over a world."""
    own = ("LAKE_", "AWS_", "PG", "SERVING_", "LANDING_", "PUBLISHED_", "LIVE_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(own)}
    return kept | {
        "LAKE_HOME": str(made.home),
        "LAKE_PROJECT": str(made.folder / "project"),
        "SQLMESH_DOTENV_PATH": str(made.folder / "dotenv"),
        "LAKE_API_WORKERS": "2",
        "LAKE_API_RATE": "1000000",
        **variables,
    }


@contextlib.contextmanager
def serving(made: World, may_end: bool = False, **variables: str) -> Iterator[Server]:
    """`lake serve` as a process of its own, on a free port."""
    port = free_port()
    command = [sys.executable, "-m", "pipeline", "serve", "--port", str(port)]
    with (made.folder / "server.log").open("ab") as log:
        process = subprocess.Popen(command, env=environment(made, **variables), stdout=log, stderr=log)
    server = Server(f"http://127.0.0.1:{port}", pid=process.pid)
    try:
        wait_for(server, process)
        yield server
        assert may_end or process.poll() is None, "the server ended by itself"
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_for(server: Client, process: subprocess.Popen[bytes]) -> None:
    """Wait until a server answers."""
    end = time.monotonic() + 60
    while time.monotonic() < end:
        if process.poll() is not None:
            raise AssertionError("the server did not start")
        with contextlib.suppress(OSError):
            if server.get("/healthz").status == 200:
                return
        time.sleep(0.1)
    raise AssertionError("the server does not answer")


def tree(folder: Path) -> dict[str, str]:
    """All files below a folder with the hashes of their contents, but for the audit log of reads."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and name != "server.log" and not name.startswith(("home/api/", "home/lake/audit_log/")):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


__all__ = ["Client", "Reply", "Server", "World", "serving", "source_tables", "tree", "world"]
