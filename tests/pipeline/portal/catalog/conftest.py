"""The pages of a catalog made by hand, with texts that are markup elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.catalog_pages import write_pages
from pipeline.portal.catalog.entries import (
    Audit,
    Catalog,
    Column,
    Constraint,
    Contract,
    Day,
    Exposure,
    Figures,
    Finding,
    Metric,
    Profile,
    Quality,
    Result,
    Table,
    Term,
    Tile,
    Violation,
)
from pipeline.portal.catalog.quality import score
from tests.portal_release import HOSTILE

PASSED, FAILED = Result("2026-10-31T05:00:00", 0, "all dates"), Result("2026-10-31T05:00:00", 3, "all dates")


def _days(*validity: float) -> tuple[Day, ...]:
    return tuple(
        score(
            Day(
                f"2026-10-{29 + number}",
                share,
                1.0,
                None,
                1.0,
                records=1000,
                bad=round(1000 * (1 - share)),
                received=990,
                expected=1000.0,
            )
        )
        for number, share in enumerate(validity)
    )


def catalog() -> Catalog:
    """A feed, two dimensions, a fact, metrics, a dashboard."""
    users = Table(
        *("bronze.users", "feed", "One record per change of a user.", "shop", "growth"),
        (
            Column("user_id", "TEXT", "The user.", "direct", ("account",), True, ("source:raw-users/user_id",)),
            Column(
                "country_code", "TEXT", "Country.", "quasi", ("account",), upstream=("source:raw-users/country_code",)
            ),
            Column("note", "TEXT", HOSTILE, upstream=("source:raw-users/note",)),
        ),
        grain=("user_id",),
        contract=Contract(
            *(1, "entity", "raw-users", "auto", ("user_id",), 86_400),
            references=("user_id → users.user_id",),
            constraints=(
                Constraint("note_pattern", "note", f"a text that matches {HOSTILE}", "warn"),
                Constraint("user_id_length", "user_id", "a length of at most 40"),
            ),
        ),
        quality=Quality(
            _days(1.0, 0.97, 0.9),
            findings=(Finding("2026-10-31", f"raw-users/{HOSTILE}", "wrong_type", 100, "country_code", 7),),
            violations=(
                Violation("note_pattern", "quarantine", 3, "2026-10-29"),
                Violation("note_pattern", "warn", 1234, "2026-10-31"),
            ),
        ),
    )
    silver = Table(
        *("silver.users", "table", "One row per user.", "shop", "growth"),
        (
            Column("user_id", "TEXT", "The user.", "direct", upstream=("bronze.users.user_id",)),
            Column("country_code", "TEXT", "Country.", "quasi", upstream=("bronze.users.country_code",)),
        ),
        grain=("user_id",),
        reads=("bronze.users",),
        sql="SELECT users.user_id /* <b>who</b> */ FROM bronze.users AS users WHERE name = '</pre><script>'",
    )
    dimension = Table(
        *("gold.dim_country", "table", "One row per country.", "shop", "growth"),
        (
            Column("country_code", "TEXT", "Country.", upstream=("silver.users.country_code",)),
            Column("label", "TEXT", "Its name."),
        ),
        grain=("country_code",),
        reads=("silver.users",),
        released=True,
    )
    fact = Table(
        *("gold.fct_purchases", "table", f"One row per country {HOSTILE}", "shop", "growth"),
        (
            Column(
                "country_code",
                "TEXT",
                "Country.",
                upstream=("silver.users.country_code",),
                profile=Profile(5, 2, None, None, (("fr", 60), (HOSTILE, 35))),
            ),
            Column("purchases", "BIGINT", "Purchases, additive.", profile=Profile(0, 50, "1", "12345678")),
        ),
        grain=("country_code",),
        reads=("silver.users",),
        released=True,
        chosen_by=("silver.users.user_id",),
        references=("country_code → gold.dim_country.country_code",),
        audits=(
            Audit("not_null", "columns := country_code", "No value is NULL.", last=PASSED),
            Audit(
                "assert_sum",
                description="No rows: it adds up.",
                blocking=False,
                reads=("gold.fct_purchases",),
                last=FAILED,
            ),
        ),
        figures=Figures(100, 2048, 1, "2026-10-01", "2026-10-31", 7, 100),
        quality=Quality(_days(1.0, 0.97, 0.9), ("bronze.users",)),
        sql="SELECT 1",
    )
    metric = Metric(
        *(
            "purchases",
            "Purchases",
            "What was bought.",
            "growth",
            "shop",
            "purchases",
            "integer",
            "gold.fct_purchases",
            "sum of purchases",
        ),
        grains=("day",),
        dimensions={"country_code": "Country"},
        synonyms=("orders",),
        upstream=("gold.fct_purchases.purchases",),
    )
    tile = Tile(
        "1-by-country",
        f"By country {HOSTILE}",
        "bar",
        "Where?",
        ("metric:purchases", "gold.fct_purchases.country_code"),
    )
    return Catalog(
        *(1, "shop", 7, "2026-11-01T06:30:00+00:00", (users, dimension, fact, silver), (metric,)),
        (Exposure("shop", "Shop", "growth", "How much is bought?", (tile,)),),
        (
            Audit(
                "assert_sum",
                description="No rows: it adds up.",
                owner="growth",
                blocking=False,
                reads=("gold.fct_purchases",),
                last=FAILED,
            ),
        ),
        (Term("purchase", "What somebody bought."), Term("wallet", "Where money is.")),
    )


@pytest.fixture(scope="session")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of its pages; read-only."""
    pytest.importorskip("vl_convert", reason="Chromium: vl-convert-python is not installed, the extra `portal`")
    folder = tmp_path_factory.mktemp("catalog")
    write_pages(catalog(), folder)
    return folder
