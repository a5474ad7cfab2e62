"""Good and bad rows for the standalone audits of stock: as CASES of test_own_audits.py."""

from __future__ import annotations

LEVELS = (
    "gold.fct_inventory_daily(product_id, location, business_date, opening_level, closing_level, unexplained_quantity)"
)
D1, D2, D3 = "DATE '2026-01-01'", "DATE '2026-01-02'", "DATE '2026-01-03'"
Rows = dict[str, list[str]]
STOCK_CASES: dict[str, tuple[Rows, list[tuple[Rows, list[tuple[object, ...]]]]]] = {
    "assert_levels_go_on": (
        {
            LEVELS: [
                *(f"1, 'a', {D1}, 0, 5, 0", f"1, 'a', {D2}, 5, 3, 1", f"1, 'a', {D3}, 3, 3, 0"),
                *(f"1, 'b', {D2}, 7, 8, 0", f"1, 'b', {D3}, 8, 8, 0", f"2, 'a', {D3}, 1, 2, 0"),
            ]
        },
        [
            (
                {LEVELS: [f"2, 'b', {D2}, 0, 5, 0", f"2, 'b', {D3}, 4, 5, 0"]},
                [(2, "b", "2026-01-02", 5, "2026-01-03", 4)],
            ),
            (
                {LEVELS: [f"2, 'b', {D1}, 0, 5, 0", f"2, 'b', {D3}, 5, 5, 0"]},
                [(2, "b", "2026-01-01", 5, "2026-01-03", 5)],
            ),
            ({LEVELS: [f"2, 'b', {D2}, 0, 5, 0"]}, [(2, "b", "2026-01-02", 5, None, None)]),
        ],
    ),
    "assert_movements_are_explained": (
        {LEVELS: [f"1, 'a', {D1}, 0, 5, 0"]},
        [
            ({LEVELS: [f"2, 'b', {D2}, 0, 5, -1"]}, [(2, "b", "2026-01-02", -1)]),
            ({LEVELS: [f"2, 'b', {D2}, 0, 5, 1"]}, [(2, "b", "2026-01-02", 1)]),
        ],
    ),
}
