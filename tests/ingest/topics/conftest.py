"""One broker for the tests of a module."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.connect_server import Broker
from tests.kafka import Topic


@pytest.fixture
def topic(broker: Broker, tmp_path: Path) -> Topic:
    return Topic(broker, tmp_path)
