"""`lake report`: to a file, by mail over a real server, as JSON, and its errors."""

from __future__ import annotations

import email
import email.policy
import json
import re
import sys
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from ingest.settings import PROJECT, settings
from pipeline.cli import main
from tests.home import free_port
from tests.known_release import LAST, Published
from tests.receivers import MailServer

Lake = Callable[..., Result]


@pytest.fixture
def lake(clean_settings: Path, published: Published, monkeypatch: pytest.MonkeyPatch) -> Lake:
    """Run `lake report ARGUMENTS` on the known release, in a home of its own, with further environment variables."""
    monkeypatch.setenv("PUBLISHED_URI", published.releases.store.uri)

    def run(*arguments: str, **variables: str) -> Result:
        with monkeypatch.context() as environment:
            for name, value in variables.items():
                environment.setenv(name, value)
            settings.cache_clear()
            result = CliRunner().invoke(main, ["report", *arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit)
        return result

    return run


@pytest.fixture
def charts() -> None:
    pytest.importorskip("vl_convert", reason="vl-convert-python is not installed, the extra `portal`")


def test_a_file_is_written_and_its_path_printed(lake: Lake, clean_settings: Path, charts: None, tmp_path: Path) -> None:
    result = lake("daily")
    path = clean_settings / "reports" / f"daily-{LAST}.html"
    assert (result.exit_code, result.stdout) == (0, f"{path}\n")
    assert [item.name for item in path.parent.iterdir()] == [path.name]
    assert path.stat().st_mode & 0o077 == 0 or path.parent.stat().st_mode & 0o077 == 0
    assert path.read_text().startswith("<!DOCTYPE html>")
    own = tmp_path / "weekly.html"
    result = lake("weekly", "--out", str(own), "--release", "1")
    assert (result.exit_code, result.stdout) == (0, f"{own}\n")
    assert "Week 24, 8 to 14 Jun 2026" in own.read_text()


def test_a_mail_has_text_html_and_pictures(lake: Lake, mail: MailServer, charts: None) -> None:
    result = lake("daily", "--to", "mail", **mail.variables)
    assert result.exit_code == 0, result.stderr
    (sent,) = mail.texts
    route, _, content = sent.partition("\n")
    message = email.message_from_string(content, _class=EmailMessage, policy=email.policy.default)
    assert route == "lake@example.org -> data@example.org,finance@example.org"
    assert str(message["Subject"]).startswith("Daily report, Sat 20 Jun: Plays ")
    assert result.stdout.strip().endswith(str(message["Subject"]))
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text
    assert html
    assert "WHAT IS UNUSUAL" in text.get_content()
    cited = set(re.findall(r'src="cid:([^"]+)"', html.get_content()))
    attached = {
        part["Content-ID"].strip("<>"): part for part in message.walk() if part.get_content_type() == "image/png"
    }
    assert len(cited) == 7
    assert cited == attached.keys()
    assert all(part.get_content().startswith(b"\x89PNG") for part in attached.values())
    assert "data:" not in html.get_content()


def test_json_has_the_numbers(lake: Lake, published: Published, clean_settings: Path) -> None:
    result = lake("daily", "--json")
    assert result.exit_code == 0, result.stderr
    found = json.loads(result.stdout)
    plays = found["sections"][0]["metrics"][0]
    assert (plays["name"], plays["value"]) == ("plays", published.sum("activities_played", LAST))
    assert [item["metric"] for item in found["unusual"]] == ["plays"]
    assert (found["currency"], found["release"], found["period"]["first"]) == ("EUR", 1, str(LAST))
    moved = found["moved"][0]
    total = sum(item["effect"] for item in moved["values"]) + moved["others"]["effect"]
    assert total == moved["change"] == plays["changes"][1]["difference"]
    assert not (clean_settings / "reports").exists()


def test_mail_without_settings_names_the_variables(lake: Lake) -> None:
    result = lake("daily", "--to", "mail", SMTP_HOST="mail.example.org", SMTP_RECIPIENTS=" , ")
    assert result.exit_code == 2
    assert "SMTP_SENDER, SMTP_RECIPIENTS are not set: mail needs a server, a sender and recipients" in result.stderr


def test_a_server_that_does_not_answer_is_named(lake: Lake, charts: None) -> None:
    port = str(free_port())
    variables = {"SMTP_HOST": "127.0.0.1", "SMTP_SENDER": "a@example.org", "SMTP_RECIPIENTS": "b@example.org"}
    result = lake("daily", "--to", "mail", SMTP_PORT=port, **variables)
    assert result.exit_code == 1
    assert f"127.0.0.1:{port}: the report was not sent: ConnectionRefusedError" in result.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "code", "message"),
    [
        (("hourly",), {}, 2, "there is no report 'hourly'; expected one of daily, weekly"),
        (("daily", "--release", "9"), {}, 2, "release 9 is not kept; kept are 1"),
        (("daily", "--json", "--to", "mail"), {}, 2, "--json prints the numbers instead of a file or mail"),
        (("daily", "--to", "mail", "--out", "x"), {}, 2, "--out is the path of a file"),
    ],
)
def test_misuse_is_named(
    lake: Lake, arguments: tuple[str, ...], variables: dict[str, str], code: int, message: str
) -> None:
    result = lake(*arguments, **variables)
    assert (result.exit_code, result.stdout) == (code, "")
    assert message in result.stderr


def test_nothing_published_is_named(lake: Lake, tmp_path: Path) -> None:
    result = lake("daily", PUBLISHED_URI=str(tmp_path / "empty"))
    assert result.exit_code == 2
    assert "nothing is published yet; run `lake run` or `lake publish`" in result.stderr


def test_a_file_that_cannot_be_written_is_named(lake: Lake, charts: None, tmp_path: Path) -> None:
    result = lake("daily", "--out", str(tmp_path / "no" / "such.html"))
    assert result.exit_code == 2
    assert "the report cannot be written: No such file or directory; choose another --out" in result.stderr


def test_a_file_that_cannot_be_named_leaves_no_draft(lake: Lake, charts: None, tmp_path: Path) -> None:
    result = lake("daily", "--out", str(tmp_path / f"{'x' * 300}.html"))
    assert result.exit_code == 2
    assert "the report cannot be written" in result.stderr
    assert list(tmp_path.glob("*draft*")) + list(tmp_path.glob(".*")) == []


def test_without_a_variable_small_groups_are_not_named(
    lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("metrics", "reports"):
        (tmp_path / name).symlink_to(PROJECT / name)
    (tmp_path / "config.yaml").write_text("variables: {}\n")
    monkeypatch.setattr(sys.modules["pipeline.cli.report"], "PROJECT", tmp_path)
    found = json.loads(lake("daily", "--json").stdout)
    named = [item["value"] for movement in found["moved"] for item in movement["values"]]
    assert "fr" in named
    assert "va" not in named
