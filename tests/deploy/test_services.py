"""Every service of docker-compose.yml that this machine has the program of, run as the file says: read-only, no rights.

Only what the network of compose would do is replaced: names and ports of services.
"""

from __future__ import annotations

import json
import re
import shutil
import signal
import subprocess
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.contracts.contract import contracts
from ingest.settings import PROJECT
from tests.connect_server import Broker
from tests.container import USER, Image, needs_root, project, wheel
from tests.home import free_port, keep_domain, switch_rules_off
from tests.kafka import broker_or_skip
from tests.monitors import program, until
from tests.postgres_server import serve_postgres

DEFAULT = re.compile(r"\$\{\w+:-([^}]*)\}")
TEXT = (PROJECT / "docker-compose.yml").read_text(encoding="utf-8")
SERVICES: dict[str, Any] = yaml.safe_load(DEFAULT.sub(r"\1", TEXT))["services"]
KEY = "lakemesh-local"


@dataclass(frozen=True)
class World:
    """The image and what stands for the network.

    Attributes:
        folder: with the volumes.
        places: what names and ports of services become.
    """

    image: Image
    folder: Path
    places: dict[str, str]

    def moved(self, text: str) -> str:
        """A text of the file with this machine's addresses."""
        for name, place in self.places.items():
            text = text.replace(name, place)
        return text

    def mounts(self, service: Mapping[str, Any]) -> tuple[dict[str, Path], dict[str, Path]]:
        """What a service may write and read, by path."""
        writable: dict[str, Path] = {}
        readable: dict[str, Path] = {}
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            place = PROJECT / source if source.startswith("./") else self.folder / source
            (readable if mode == ["ro"] else writable)[target] = place
        return writable, readable

    @contextmanager
    def start(self, name: str, *more: str, command: list[str] | None = None) -> Iterator[subprocess.Popen[str]]:
        """A service while the body runs, or another command in its place."""
        service = SERVICES[name]
        assert service["read_only"] is True
        assert (service["cap_drop"], service["security_opt"]) == (["ALL"], ["no-new-privileges:true"])
        writable, readable = self.mounts(service)
        memory = [item.split(":")[0] for item in service.get("tmpfs", [])]
        own = {
            item.split(":")[0]: self.folder / f"memory-{name}" for item in service.get("tmpfs", []) if ":uid=" in item
        }
        arguments = [self.moved(item) for item in command or service["command"]]
        environment = {key: self.moved(value) for key, value in service.get("environment", {}).items()}
        with self.image.run(
            [*arguments, *more],
            environment,
            writable=writable | own,
            readable=readable,
            tmpfs=[place for place in memory if place not in own],
            user=USER if service.get("user") == f"{USER}:{USER}" else 65534 if "user" in service else 0,
            folder="/data" if "/data" in writable | own else "/tmp",
        ) as process:
            yield process

    def done(self, name: str, command: list[str] | None = None) -> str:
        """The output of a service that ends by itself, in success."""
        with self.start(name, command=command) as process:
            output = process.communicate()[0]
        assert process.returncode == 0, output
        return output

    def is_healthy(self, name: str) -> bool:
        """Whether the health check of a service succeeds beside it, as the same user over the same volumes."""
        kind, *check = SERVICES[name]["healthcheck"]["test"]
        assert kind == "CMD"
        with self.start(name, command=check) as process:
            process.communicate()
        return process.returncode == 0


def get(address: str) -> bytes:
    """What a server answers to the key of the file."""
    request = urllib.request.Request(address, headers={"Authorization": f"Bearer {KEY}"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        body: bytes = answer.read()
    return body


def answers(address: str) -> bool:
    try:
        get(address)
    except OSError:
        return False
    return True


def ended(process: subprocess.Popen[str], seconds: float = 60) -> str:
    """End a service as `docker compose stop` does; returns what it printed."""
    process.send_signal(signal.SIGTERM)
    output = process.communicate(timeout=seconds)[0]
    assert process.returncode == 0, output
    return output


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The image with the models of one domain, over the store of the file, which runs likewise, and a Postgres."""
    needs_root()
    store = shutil.which("versitygw")
    if store is None:
        pytest.skip("S3: versitygw is not installed, see .ci/run")
    folder = tmp_path_factory.mktemp("services")
    domain = project(folder / "project")
    keep_domain(domain, "engagement")
    switch_rules_off(domain)
    port, api, live = free_port(), free_port(), free_port()
    places = {"s3:7070": f"127.0.0.1:{port}", ":7070": f":{port}", "127.0.0.1:8321": f"127.0.0.1:{api}"}
    places |= {"127.0.0.1:8010": f"127.0.0.1:{live}"}
    given = SERVICES["s3"]["environment"]
    command = [store, "--quiet", given["VGW_BACKEND"], given["VGW_BACKEND_ARG"]]
    try:
        with serve_postgres() as postgres:
            dsn = SERVICES["cycle"]["environment"]["SERVING_DSN"]
            user, password = re.findall(r"//(\w+):([\w-]+)@", dsn)[0]
            postgres.run("psql", "-c", f"ALTER ROLE {user} PASSWORD '{password}'", "-c", "CREATE DATABASE bi")
            places["postgres:5432"] = f"127.0.0.1:{postgres.variables['PGPORT']}"
            made = World(Image(wheel(folder / "wheel"), domain), folder, places)
            with made.start("s3", command=command):
                until(lambda: answers(f"http://127.0.0.1:{port}{given['VGW_HEALTH']}"))
                yield made
    except FileNotFoundError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def filled(world: World) -> World:
    """The store after `init`, which leaves unchanged what another start finds."""
    small = [
        item.replace("--orders 60", "--orders 1 --days 1 --accounts 2 --sessions-per-order 2")
        for item in SERVICES["init"]["command"]
    ]
    first, second = world.done("init", small), world.done("init", small)
    assert {line.split("\t")[1] for line in first.splitlines() if line.startswith("s3://")} == {"created"}
    assert {line.split("\t")[1] for line in second.splitlines() if line.startswith("s3://")} == {"exists"}
    assert "already exists" in second
    for contract in contracts().values():
        assert list((world.folder / "objects" / contract.source.bucket).iterdir()), contract.feed
    return world


@pytest.fixture(scope="module")
def published(filled: World) -> World:
    """The lake after the first cycle of `cycle`."""
    assert not filled.is_healthy("cycle")
    with filled.start("cycle") as process:
        assert process.stdout is not None
        lines: list[str] = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("ingest ") and " s, " in line:  # the last line of a cycle
                break
        assert any(line.startswith("published release 1") for line in lines), "".join(lines)
        assert filled.is_healthy("cycle")
        ended(process)
    assert "lakemesh_cycles_total" in (filled.folder / "metrics" / "lakemesh.prom").read_text()
    return filled


def test_cycle_plans_publishes_and_ends_in_order(published: World) -> None:
    # a release for readers of files and of Postgres, with nothing in the home that others may read
    assert (published.folder / "objects" / "published" / "releases").is_dir()
    assert published.folder.joinpath("home").stat().st_mode & 0o077 == 0


def test_maintenance_and_server_run_beside_the_cycle(published: World) -> None:
    address = f"http://{published.places['127.0.0.1:8321']}"
    with published.start("maintain") as maintain, published.start("serve", "--port", address.split(":")[-1]) as serve:
        until(lambda: answers(f"{address}/readyz"), 150)
        assert published.is_healthy("serve")
        assert json.loads(get(f"{address}/v1/release"))["release"] == 1
        assert b"<html" in get(f"{address}/portal/").lower()
        assert maintain.stdout is not None
        assert next(line for line in maintain.stdout if line.startswith("feed "))
        assert published.is_healthy("maintain")
        ended(maintain)
        ended(serve)


def test_stream_and_live_read_topics(published: World, tmp_path_factory: pytest.TempPathFactory) -> None:
    with broker_or_skip(tmp_path_factory.mktemp("kafka")) as broker:
        assert isinstance(broker, Broker)
        published.places["kafka:9094"] = broker.address
        small = [item.replace("60", "1") for item in SERVICES["topics"]["command"]]
        assert published.done("topics", [*small, "--days", "1", "--accounts", "2", "--sessions-per-order", "2"])
        live_address = f"http://{published.places['127.0.0.1:8010']}"
        port = live_address.split(":")[-1]
        with published.start("stream") as stream, published.start("live", "--port", port) as live:
            until(lambda: published.is_healthy("stream"), 150)
            until(lambda: answers(f"{live_address}/live/state.json"), 150)
            assert published.is_healthy("live")
            assert stream.stdout is not None
            assert next(line for line in stream.stdout if re.match(r"orders: [\d,]+ messages", line))
            address = f"http://{published.places['127.0.0.1:8321']}"
            with published.start("serve", "--port", address.split(":")[-1]):
                until(lambda: answers(f"{address}/live/state.json"), 150)
            ended(live)
            ended(stream)


@pytest.mark.parametrize("name", ["prometheus", "alertmanager"])
def test_monitors_start_with_the_commands_of_the_file(name: str, world: World) -> None:
    found = program("prometheus" if name == "prometheus" else "prometheus-alertmanager")
    port = free_port()
    listen = [f"--web.listen-address=127.0.0.1:{port}"]
    if name == "alertmanager":
        listen.append("--cluster.listen-address=")
    with world.start(name, *listen, command=[found, *SERVICES[name]["command"]]):
        until(lambda: answers(f"http://127.0.0.1:{port}/-/ready"))


def test_each_service_of_the_image_is_run_here() -> None:
    own = {name for name, service in SERVICES.items() if service.get("image", "").startswith("lakemesh")}
    run = set(re.findall(r'\.(?:start|done)\("(\w+)"', Path(__file__).read_text(encoding="utf-8")))
    assert own - run == {"spark"}, "tests/spark runs the project on a real cluster"
