"""Read contacts and calls from the API of a CRM into the landing, for the feeds crm/contacts and crm/calls.

    export CRM_URL=https://crm.example.com/api/ CRM_TOKEN=…
    export CRM_LANDING=data/landing/raw-saas        # or s3://raw-saas
    python docs/examples/crm/pipeline.py && lake run

Exits 1 when the API or the store fails; the next run continues there.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import dlt
from dlt.pipeline.exceptions import PipelineStepFailed
from dlt.sources.rest_api import RESTAPIConfig, rest_api_source

LAYOUT = "{table_name}/{YYYY}/{MM}/{DD}/{load_id}.{file_id}.{ext}"
"""Folder of the feed, UTC date of the load, and a name that no other load has and a retry has again."""


def api(url: str, token: str) -> RESTAPIConfig:
    """Describe the API: pages with a link to the next one, and records since a time, that time included."""
    return {
        "client": {
            "base_url": url,
            "auth": {"type": "bearer", "token": token},
            "paginator": {"type": "json_link", "next_url_path": "next"},
        },
        "resource_defaults": {
            "write_disposition": "append",  # never `replace`, which deletes what an earlier run wrote
            "max_table_nesting": 0,  # a record stays one line, lists and objects included
            "schema_contract": {"data_type": "freeze"},  # else a value of a new type moves to a column of its own
        },
        "resources": [
            {
                "name": "contacts",
                "primary_key": "contact_id",
                "columns": {"contact_id": {"data_type": "text"}, "balance": {"data_type": "text"}},
                "endpoint": {
                    "path": "contacts",
                    "params": {"since": "{incremental.start_value}"},
                    "data_selector": "items",
                    "incremental": {"cursor_path": "updated_at", "initial_value": "2020-01-01T00:00:00Z"},
                },
            },
            {
                "name": "calls",
                "primary_key": "call_id",
                "columns": {"call_id": {"data_type": "text"}, "contact_id": {"data_type": "text"}},
                "endpoint": {
                    "path": "calls",
                    "params": {"since": "{incremental.start_value}"},
                    "data_selector": "items",
                    "incremental": {"cursor_path": "started_at", "initial_value": "2020-01-01T00:00:00Z"},
                },
            },
        ],
    }


def run(url: str, token: str, landing: str) -> None:
    """Write what is new since the last run to the landing.

    Args:
        url: the address of the API.
        landing: the bucket, as a folder or s3://…

    Raises:
        PipelineStepFailed: the API or the store failed, or a value has a new type.
    """
    dlt.config["runtime.dlthub_telemetry"] = False
    target = dlt.destinations.filesystem(bucket_url=landing, layout=LAYOUT)
    pipeline: Any = dlt.pipeline("crm", destination=target, dataset_name="crm")
    if pipeline.has_pending_data:
        pipeline.run()  # what a killed run left; a run with pending data reads nothing new
    pipeline.run(rest_api_source(api(url, token), name="crm"), loader_file_format="jsonl")


if __name__ == "__main__":
    names = ("CRM_URL", "CRM_TOKEN", "CRM_LANDING")
    if missing := [name for name in names if not os.environ.get(name)]:
        sys.exit(f"{', '.join(missing)} not set; expected the API's address and token, and the landing's bucket")
    try:
        run(*(os.environ[name] for name in names))
    except PipelineStepFailed as error:
        sys.exit(str(error))
