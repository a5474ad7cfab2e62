"""A small domain of metrics over two tables made by hand, and the tables."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import duckdb

from pipeline.metrics.definition import Metric, load_metrics

YAML = """
owner: shop
tables:
  gold.sales_daily:
    time: date
    grains: [day, week, month, quarter, year]
    dimensions: {country: Country, store: Store}
  gold.balances_monthly:
    time: month_date
    grains: [month, quarter, year]
    dimensions: {country: Country, plan: Plan}
metrics:
  sales: {label: Sales, description: Sold., unit: sales, format: integer, table: gold.sales_daily,
    measure: {sum: sales}, direction: up, synonyms: [items sold, orders]}
  returns: {label: Returns, description: Came back., unit: sales, format: integer, table: gold.sales_daily,
    measure: {sum: returned}, direction: down}
  return_rate: {label: Return rate, description: Returns ÷ sales., unit: share, format: percent,
    measure: {ratio: [returns, sales]}, direction: down}
  kept: {label: Kept, description: Sold and not returned., unit: sales, format: integer, table: gold.sales_daily,
    measure: {sum: sales - returned}, direction: up}
  turnover: {label: Turnover, description: Money., unit: reporting_currency, format: currency, table: gold.sales_daily,
    measure: {sum: amount}, direction: up}
  web_sales: {label: Sales on the web, description: Sold there., unit: sales, format: integer,
    table: gold.sales_daily, where: store = 'web', measure: {sum: sales}, direction: up}
  web_share: {label: Share of the web, description: Web ÷ all., unit: share, format: percent, table: gold.sales_daily,
    measure: {ratio: [web_sales, sales]}, direction: up}
  buyers: {label: Buyers, description: Distinct., unit: buyers, format: integer, table: gold.sales_daily,
    measure: {stored: buyers}, grains: [day], direction: up}
  balance: {label: Balance, description: At the end., unit: reporting_currency, format: currency,
    table: gold.balances_monthly, measure: {last: balance}, direction: up}
  customers: {label: Customers, description: At the end., unit: customers, format: integer,
    table: gold.balances_monthly, measure: {last: customers}, direction: up}
  balance_per_customer: {label: Balance per customer, description: Balance ÷ customers., unit: reporting_currency,
    format: currency, measure: {ratio: [balance, customers]}, direction: up}
  fees: {label: Fees, description: In their currency., unit: currency, format: currency, table: gold.fees_monthly,
    time: month_date, grains: [month, year], dimensions: {currency: Currency}, not_over: [currency],
    measure: {sum: fees}, direction: up}
  invoices: {label: Invoices, description: Rows., unit: invoices, format: integer, table: gold.invoices, time: issued,
    grains: [day, month], dimensions: {country: Country of the customer, number: Number}, measure: {count: invoice_id},
    direction: up}
"""
SALES = """
date        country store sales returned amount buyers
2025-12-28  fr      web   4     1        40.10  3
2025-12-29  fr      web   2     0        20.20  2
2025-12-31  de      shop  6     3        60.30  5
2026-01-02  -       web   1     1        10.40  1
2026-01-05  fr      shop  3     0        30.50  3
2026-01-05  it's    web   2     1        20.60  2
2026-01-07  de      web   5     2        50.70  4
2026-01-14  fr      web   8     2        80.80  6
"""
"""No row on most days, in the week of 2026-01-19 and later; `-` is NULL."""
BALANCES = """
month_date  country plan  balance   customers
2025-10-01  fr      a     10.000001 2
2025-11-01  fr      a     12.000002 3
2025-11-01  de      b     5.000003  1
2025-12-01  fr      a     11.000004 2
2026-01-01  fr      b     20.000005 4
2026-01-01  -       a     1.000006  1
"""
"""The customer in de left in December."""
FEES = """
month_date  currency fees
2025-12-01  eur      1.5
2025-12-01  jpy      150
2026-02-01  eur      2.5
"""
INVOICES = """
issued      country number invoice_id
2026-01-05  fr      1      i1
2026-01-05  us      2      i2
2026-01-20  us      10     i3
"""
COLUMNS = {
    "sales_daily": (
        SALES,
        "date DATE, country TEXT, store TEXT, sales BIGINT, returned BIGINT, amount DECIMAL(18, 4), buyers BIGINT",
    ),
    "balances_monthly": (
        BALANCES,
        "month_date DATE, country TEXT, plan TEXT, balance DECIMAL(18, 6), customers INT",
    ),
    "fees_monthly": (FEES, "month_date DATE, currency TEXT, fees DECIMAL(18, 4)"),
    "invoices": (INVOICES, "issued DATE, country TEXT, number INT, invoice_id TEXT"),
}


def day(text: str) -> dt.date:
    return dt.date.fromisoformat(text)


def rows(text: str) -> list[dict[str, str | None]]:
    """The rows of a table above."""
    names, *lines = (line.split() for line in text.strip().splitlines())
    return [{name: None if cell == "-" else cell for name, cell in zip(names, line, strict=True)} for line in lines]


def load(folder: Path, text: str = YAML) -> dict[str, Metric]:
    """Definitions from a file `shop.yaml` in a folder."""
    (folder / "shop.yaml").write_text(text, encoding="utf-8")
    return load_metrics(folder)


def tables() -> duckdb.DuckDBPyConnection:
    """A database with the tables."""
    connection = duckdb.connect()
    connection.execute("CREATE SCHEMA gold")
    for name, (text, columns) in COLUMNS.items():
        connection.execute(f"CREATE TABLE gold.{name} ({columns})")
        found = [tuple(row.values()) for row in rows(text)]
        marks = ", ".join("?" * len(found[0]))
        connection.executemany(f"INSERT INTO gold.{name} VALUES ({marks})", found)
    return connection
