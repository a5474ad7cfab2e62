"""Options out of range are rejected with a message that states what was expected."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from sample.options import RATES, SHARES


@pytest.mark.parametrize(
    "wrong",
    [{"events": 0}, {"days": 0}, {"seed": -1}, {"events_per_file": 0}, {"accounts": -1}]
    + [{name: rate} for name in (*RATES, *SHARES) for rate in (-0.1, 1.1, float("nan"))],
)
def test_numbers_out_of_range_are_named(options: Any, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(wrong))} is .*; expected"):
        options(**wrong)


@pytest.mark.parametrize("end", [dt.date(2015, 2, 3), dt.date(2101, 1, 1)])
def test_dates_outside_the_calendar_are_rejected(options: Any, end: dt.date) -> None:
    with pytest.raises(ValueError, match=f"4 days up to {end}; expected all of them from 2015-02-01 to 2100-12-31"):
        options(end=end)


def test_the_first_and_the_last_possible_date_work(options: Any) -> None:
    assert options(end=dt.date(2015, 2, 4)).first_day == dt.date(2015, 2, 1).toordinal()
    assert options(end=dt.date(2100, 12, 31)).last_day == dt.date(2100, 12, 31).toordinal()
