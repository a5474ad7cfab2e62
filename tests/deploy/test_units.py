"""Units of systemd and the table of cron: systemd and the command line accept them."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner

from ingest.settings import PROJECT
from pipeline.cli import main

UNITS = sorted((PROJECT / "deploy" / "systemd").iterdir())
CRON = PROJECT / "deploy" / "cron" / "lakemesh"
DOCUMENT = PROJECT / "docs" / "schedulers.md"
RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))


def is_accepted(arguments: list[str]) -> bool:
    """Whether the command line knows a command with these options; nothing is run."""
    return CliRunner().invoke(main, [*arguments, "--help"]).exit_code == 0


def test_units_are_valid(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    program = shutil.which("true")
    for unit in UNITS:  # of the installed project, its program alone is looked for
        text = unit.read_text(encoding="utf-8").replace("/srv/lakemesh/.venv/bin/lake", str(program))
        (tmp_path / unit.name).write_text(text, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *(str(tmp_path / unit.name) for unit in UNITS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("unit", [item for item in UNITS if item.suffix == ".service"], ids=lambda item: item.name)
def test_services_run_commands_that_exist_and_have_a_timer(unit: Path) -> None:
    (command,) = re.findall(r"^ExecStart=\S+/lake (.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
    assert is_accepted(command.split())
    assert unit.with_suffix(".timer") in UNITS


@pytest.mark.parametrize("unit", [item for item in UNITS if item.suffix == ".timer"], ids=lambda item: item.name)
def test_timers_have_times_that_come(unit: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    (when,) = re.findall(r"^OnCalendar=(.*)$", unit.read_text(encoding="utf-8"), re.MULTILINE)
    shown = subprocess.run(["systemd-analyze", "calendar", when], capture_output=True, text=True, check=False)
    assert (shown.returncode, "Next elapse" in shown.stdout) == (0, True), shown.stderr
    assert when.endswith(" UTC"), "a day of the lake ends in UTC"


def jobs() -> list[tuple[list[str], str]]:
    """The five fields of time and the command of each job in cron's table."""
    lines = [line for line in CRON.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    variable = re.compile(r"[A-Z_]+=")
    return [(line.split(maxsplit=6)[:5], line.split(maxsplit=6)[6]) for line in lines if not variable.match(line)]


def test_cron_accepts_its_table() -> None:
    text = CRON.read_text(encoding="utf-8")
    assert text.endswith("\n"), "cron ignores a last line that nothing ends"
    assert len(jobs()) == 2
    for times, command in jobs():
        for field, (first, last) in zip(times, RANGES, strict=True):
            assert re.fullmatch(r"\*(/\d+)?|\d+", field)
            assert all(first <= int(number) <= last for number in re.findall(r"\d+", field))
        assert "%" not in command, "cron ends a command there"
        called = command.split(" .venv/bin/lake ")[1].split(">>")[0].removesuffix(" 2")
        assert is_accepted(shlex.split(called))


def test_cron_starts_a_shell_that_understands_its_commands(tmp_path: Path) -> None:
    for _, command in jobs():
        assert subprocess.run(["sh", "-n", "-c", command], check=False).returncode == 0


def test_the_job_of_kubernetes_never_overlaps_and_is_not_repeated() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    job = yaml.safe_load(block)
    assert (job["kind"], job["spec"]["concurrencyPolicy"]) == ("CronJob", "Forbid")
    template = job["spec"]["jobTemplate"]["spec"]
    (rule,) = template["podFailurePolicy"]["rules"]
    assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [2])
    pod = template["template"]["spec"]
    assert pod["restartPolicy"] == "Never", "podFailurePolicy demands it"
    (container,) = pod["containers"]
    assert container["command"][0] == "lake"
    assert is_accepted(container["command"][1:])
    assert pod["terminationGracePeriodSeconds"] > 5, "a command ends within five seconds"
