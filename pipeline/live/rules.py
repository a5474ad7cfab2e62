"""The project's definitions that live numbers share with the models: seeds and variables, without loading SQLMesh."""

from __future__ import annotations

import csv
import datetime as dt
import hashlib
import json
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache
from pathlib import Path
from typing import Any

from ingest.errors import ConfigError
from pipeline.warehouse.variables import project_variables

_MILLION = 1_000_000
Rates = Sequence[tuple[dt.date, Decimal]]


@dataclass(frozen=True, slots=True)
class Rules:
    """What docs/metrics.md leaves to seeds and variables.

    Attributes:
        bots: patterns of the user agents of bots, lower case.
        rates: the rates of each currency to the reporting currency, each from a date on, oldest first.
        timezone: whose dates business dates are, an IANA name.
        timeout_minutes: the pause that ends a session.
        minimum_group_size: fewest clicks of a country that are shown.
    """

    bots: tuple[str, ...]
    rates: Mapping[str, Rates]
    currency: str
    timezone: str
    timeout_minutes: int
    minimum_group_size: int = 0

    @classmethod
    def of(cls, project: Path) -> Rules:
        """The rules of a project.

        Raises:
            ConfigError: config.yaml or a seed cannot be read.
        """
        variables = project_variables(project)
        try:
            currency, timezone = str(variables["reporting_currency"]), str(variables["reporting_timezone"])
            timeout = int(variables["session_timeout_minutes"])
            least = int(variables["minimum_group_size"])
            rates: defaultdict[str, list[tuple[dt.date, Decimal]]] = defaultdict(list)
            for row in _seed(project, "exchange_rates"):
                if row["reporting_currency"] == currency:
                    rates[row["currency"]].append((dt.date.fromisoformat(row["month_date"]), Decimal(row["rate"])))
            bots = tuple(sorted(row["pattern"] for row in _seed(project, "bot_agents")))
        except (KeyError, ValueError, InvalidOperation, OSError) as error:
            raise ConfigError(
                f"{project}: seeds and variables of live numbers cannot be read: {type(error).__name__}: {error}"
            ) from None
        return cls(bots, {name: sorted(found) for name, found in rates.items()}, currency, timezone, timeout, least)

    def digest(self) -> str:
        """Changes with every definition."""
        rates = {name: [[str(day), str(rate)] for day, rate in found] for name, found in sorted(self.rates.items())}
        about: list[Any] = [self.bots, rates, self.currency, self.timezone, self.timeout_minutes]
        return hashlib.sha256(json.dumps(about).encode()).hexdigest()[:16]

    def agents(self) -> Agents:
        """Tells bots by their user agent."""
        return Agents(self.bots)

    def net_amount(
        self, day: dt.date, currency: str | None, total: Decimal | None, tax: Decimal | None, shipping: Decimal | None
    ) -> int | None:
        """Net revenue that an order states: total less tax and shipping at the rate of its month.

        Args:
            day: business date of the order.

        Returns:
            Millionths of the reporting currency, halves away from zero; None if an amount or the rate is missing.
        """
        found = self.rates.get(currency or "", ())
        place = bisect_right(found, day, key=lambda item: item[0])
        if total is None or tax is None or shipping is None or not place:
            return None
        return int(((total - tax - shipping) * found[place - 1][1] * _MILLION).to_integral_value(ROUND_HALF_UP))


class Agents:
    """User agents of bots. There are far fewer agents than clicks, so each is compared once.

    Args:
        patterns: lower case.
    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self._patterns = patterns
        self.is_bot = lru_cache(maxsize=100_000)(self._is_bot)

    def _is_bot(self, agent: str | None) -> bool:
        """Whether an agent is that of a bot, or missing."""
        lower = (agent or "").lower()
        return not lower.strip(" ") or any(pattern in lower for pattern in self._patterns)


def _seed(project: Path, name: str) -> list[dict[str, str]]:
    with (project / "seeds" / f"{name}.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
