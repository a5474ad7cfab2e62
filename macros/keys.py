"""Surrogate keys that several models compute, each from the source itself, so that none has to read another for it.

SQLMesh finds the macros that models call in macros/.
"""

from __future__ import annotations

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()  # type: ignore[untyped-decorator]  # SQLMesh publishes no types
def version_key(evaluator: MacroEvaluator, identifier: exp.Expression, valid_from: exp.Expression) -> exp.Expression:
    """The key of a version of a dimension's member, and that of the unknown member, -1, where there is no version.

    `@VERSION_KEY(c.customer_id, c.valid_from)` →
    `CASE WHEN c.customer_id IS NULL THEN '-1' ELSE MD5(CONCAT_WS('|', CAST(c.customer_id AS TEXT), …)) END`
    """
    is_absent = exp.Is(this=identifier.copy(), expression=exp.Null())
    texts = [exp.cast(part.copy(), "TEXT") for part in (identifier, valid_from)]
    key = exp.func("MD5", exp.func("CONCAT_WS", exp.Literal.string("|"), *texts))
    return exp.case().when(is_absent, exp.Literal.string("-1")).else_(key)
