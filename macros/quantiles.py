"""Exact quantiles, which each engine has by a name of its own."""

from __future__ import annotations

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()  # type: ignore[untyped-decorator]  # SQLMesh publishes no types
def quantile(evaluator: MacroEvaluator, values: exp.Expression, share: exp.Expression) -> exp.Expression:
    """The value below which a share of the values lies, DOUBLE, interpolated between neighbours; NULLs do not count.

    `@QUANTILE(x, 0.9)` → `QUANTILE_CONT(CAST(x AS DOUBLE), 0.9)` on DuckDB, `PERCENTILE(…)` on Spark
    """
    engine = evaluator.locals.get("engine_adapter")
    is_spark = engine.dialect == "spark" if engine else (evaluator.gateway or "").startswith("spark")
    name = "PERCENTILE" if is_spark else "QUANTILE_CONT"
    return exp.func(name, exp.cast(values.copy(), "DOUBLE"), share.copy(), dialect="spark" if is_spark else "duckdb")
