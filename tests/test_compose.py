"""docker-compose.yml and the image as Docker reads them; tests/deploy/test_services.py runs what they say."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from ingest.contracts.contract import contracts
from ingest.settings import PROJECT, Settings
from pipeline.dev.init_s3 import buckets_of
from tests.container import USER, context, instructions, variables
from tests.home import FOLDERS

TEXT = (PROJECT / "docker-compose.yml").read_text(encoding="utf-8")
DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}")
# the part of the compose specification that the file uses: any other key is a mistake or a reason to extend this
SERVICE = {"image", "build", "environment", "ports", "volumes", "healthcheck", "restart", "depends_on", "command"}
SERVICE |= {"profiles", "network_mode", "user", "read_only", "cap_drop", "security_opt", "tmpfs"}
MONITORING = {"node-exporter", "prometheus", "alertmanager", "grafana"}
STREAMING = {"kafka", "topics", "stream", "live"}
CONDITIONS = {"service_healthy", "service_completed_successfully"}
HEALTHCHECK = {"test", "interval", "timeout", "retries", "start_period"}


@pytest.fixture
def services() -> dict[str, Any]:
    """The services with the defaults of their variables."""
    parsed: dict[str, Any] = yaml.safe_load(DEFAULT.sub(lambda found: found[2], TEXT))
    services: dict[str, Any] = parsed["services"]
    return services


def test_file_has_the_shape_of_a_compose_file(services: dict[str, Any]) -> None:
    top = yaml.safe_load(TEXT)
    assert {name for name in top if not name.startswith("x-")} == {"services", "volumes"}
    for name, service in services.items():
        assert set(service) <= SERVICE, name
        assert ("build" in service) == service["image"].startswith("lakemesh"), name
        assert all(isinstance(value, str) for value in service.get("environment", {}).values()), name
        for volume in service.get("volumes", []):
            source, target, *mode = volume.split(":")
            assert target.startswith("/"), name
            if source.startswith("./"):  # what the container reads of this folder, and must not change
                assert mode == ["ro"], name
                assert (PROJECT / source).is_dir(), name
            else:
                assert source in top["volumes"], name
        for needed, condition in service.get("depends_on", {}).items():
            assert needed in services, name
            assert condition["condition"] in CONDITIONS, name
            assert ("healthcheck" in services[needed]) == (condition["condition"] == "service_healthy"), name
        if check := service.get("healthcheck"):
            assert set(check) <= HEALTHCHECK, name
            assert check["test"][0] in {"CMD", "CMD-SHELL"}, name
            assert all(re.fullmatch(r"\d+s", check[key]) for key in ("interval", "timeout")), name
        if service.get("restart") != "no":
            assert "healthcheck" in service or name in MONITORING, name
        if build := service.get("build"):
            assert (PROJECT / build["context"] / build["dockerfile"]).is_file(), name


def test_services_have_no_rights_that_they_do_not_need(services: dict[str, Any]) -> None:
    for name, service in services.items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service["read_only"] is (name != "kafka"), name
        assert service.get("user") not in {"root", "0"}, name
    assert {name for name, service in services.items() if "user" not in service} == {"s3", "kafka"}, "see the comments"


def test_images_are_pinned_and_ports_stay_on_this_machine(services: dict[str, Any]) -> None:
    for service in services.values():
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.]*|lakemesh(-spark)?:local", service["image"])
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
    assert buckets_of(options) == sorted(
        {contract.source.bucket for contract in contracts().values()} | {"lake", "published"}
    )


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


def test_documented_address_is_that_of_the_postgres_service(services: dict[str, Any]) -> None:
    postgres = services["postgres"]
    given = postgres["environment"]
    host, port, inside = postgres["ports"][0].split(":")
    assert inside == "5432"
    user, password, database = (given[f"POSTGRES_{name}"] for name in ("USER", "PASSWORD", "DB"))
    address = f"postgresql://{user}:{password}@{host}:{port}/{database}"
    for name in (".env.example", "docs/serving.md"):
        assert address in (PROJECT / name).read_text(encoding="utf-8"), name
    optional = {name: service["profiles"] for name, service in services.items() if "profiles" in service}
    expected = {"spark": ["spark"]} | {name: ["streaming"] for name in STREAMING}
    assert optional == expected | {name: ["monitoring"] for name in MONITORING}
    assert (
        services["cycle"]["environment"]["SERVING_DSN"]
        == f"postgresql://{user}:{password}@postgres:{inside}/{database}"
    )
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
    assert targets == {"node-exporter", "alertmanager", "serve"}
    (credentials,) = [job["authorization"]["credentials"] for job in jobs if "authorization" in job]
    keys = json.loads(services["serve"]["environment"]["LAKE_API_KEYS"])
    assert keys["local"]["sha256"] == hashlib.sha256(credentials.encode()).hexdigest()

    # Grafana finds its dashboards and its Prometheus
    provisioned = "/etc/grafana/provisioning"
    boards = yaml.safe_load(inside("grafana", f"{provisioned}/dashboards/lakemesh.yaml").read_text(encoding="utf-8"))
    assert list(inside("grafana", f"{boards['providers'][0]['options']['path']}/").glob("*.json"))
    sources = yaml.safe_load(inside("grafana", f"{provisioned}/datasources/prometheus.yaml").read_text("utf-8"))
    assert sources["datasources"][0]["url"] == "http://prometheus:9090"

    # the node exporter reads the folder of METRICS_FILE, which the others write
    folder = services["node-exporter"]["command"][0].split("=")[1]
    assert services["node-exporter"]["volumes"] == [f"metrics:{folder}:ro"]
    for name in ("cycle", "maintain"):
        path = Path(services[name]["environment"]["METRICS_FILE"])
        assert path.suffix == ".prom"
        assert f"metrics:{path.parent}" in services[name]["volumes"]


def test_each_way_to_start_it_is_one_command(services: dict[str, Any]) -> None:
    # the file's head, the documentation and the profiles name the same commands
    page = (PROJECT / "docs" / "deploy.md").read_text(encoding="utf-8")
    head = TEXT[: TEXT.index("x-hardened")]
    for profile in {profile for service in services.values() for profile in service.get("profiles", [])}:
        (line,) = [line for line in head.splitlines() if f"--profile {profile} " in line]
        command = re.split(r" {2,}", line.removeprefix("#").strip())[0]
        assert command in page, command
    assert "\ndocker compose up -d" in page


def test_image_is_built_from_locks_and_runs_as_a_user_without_rights() -> None:
    steps = instructions()
    installs = [rest for name, rest in steps if name == "RUN" and "pip install" in rest and "wheels" not in rest]
    assert installs
    assert all("--require-hashes" in rest for rest in installs)
    defaults = dict(rest.split("=", 1) for name, rest in steps if name == "ARG" and "=" in rest)
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extra in shlex.split(defaults["EXTRAS"])[0].split():
        assert extra in project["optional-dependencies"]
        assert (PROJECT / f"requirements-{extra}.lock").is_file()
    names = [name for name, _ in steps]
    last = names[len(names) - names[::-1].index("FROM") :]
    assert ("USER", f"{USER}:{USER}") == steps[-3]
    assert last[-3:] == ["USER", "HEALTHCHECK", "CMD"]
    assert f">={defaults['PYTHON'].split('-')[0]}" in project["requires-python"]
    assert variables()["SQLMESH__CACHE_DIR"].startswith(variables()["LAKE_HOME"] + "/")


def test_image_gets_the_project_and_nothing_else() -> None:
    folders = {name.split("/")[0] for name in context()}
    assert not {".env.example", ".git", "tests", "docs", "benchmarks", "deploy"} & folders
    assert {*FOLDERS, "config.yaml", "metrics", "dashboards", "reports"} <= folders
    ignored = (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    assert next(line for line in ignored if not line.startswith("#")) == "*", "what is not named stays outside"
    assert "**/.env" in ignored
