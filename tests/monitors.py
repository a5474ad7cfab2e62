"""Real monitors for tests: Prometheus, Alertmanager, and what they scrape and call, on this host."""

from __future__ import annotations

import json
import shutil
import subprocess
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.home import free_port


def program(*names: str) -> str:
    """The first of some programs that is installed; skips the test without any."""
    for name in names:
        if found := shutil.which(name):
            return found
    package = "prometheus-alertmanager" if "alertmanager" in names else "prometheus"
    pytest.skip(f"Prometheus: {names[0]} is not installed: apt-get install {package}")


def until(holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    """Wait until a function returns something true, and return that."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, f"waited {seconds} s for {holds}"
        time.sleep(0.1)
    return found


@contextmanager
def serving(page: Callable[[], bytes], content_type: str) -> Iterator[str]:
    """Serve a page at `/metrics`; returns host and port."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page()
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


class Prometheus:
    """A Prometheus that scrapes and evaluates every second."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str, **parameters: str) -> Any:
        """The data of an answer of its API."""
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}") as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now."""
        found: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return found

    def firing(self) -> set[tuple[str, str]]:
        """Alerts that fire: name and feed."""
        alerts = self.get("alerts")["alerts"]
        return {(item["labels"]["alertname"], item["labels"].get("feed", "")) for item in alerts}


@contextmanager
def prometheus(folder: Path, target: str, rules: Path | None = None, alertmanager: str = "") -> Iterator[Prometheus]:
    """Run a Prometheus over one target while the body runs."""
    binary, port = program("prometheus"), free_port()
    config: dict[str, Any] = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "scrape_configs": [{"job_name": "lakemesh", "static_configs": [{"targets": [target]}]}],
        "rule_files": [str(rules)] if rules else [],
    }
    if alertmanager:
        config["alerting"] = {"alertmanagers": [{"static_configs": [{"targets": [alertmanager]}]}]}
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    arguments = [
        f"--config.file={folder / 'prometheus.yaml'}",
        f"--storage.tsdb.path={folder / 'series'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--rules.alert.resend-delay=1s",
    ]
    with _running(binary, arguments, folder / "prometheus.log", f"http://127.0.0.1:{port}/-/ready"):
        yield Prometheus(f"http://127.0.0.1:{port}")


@contextmanager
def alertmanager(folder: Path, webhook: str) -> Iterator[str]:
    """Run an Alertmanager that sends to one webhook while the body runs; returns host and port."""
    binary, port = program("prometheus-alertmanager", "alertmanager"), free_port()
    config = {
        "route": {"receiver": "test", "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s"},
        "receivers": [{"name": "test", "webhook_configs": [{"url": webhook, "send_resolved": True}]}],
    }
    (folder / "alertmanager.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    arguments = [
        f"--config.file={folder / 'alertmanager.yaml'}",
        f"--storage.path={folder / 'alerts'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
    ]
    with _running(binary, arguments, folder / "alertmanager.log", f"http://127.0.0.1:{port}/-/ready"):
        yield f"127.0.0.1:{port}"


@contextmanager
def _running(binary: str, arguments: list[str], log: Path, ready: str) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen([binary, *arguments], stdout=output, stderr=output)

        def is_ready() -> bool:
            assert process.poll() is None, log.read_text(encoding="utf-8")
            try:
                with urllib.request.urlopen(ready, timeout=1):
                    return True
            except OSError:
                return False

        try:
            until(is_ready)
            yield
        finally:
            process.terminate()
            process.wait()
