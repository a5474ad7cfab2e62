"""Audits by what changed: an identity that holds for each key holds as a whole, so only changed keys need another look.

SQLMesh finds the macros that audits call in macros/.
"""

from __future__ import annotations

from sqlglot import exp
from sqlmesh import macro
from sqlmesh.core.macros import MacroEvaluator


@macro()  # type: ignore[untyped-decorator]  # SQLMesh publishes no types
def is_changed(evaluator: MacroEvaluator, model: exp.Expression, column: exp.Expression) -> exp.Expression:
    """Whether a column has a key for which a model of the kind by_key was computed in the audited interval or later.

    True for every row where that is not known: for models of other kinds, tables that were computed as a whole in that
    interval, on other engines, and outside audits. An interval is audited again until its audits pass.

    `@IS_CHANGED(@this_model, lines.invoice_id)` → `lines.invoice_id IN (SELECT invoice_id FROM lakemesh.… WHERE …)`
    """
    # Imported here because SQLMesh stores every module-level name that a macro uses with the environment.
    from pipeline.warehouse.by_key.log import Log
    from pipeline.warehouse.engine import DIALECT

    engine, start = evaluator.locals.get("engine_adapter"), evaluator.locals.get("start_millis")
    if engine is None or engine.dialect != DIALECT or start is None or not isinstance(model, exp.Table):
        return exp.true()
    named = column.sql(DIALECT)  # of an argument like `rows.@key` SQLGlot makes no column
    condition = Log(engine.cursor, model).condition(named, exp.to_column(named, dialect=DIALECT).name, int(start))
    return exp.maybe_parse(condition, dialect=DIALECT) if condition else exp.true()
