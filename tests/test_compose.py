"""docker-compose.yml, read as Docker would: the store, the buckets and the settings fit the project."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from ingest.contract import contracts
from ingest.settings import PROJECT, Settings
from pipeline.init_s3 import buckets_of

TEXT = (PROJECT / "docker-compose.yml").read_text(encoding="utf-8")
DEFAULT = re.compile(r"\$\{(\w+):-([^}]*)\}")


@pytest.fixture
def services() -> dict[str, Any]:
    """The services with the defaults of their variables."""
    parsed: dict[str, Any] = yaml.safe_load(DEFAULT.sub(lambda found: found[2], TEXT))
    assert set(parsed) == {"services", "volumes"}
    services: dict[str, Any] = parsed["services"]
    for service in services.values():
        assert ("image" in service) != ("build" in service)
        for volume in service.get("volumes", []):
            assert volume.split(":")[0] in parsed["volumes"]
        for needed in service.get("depends_on", {}):
            assert needed in services
    return services


def test_images_are_pinned_and_ports_stay_on_this_machine(services: dict[str, Any]) -> None:
    for service in services.values():
        assert re.fullmatch(r"[\w./-]+:v?\d[\w.]*", service.get("image", "local:1"))
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_every_variable_is_one_that_the_example_explains() -> None:
    example = (PROJECT / ".env.example").read_text(encoding="utf-8")
    for name, default in DEFAULT.findall(TEXT):
        assert f"\n# {name}={default}\n" in example


def test_init_makes_the_buckets_of_the_contracts(services: dict[str, Any]) -> None:
    environment = services["init"]["environment"]
    options = Settings.model_validate(environment)
    assert buckets_of(options) == sorted({contract.source.bucket for contract in contracts().values()} | {"lake"})
    assert services["init"]["depends_on"]["s3"]["condition"] == "service_healthy"
    command = services["init"]["command"][-1]
    assert command.split(" && ") == ["python -m pipeline.init_s3", "lake sample"]


def test_init_uses_the_address_and_keys_of_the_store(services: dict[str, Any]) -> None:
    store, init = services["s3"]["environment"], services["init"]["environment"]
    assert init["AWS_ENDPOINT_URL"] == f"http://s3{store['VGW_PORT']}"
    assert (init["AWS_ACCESS_KEY_ID"], init["AWS_SECRET_ACCESS_KEY"]) == (
        store["ROOT_ACCESS_KEY"],
        store["ROOT_SECRET_KEY"],
    )
    assert services["s3"]["healthcheck"]["test"][-1].endswith(store["VGW_PORT"] + store["VGW_HEALTH"])


def test_image_of_the_project_is_built_from_the_lock() -> None:
    dockerfile = (PROJECT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    assert "--require-hashes -r requirements.lock" in dockerfile
    assert "\nUSER " in dockerfile
    assert ".env" in (PROJECT / ".dockerignore").read_text(encoding="utf-8").splitlines()
