"""Events of OpenLineage: of a cycle, and of each model that it computed, with column lineage."""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from ingest.settings import Settings
from pipeline.access.classes import Reach
from pipeline.monitoring.datasets import Dataset, table_of
from pipeline.process.redact import redact

if TYPE_CHECKING:  # SQLMesh takes a second, and a cycle that finds nothing does not load it
    from pipeline.monitoring.model_runs import ModelRun

JOB = "cycle"
PRODUCER = "urn:lakemesh"
_RUNS = uuid.UUID("6f0c1f56-7a53-4f0e-9a58-4a2f5f0f3c57")
_TRANSFORMATIONS: Mapping[Reach, tuple[str, str]] = {
    Reach.VALUE: ("DIRECT", "TRANSFORMATION"),
    Reach.AGGREGATE: ("DIRECT", "AGGREGATION"),
    Reach.WINDOW: ("INDIRECT", "WINDOW"),
}
"""Type and subtype of OpenLineage by how a column reaches another one."""


class Events:
    """Makes the events of one cycle.

    Args:
        run_id: of the cycle; the ids of the events' runs follow from it.
    """

    def __init__(self, run_id: str, options: Settings) -> None:
        self._run_id, self._options, self._namespace = run_id, options, options.openlineage_namespace

    def cycle(
        self,
        state: str,
        at: dt.datetime,
        inputs: Iterable[Dataset] = (),
        outputs: Iterable[Dataset] = (),
        errors: Iterable[str] = (),
    ) -> Any:
        """An event of the cycle itself.

        Args:
            state: START, COMPLETE, FAIL or ABORT.
        """
        from openlineage.client.event_v2 import InputDataset, OutputDataset

        sources = [InputDataset(namespace, name) for namespace, name in inputs]
        targets = [OutputDataset(namespace, name) for namespace, name in outputs]
        return self._event(state, at, JOB, _errors(errors), sources, targets)

    def model(self, run: ModelRun) -> list[Any]:
        """The events of a model: START, then COMPLETE or FAIL."""
        from openlineage.client.event_v2 import InputDataset, OutputDataset
        from openlineage.client.facet_v2 import parent_run

        parent = parent_run.ParentRunFacet(
            run=parent_run.Run(runId=_uuid(self._run_id)), job=parent_run.Job(namespace=self._namespace, name=JOB)
        )
        inputs = [InputDataset(*table_of(name, self._options)) for name in run.inputs]
        output = OutputDataset(*table_of(run.name, self._options), facets=self._facets(run))
        end = "FAIL" if run.error else "COMPLETE"
        return [
            self._event("START", run.began_at, run.name, {"parent": parent}, inputs, [output]),
            self._event(end, run.ended_at, run.name, {"parent": parent} | _errors([run.error]), inputs, [output]),
        ]

    def _facets(self, run: ModelRun) -> dict[str, Any]:
        from openlineage.client.facet_v2 import column_lineage_dataset as lineage
        from openlineage.client.facet_v2 import schema_dataset

        columns = [schema_dataset.SchemaDatasetFacetFields(name=name, type=kind) for name, kind in run.columns]
        fields: dict[str, list[Any]] = {}
        for edge in run.edges:
            schema, table, source = edge.source.split(".", 2)
            namespace, name = table_of(f"{schema}.{table}", self._options)
            kind, subtype = _TRANSFORMATIONS[edge.reach]
            how = lineage.Transformation(type=kind, subtype=subtype)
            found = lineage.InputField(namespace=namespace, name=name, field=source, transformations=[how])
            fields.setdefault(edge.target.split(".", 2)[2], []).append(found)
        by_column = {column: lineage.Fields(inputFields=sources) for column, sources in fields.items()}
        return {
            "schema": schema_dataset.SchemaDatasetFacet(fields=columns),
            "columnLineage": lineage.ColumnLineageDatasetFacet(fields=by_column),
        }

    def _event(
        self, state: str, at: dt.datetime, job: str, facets: dict[str, Any], inputs: list[Any], outputs: list[Any]
    ) -> Any:
        from openlineage.client.event_v2 import Job, Run, RunEvent, RunState

        name = self._run_id if job == JOB else f"{self._run_id}/{job}"
        return RunEvent(
            eventTime=at.isoformat(),
            producer=PRODUCER,
            eventType=RunState[state],
            run=Run(runId=_uuid(name), facets=facets),
            job=Job(namespace=self._namespace, name=job),
            inputs=inputs,
            outputs=outputs,
        )


def _errors(errors: Iterable[str]) -> dict[str, Any]:
    from openlineage.client.facet_v2 import error_message_run

    text = redact("\n".join(filter(None, errors)))
    return {"errorMessage": error_message_run.ErrorMessageRunFacet(text, "SQL")} if text else {}


def _uuid(name: str) -> str:
    return str(uuid.uuid5(_RUNS, name))
