"""`/metrics`: what the server tells Prometheus."""

from __future__ import annotations

import shutil
import subprocess

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.pipeline.api.serving import Server


def counts(server: Server) -> dict[tuple[str, str], float]:
    """Requests by route and status."""
    text = server.get("/metrics").body.decode()
    return {
        (sample.labels["route"], sample.labels["status"]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "lakemesh_api_request_seconds_count"
    }


def test_requests_are_counted_by_route_whatever_their_paths(open_server: Server) -> None:
    before = counts(open_server)
    for path in ("/v1/tables/gold.none", "/v1/tables/gold.none_either", "/no/such/path", "/nor/this", "/healthz"):
        open_server.get(path)
    found = {key: number - before.get(key, 0) for key, number in counts(open_server).items()}
    assert found["/v1/tables/{name}", "404"] == 2
    assert found["other", "404"] == 2
    assert found["/healthz", "200"] == 1
    assert found["/metrics", "200"] == 1


def test_measures_of_the_lake_and_of_the_process(open_server: Server) -> None:
    reply = open_server.get("/metrics")
    assert (reply.status, reply.headers["content-type"]) == (200, "text/plain; version=0.0.4; charset=utf-8")
    names = {family.name for family in text_string_to_metric_families(reply.body.decode())}
    assert {"process_resident_memory_bytes", "lakemesh_release_number", "lakemesh_api_request_seconds"} <= names


def test_no_role_gets_them(keyed: Server) -> None:
    assert keyed.get("/metrics").status == 401
    assert keyed.named("boss").get("/metrics").status == 200
    reply = keyed.named("ada").get("/metrics")
    assert (reply.status, "without a role" in reply.json["detail"]) == (403, True)


def test_prometheus_accepts_the_page(open_server: Server) -> None:
    if shutil.which("promtool") is None:
        pytest.skip("Prometheus is not installed: apt-get install prometheus")
    page = open_server.get("/metrics").body
    done = subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
