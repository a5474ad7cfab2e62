"""Exact quantiles, whose function has a different name on each engine.

SQLMesh finds the macros that models call in macros/.
"""

from __future__ import annotations

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()  # type: ignore[untyped-decorator]  # SQLMesh publishes no types
def quantile(evaluator: MacroEvaluator, values: exp.Expression, share: exp.Expression) -> exp.Expression:
    """The quantile of the values at a share from 0 to 1, as DOUBLE, interpolated; NULLs are ignored.

    `@QUANTILE(x, 0.9)` → `QUANTILE_CONT(CAST(x AS DOUBLE), 0.9)` on DuckDB, `PERCENTILE(…)` on Spark
    """
    engine = evaluator.locals.get("engine_adapter")
    is_spark = engine.dialect == "spark" if engine else (evaluator.gateway or "").startswith("spark")
    name = "PERCENTILE" if is_spark else "QUANTILE_CONT"
    return exp.func(name, exp.cast(values.copy(), "DOUBLE"), share.copy(), dialect="spark" if is_spark else "duckdb")
