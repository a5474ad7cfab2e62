"""Names and contents of objects reach a terminal as text: no markup, no control sequence, no second line."""

from __future__ import annotations

import datetime as dt
import json
import logging
import unicodedata
from pathlib import Path

import pytest

from ingest.errors import ConfigError, DamagedLake, OverwriteRefused, StuckObjects
from ingest.ledger.quarantine import BadRecord
from ingest.text import printable
from pipeline.access.masking import detail_and_text
from pipeline.checks.verify import FeedVerdict
from pipeline.cli.common import as_json_text
from pipeline.cli.show_look import show_verdicts
from pipeline.cli.show_quarantine import show_bad_record
from pipeline.cli.show_run import show_run
from pipeline.cycle.summary import RunSummary
from pipeline.process.terminal import PlainFormatter
from pipeline.releases.audits import Outcome
from pipeline.warehouse.project import RunConsole
from tests.hostile.checkout import Checkout, column

KEYS = (
    "[/red]x.jsonl",
    "[bold]y.jsonl",
    ":smile:[link=x]z.jsonl",
    "\u202egnp\u2066.jsonl",
    "\x9b31m\u2028.jsonl",
)
ODD = "\x1b]0;title\x07\x1b[31m\x00\x7f\x9b2J\u202e\u2066\r\b\ud800"
CONTENT = (
    b"\x1b]0;title\x07\x1b[31m",
    b"{\"id\":\"a\",\"\x1b[2J\":1}",
    b'{"id":"a","\\u001b[31m\\u202e\\ud800\\u0007\\r\\n error: x":1,"name":"\\u009b31m\\u001b[31m\\n[bold]"}',
    b"\xff\x9b[/red]",
)  # fmt: skip


def odd_characters(text: str) -> set[str]:
    """Characters that a terminal interprets or cannot display."""
    kinds = {character: unicodedata.category(character) for character in set(text) - {"\n"}}
    return {character for character, kind in kinds.items() if kind in {"Cc", "Cf", "Cs", "Zl", "Zp"}}


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = Checkout(tmp_path_factory.mktemp("terminal"))
    checkout.agree(column("name", "string"), max_quarantined_share=1)
    for key in KEYS:
        checkout.put(key, *CONTENT)
    checkout.lake("-v", "ingest")
    return checkout


def test_why_shows_each_name_escaped(hostile: Checkout) -> None:
    for key in KEYS:
        text = hostile.lake("why", f"raw-clicks/{key}").stdout
        assert text.startswith(f"raw-clicks/{printable(key)} (clicks): loaded\n")
        assert odd_characters(text) == set()
    assert json.loads(hostile.lake("why", f"raw-clicks/{KEYS[4]}", "--json").stdout)["source_file"].endswith(KEYS[4])


@pytest.mark.parametrize(
    "command",
    [
        ("quarantine", "show", "--limit", "99", "--raw"),
        ("quarantine", "show", "--limit", "99"),
        ("quarantine", "show", "--limit", "99", "--raw", "--json"),
        ("quarantine", "show", "--json"),
        ("quarantine", "list"),
        ("why", "raw-clicks/[/red]x.jsonl", "--raw"),
        ("-v", "verify", "--deep"),
        ("ingest", "--dry-run"),
        ("status", "--json"),
    ],
    ids=" ".join,
)
def test_output_contains_no_terminal_control(hostile: Checkout, command: tuple[str, ...]) -> None:
    done = hostile.lake(*command)
    assert odd_characters(done.stdout + done.stderr) == set()
    if "--json" in command:
        assert json.loads(done.stdout)
    else:
        assert not [line for line in done.stdout.splitlines() if line.lstrip().startswith("error:")]
    if command[0] == "quarantine" and "--raw" in command and "--json" not in command:
        assert "\\x1b]0;title\\x07\\x1b[31m" in done.stdout
        assert "\\xff\\x9b[/red]" in done.stdout


def test_unknown_names_are_escaped_in_errors(hostile: Checkout) -> None:
    done = hostile.lake("why", "raw-clicks/\x1b[31m[/red]\u202e", code=2)
    assert done.stderr.startswith("error: ")
    assert "\\x1b[31m[/red]\\u202e" in done.stderr
    assert odd_characters(done.stderr) == set()
    verified = hostile.home / "landing/raw-clicks" / KEYS[0]
    verified.write_bytes(b"{}\n{}\n{}\n")
    for path in (hostile.home / "lake/bronze").rglob("*.parquet"):
        path.unlink()
    assert odd_characters(hostile.lake("verify", "--deep", code=None).stdout) == set()


def test_failing_audit_with_markup_in_object_names_is_shown() -> None:
    summary = RunSummary(dt.datetime.now(dt.UTC), warnings=[f"of {ODD}[/b]"], outcome="not published")
    row = {"note": f"[/red]{ODD}"}
    summary.audits.append(
        Outcome("[/x]", "all dates", 1, (row,), tuple(f"raw-clicks/{key}{ODD}" for key in KEYS), True)
    )
    summary.errors.append(str(ConfigError(f"[/red]{ODD}")))
    text = show_run(summary)
    assert odd_characters(text) == set()
    assert "[/red]x.jsonl" in text.replace("\n", "")
    assert "audit [/x] (all dates): 1 rows" in text


def test_data_cannot_start_a_line(tmp_path: Path) -> None:
    verdict = FeedVerdict("clicks", differences=["row only in the lake: a\nclicks: all is well"])
    assert show_verdicts([verdict]).splitlines()[-1] == ("clicks: row only in the lake: a\\x0aclicks: all is well")
    checkout = Checkout(tmp_path)
    checkout.agree()
    from ingest.contracts.contract import load_contract

    contract = load_contract(checkout.folder / "ingest/contracts/web/clicks.yaml")
    at = dt.datetime.now(dt.UTC)
    record = BadRecord("raw/a\nerror: b", 1, at, "unparsable", "x\r", "d\ne", b"a\n\x1b[0mb", "x\nerror: y")
    lines = show_bad_record("clicks", record, *detail_and_text(contract, record, True)).splitlines()
    assert lines == [
        "clicks raw/a\\x0aerror: b line 1: unparsable x\\x0d: d\\x0ae",
        "  discarded: x\\x0aerror: y",
        "  a\\x0a\\x1b[0mb",
    ]


@pytest.mark.parametrize(
    "error",
    [
        ConfigError(f"of {ODD}"),
        StuckObjects("clicks", {ODD: ODD}),
        OverwriteRefused(ODD, 1),
        DamagedLake("s3://lake", "clicks", [(ODD, ODD)]),
    ],
)
def test_errors_are_plain_text_in_every_output(error: Exception) -> None:
    assert odd_characters(str(error)) == odd_characters(f"{error}") == set()
    record = logging.LogRecord("x", logging.WARNING, "f", 1, f"%s {ODD}", (ODD,), None)
    assert odd_characters(PlainFormatter("%(message)s").format(record)) == set()


def test_line_breaks_of_messages_are_kept() -> None:
    assert str(ConfigError("one\ntwo\x1b")) == "one\ntwo\\x1b"


def test_model_messages_are_escaped() -> None:
    console = RunConsole()
    console.log_error(f"a {ODD}")
    console.log_warning(f"b {ODD}")
    assert odd_characters("".join(console.errors + console.warnings)) == set()


def test_escaped_json_parses_to_the_same_value() -> None:
    value = {"a": ODD, f"é日本{ODD}": ["😀", "\U000e0041", "\u200d", "plain"]}
    text = as_json_text(value)
    assert odd_characters(text.replace("\u200d", "")) == set()
    assert json.loads(text) == value
    assert "é日本" in text
    assert "😀" in text
