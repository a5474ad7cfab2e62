"""docker-compose.yml as Docker reads it: the store, the buckets and the settings fit the project, and init works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.contracts.contract import contracts
from ingest.settings import PROJECT, Settings, read_settings
from ingest.storage.store import Store
from pipeline.dev.init_s3 import buckets_of
from pipeline.dev.local_s3 import serve

TEXT = (PROJECT / "docker-compose.yml").read_text(encoding="utf-8")
DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}")
# the part of the compose specification that the file uses: any other key is a mistake or a reason to extend this
SERVICE = {"image", "build", "environment", "ports", "volumes", "healthcheck", "restart", "depends_on", "command"}
SERVICE |= {"profiles", "extra_hosts"}
MONITORING = {"node-exporter", "prometheus", "alertmanager", "grafana"}
METRICS = Path("data/metrics/lakemesh.prom")
HEALTHCHECK = {"test", "interval", "timeout", "retries", "start_period"}


@pytest.fixture
def services() -> dict[str, Any]:
    """The services with the defaults of their variables."""
    parsed: dict[str, Any] = yaml.safe_load(DEFAULT.sub(lambda found: found[2], TEXT))
    services: dict[str, Any] = parsed["services"]
    return services


def test_file_has_the_shape_of_a_compose_file(services: dict[str, Any]) -> None:
    top = yaml.safe_load(TEXT)
    assert set(top) == {"services", "volumes"}
    for name, service in services.items():
        assert set(service) <= SERVICE, name
        assert ("image" in service) != ("build" in service), name
        assert all(isinstance(value, str) for value in service.get("environment", {}).values()), name
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            assert target.startswith("/"), name
            if source.startswith("./"):  # what the container reads of this folder, and must not change
                assert mode == ["ro"], name
                assert source == f"./{METRICS.parent}" or (PROJECT / source).is_dir(), name
            else:
                assert source in top["volumes"], name
        for needed, condition in service.get("depends_on", {}).items():
            assert needed in services, name
            assert condition == {"condition": "service_healthy"}, name
            assert "healthcheck" in services[needed], name
        if check := service.get("healthcheck"):
            assert set(check) <= HEALTHCHECK, name
            assert check["test"][0] in {"CMD", "CMD-SHELL"}, name
            assert all(re.fullmatch(r"\d+s", check[key]) for key in ("interval", "timeout")), name
        if build := service.get("build"):
            assert (PROJECT / build["context"] / build["dockerfile"]).is_file(), name


def test_images_are_pinned_and_ports_stay_on_this_machine(services: dict[str, Any]) -> None:
    for service in services.values():
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.]*", service.get("image", "local:1"))
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_every_variable_is_explained_in_the_env_example() -> None:
    example = (PROJECT / ".env.example").read_text(encoding="utf-8")
    assert TEXT.count("${") == len(DEFAULT.findall(TEXT)) > 0
    for name, default in DEFAULT.findall(TEXT):
        assert f"\n# {name}={default}\n" in example
        # AWS variables are often set in a shell; they must not become the keys of this store
        assert not name.startswith("AWS_")


def test_init_creates_the_buckets_of_the_contracts(services: dict[str, Any]) -> None:
    environment = services["init"]["environment"]
    options = Settings.model_validate(environment)
    assert buckets_of(options) == sorted({contract.source.bucket for contract in contracts().values()} | {"lake"})


def test_init_uses_the_address_and_keys_of_the_store(services: dict[str, Any]) -> None:
    store, init = services["s3"]["environment"], services["init"]["environment"]
    assert init["AWS_ENDPOINT_URL"] == f"http://s3{store['VGW_PORT']}"
    assert (init["AWS_ACCESS_KEY_ID"], init["AWS_SECRET_ACCESS_KEY"]) == (
        store["ROOT_ACCESS_KEY"],
        store["ROOT_SECRET_KEY"],
    )
    assert services["s3"]["healthcheck"]["test"][-1].endswith(store["VGW_PORT"] + store["VGW_HEALTH"])
    assert store["VGW_BACKEND_ARG"] == services["s3"]["volumes"][0].split(":")[1]


def test_console_and_example_name_the_published_address(services: dict[str, Any]) -> None:
    host, port, inside = services["s3"]["ports"][0].split(":")
    address = f"http://{host}:{port}"
    store = services["s3"]["environment"]
    assert store["VGW_PORT"] == f":{inside}"
    assert store["VGW_WEBUI_GATEWAYS"] == address
    console = address + store["VGW_WEBUI_S3_PREFIX"]
    example = (PROJECT / ".env.example").read_text(encoding="utf-8")
    page = (PROJECT / "docs" / "s3.md").read_text(encoding="utf-8")
    assert f"\n# AWS_ENDPOINT_URL={address}\n" in example
    assert f"AWS_ENDPOINT_URL={address} " in page
    assert all(console in text for text in (TEXT, page))


def test_documented_address_is_that_of_the_postgres_profile(services: dict[str, Any]) -> None:
    postgres = services["postgres"]
    given = postgres["environment"]
    host, port, inside = postgres["ports"][0].split(":")
    assert inside == "5432"
    user, password, database = (given[f"POSTGRES_{name}"] for name in ("USER", "PASSWORD", "DB"))
    address = f"postgresql://{user}:{password}@{host}:{port}/{database}"
    for name in (".env.example", "docs/serving.md"):
        assert address in (PROJECT / name).read_text(encoding="utf-8"), name
    assert [services[name]["profiles"] for name in ("kafka", "stream")] == [["streaming"]] * 2
    assert postgres["profiles"] == ["postgres"], "nobody gets it without asking"
    optional = {name: service["profiles"] for name, service in services.items() if "profiles" in service}
    expected = {"postgres": ["postgres"], "spark": ["spark"], "kafka": ["streaming"], "stream": ["streaming"]}
    assert optional == expected | {name: ["monitoring"] for name in MONITORING}
    assert postgres["healthcheck"]["test"][-4:] == ["-U", user, "-d", database]


def test_monitoring_reads_the_files_of_the_project(services: dict[str, Any]) -> None:
    def inside(name: str, path: str) -> Path:
        """The file of the project that a container sees at a path."""
        for volume in services[name]["volumes"]:
            source, target = volume.split(":")[:2]
            if path.startswith(f"{target}/"):
                return PROJECT / source / path.removeprefix(f"{target}/")
        raise AssertionError(path)

    # Prometheus and Alertmanager find their configuration, and the rules beside it
    for name in ("prometheus", "alertmanager"):
        (config,) = [item.split("=")[1] for item in services[name]["command"] if item.startswith("--config.file=")]
        assert inside(name, config).is_file()
    config = yaml.safe_load((PROJECT / "deploy/prometheus/prometheus.yaml").read_text(encoding="utf-8"))
    assert all((PROJECT / "deploy/prometheus" / rules).is_file() for rules in config["rule_files"])

    # it scrapes and alerts services that are there
    jobs = [*config["scrape_configs"], *config["alerting"]["alertmanagers"]]
    targets = {target.split(":")[0] for job in jobs for own in job["static_configs"] for target in own["targets"]}
    outside = services["prometheus"]["extra_hosts"][0].split(":")[0]
    assert targets == {"node-exporter", "alertmanager", outside}

    # Grafana finds its dashboards and its Prometheus
    provisioned = "/etc/grafana/provisioning"
    boards = yaml.safe_load(inside("grafana", f"{provisioned}/dashboards/lakemesh.yaml").read_text(encoding="utf-8"))
    assert list(inside("grafana", f"{boards['providers'][0]['options']['path']}/").glob("*.json"))
    sources = yaml.safe_load(inside("grafana", f"{provisioned}/datasources/prometheus.yaml").read_text("utf-8"))
    assert sources["datasources"][0]["url"] == "http://prometheus:9090"

    # the node exporter reads the folder of METRICS_FILE, as the documents set it
    folder = services["node-exporter"]["command"][0].split("=")[1]
    assert f"./{METRICS.parent}:{folder}:ro" in services["node-exporter"]["volumes"]
    assert METRICS.suffix == ".prom"
    for document in (".env.example", "docs/monitoring.md"):
        assert str(METRICS) in (PROJECT / document).read_text(encoding="utf-8"), document


@pytest.fixture
def empty_s3(clean_settings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """A store without a bucket; the environment points to it."""
    with serve(tmp_path / "s3", []) as variables:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        yield variables


@pytest.mark.s3
def test_init_command_fills_the_landing_of_a_real_store_once(
    services: dict[str, Any], empty_s3: dict[str, str]
) -> None:
    # GIVEN the variables of compose, with the address and keys of the server that replaces the store
    init = services["init"]
    assert {name: empty_s3[name] for name in ("LANDING_URI", "LAKE_URI")}.items() <= init["environment"].items()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"

    def run() -> list[str]:
        done = subprocess.run(
            init["command"], cwd=PROJECT, env=os.environ | {"PATH": path}, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout.splitlines()

    # WHEN init runs twice, as after another `docker compose up`
    first, second = run(), run()

    # THEN only the first run created buckets and objects
    assert {line.split("\t")[1] for line in first if line.startswith("s3://")} == {"created"}
    assert {line.split("\t")[1] for line in second if line.startswith("s3://")} == {"exists"}
    assert "already exists" in second[-1]
    options = read_settings()
    for contract in contracts().values():
        assert list(Store(options.landing(contract.source.bucket), options).list())


def test_project_image_is_built_from_the_lock_and_does_not_run_as_root() -> None:
    dockerfile = (PROJECT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert "--require-hashes -r requirements.lock" in dockerfile
    users = re.findall(r"^USER (\S+)$", dockerfile, re.MULTILINE)
    assert users
    assert users[-1] not in {"root", "0"}
    assert dockerfile.startswith("#")
    base = re.search(r"^FROM python:(3\.\d+)-slim$", dockerfile, re.MULTILINE)
    assert base is not None
    assert f">={base[1]}" in (PROJECT / "pyproject.toml").read_text(encoding="utf-8")


def test_image_contains_no_secret_and_no_output_of_the_project() -> None:
    ignored = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert {".env", ".git", "data", "logs"} <= set(ignored)
