"""Events of OpenLineage, read back with the classes of its client, which check them."""

from __future__ import annotations

from typing import Any

from openlineage.client.event_v2 import InputDataset, Job, OutputDataset, Run, RunEvent, RunState
from openlineage.client.facet_v2 import column_lineage_dataset, error_message_run, parent_run, schema_dataset
from openlineage.client.serde import Serde

_KEPT = {"_producer", "_schemaURL"}


def read_event(found: dict[str, Any]) -> RunEvent:
    """Make an event of its JSON; whatever a class does not know fails."""
    found = {name: value for name, value in found.items() if name != "schemaURL"}
    run, job = found.pop("run"), found.pop("job")
    facets = {name: _run_facet(name, value) for name, value in run["facets"].items() if name != "tags"}
    event = RunEvent(
        run=Run(run["runId"], facets),
        job=Job(**job),
        eventType=RunState[found.pop("eventType")],
        inputs=[InputDataset(**item) for item in found.pop("inputs")],
        outputs=[_output(item) for item in found.pop("outputs")],
        **found,
    )
    assert Serde.to_dict(event)["run"]["runId"] == run["runId"]
    return event


def _run_facet(name: str, value: dict[str, Any]) -> Any:
    own = {key: item for key, item in value.items() if key not in _KEPT}
    if name == "parent":
        return parent_run.ParentRunFacet(
            run=parent_run.Run(own["run"]["runId"]),
            job=parent_run.Job(namespace=own["job"]["namespace"], name=own["job"]["name"]),
        )
    assert name == "errorMessage"
    return error_message_run.ErrorMessageRunFacet(**own)


def _output(item: dict[str, Any]) -> OutputDataset:
    facets: dict[str, Any] = {}
    if schema := item["facets"].get("schema"):
        fields = [schema_dataset.SchemaDatasetFacetFields(**field) for field in schema["fields"]]
        facets["schema"] = schema_dataset.SchemaDatasetFacet(fields=fields)
    if lineage := item["facets"].get("columnLineage"):
        facets["columnLineage"] = column_lineage_dataset.ColumnLineageDatasetFacet(
            fields={
                column: column_lineage_dataset.Fields(
                    inputFields=[
                        column_lineage_dataset.InputField(
                            **source
                            | {
                                "transformations": [
                                    column_lineage_dataset.Transformation(**how) for how in source["transformations"]
                                ]
                            }
                        )
                        for source in field["inputFields"]
                    ]
                )
                for column, field in lineage["fields"].items()
            }
        )
    return OutputDataset(item["namespace"], item["name"], facets=facets)
