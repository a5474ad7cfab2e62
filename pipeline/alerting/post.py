"""HTTP POST for alert channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipeline.alerting.alert import ANSWER_SECONDS


def post(url: str, body: Mapping[str, Any]) -> None:
    """Post JSON, with retries if the receiver is busy; raises on a status other than 2xx."""
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.util import Retry

    with requests.Session() as session:
        again = Retry(total=2, backoff_factor=0.5, status_forcelist=(429, 500, 502, 503, 504), allowed_methods=None)
        for scheme in ("http://", "https://"):
            session.mount(scheme, HTTPAdapter(max_retries=again))
        session.post(url, json=body, timeout=ANSWER_SECONDS).raise_for_status()
