"""The definitions that the analytics questions share."""

from __future__ import annotations

import pytest
from sqlmesh import Context

from tests.macros.test_money import value


def test_percent_of_has_two_decimals_and_none_of_nothing(project: Context) -> None:
    assert float(value(project, "@PERCENT_OF(1 + 1, 3)")) == 66.67
    assert value(project, "@PERCENT_OF(0, 3)") == 0
    assert value(project, "@PERCENT_OF(1, 0)") is None


def test_two_decimals_round_half_away_from_zero(project: Context) -> None:
    assert float(value(project, "@TWO_DECIMALS(1.005::DOUBLE)")) == 1.01
    assert float(value(project, "@TWO_DECIMALS(0 - 0.125)")) == -0.13


@pytest.mark.parametrize(
    ("days", "before", "after"),
    [(-8, False, False), (-7, True, False), (-1, True, False), (0, False, False), (1, False, True), (7, False, True)],
)
def test_weeks_are_the_seven_days_beside_a_day(project: Context, days: int, before: bool, after: bool) -> None:
    day = f"('2026-03-01'::DATE + INTERVAL '1' DAY * {days})::DATE"
    assert value(project, f"@IN_WEEK_BEFORE('2026-03-01'::DATE, {day})") is before
    assert value(project, f"@IN_WEEK_AFTER('2026-03-01'::DATE, {day})") is after
    assert value(project, "@IN_WEEK_AFTER('2026-02-22'::DATE, '2026-03-02'::DATE)") is False
