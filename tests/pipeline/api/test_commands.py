"""The commands, and that SQLMesh's own server still works beside them."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from ingest.settings import PROJECT
from tests.home import free_port
from tests.pipeline.api.serving import World, entries, environment, serving


def lake(made: World, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pipeline", *arguments]
    return subprocess.run(command, env=environment(made, **variables), capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "variables", "said"),
    [
        (("serve", "--host", "0.0.0.0"), {}, "without keys the server is for this machine alone"),
        (("serve",), {"LIVE_URL": "file:///etc/passwd"}, "LIVE_URL"),
        (("mcp", "--role", "root"), {}, "its roles are analyst, finance"),
    ],
)
def test_wrong_use_is_one_sentence(
    shared: World, arguments: tuple[str, ...], variables: dict[str, str], said: str
) -> None:
    found = lake(shared, *arguments, **variables)
    assert found.returncode == 2
    assert said in found.stderr
    assert found.stderr.count("\n") == 1


def test_a_new_key_is_accepted(shared: World) -> None:
    key, entry = (line.split(maxsplit=1)[1] for line in lake(shared, "serve", "--new-key").stdout.splitlines())
    name, _, value = entry.partition(": ")
    made = json.loads(value.replace("ROLE", "finance"))
    with serving(shared, LAKE_API_KEYS=json.dumps({json.loads(name).lower(): made})) as server:
        server.key = key
        assert [table["name"] for table in server.get("/v1/tables").json["tables"]] == ["gold.fees", "gold.mrr_monthly"]


def test_without_the_extra_the_commands_say_how_to_install_it(shared: World, tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.util as u\nfind = u.find_spec\nu.find_spec = lambda n: None if n == 'mcp' else find(n)\n"
    )
    path = f"{tmp_path}:{environment(shared).get('PYTHONPATH', PROJECT)}"
    for command in ("serve", "mcp"):
        found = lake(shared, command, PYTHONPATH=path)
        assert (found.returncode, found.stderr) == (
            2,
            "error: the extra `serve` is not installed; `make setup-serve` installs it\n",
        )


def test_the_core_imports_nothing_of_the_extra() -> None:
    code = "import sys, pipeline.cli, pipeline.cycle.cycle, pipeline.lake; "
    code += "print([name for name in ('mcp', 'jwt', 'uvicorn', 'fastapi') if name in sys.modules])"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=PROJECT)
    assert found.stdout == "[]\n"


def test_live_numbers_are_passed_through(shared: World) -> None:
    seen = []

    class Live(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("Authorization")))
            code, body = (200, b'{"plays": 3}') if self.path.startswith("/live/plays") else (404, b"secret")
            code = 302 if "away" in self.path else code
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    backend = ThreadingHTTPServer(("127.0.0.1", 0), Live)
    Thread(target=backend.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{backend.server_port}"
    try:
        with serving(shared, LIVE_URL=url, LAKE_API_KEYS=entries()) as server:
            boss = server.named("boss")
            assert boss.get("/live/plays", window="5").json == {"plays": 3}
            assert (boss.get("/live/other").status, boss.get("/live/away").status) == (404, 404)
            assert b"secret" not in boss.get("/live/other").body
            assert boss.get("/live/../v1/x").status == 404
            assert server.named("ada").get("/live/plays").status == 403
        assert seen[0] == ("/live/plays?window=5", None)
    finally:
        backend.shutdown()


def test_sqlmesh_ui_serves_its_pages_and_models_with_this_lock(tmp_path: Path) -> None:
    (tmp_path / "dotenv").touch()
    made = World(tmp_path)
    variables = environment(made, LAKE_PROJECT=str(PROJECT))
    port = free_port()
    command = [sys.executable, "-c", "from sqlmesh.cli.main import cli; cli()", "ui", "--port", str(port)]
    with (tmp_path / "ui.log").open("wb") as log:
        process = subprocess.Popen(command, cwd=PROJECT, env=variables, stdout=log, stderr=log)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        end = time.monotonic() + 120
        while True:
            assert process.poll() is None, (tmp_path / "ui.log").read_text()
            try:
                with opener.open(f"http://127.0.0.1:{port}/", timeout=60) as page:
                    assert b"<html" in page.read().lower()
                break
            except OSError:
                assert time.monotonic() < end
                time.sleep(0.5)
        with opener.open(f"http://127.0.0.1:{port}/api/models", timeout=120) as answer:
            names = {model["name"] for model in json.load(answer)}
        assert any("activity_engagement_metrics" in name for name in names)
    finally:
        process.terminate()
        process.wait(20)
