"""A member of a consumer group, by which the broker shares out partitions. It reads nothing and keeps no offsets."""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import Any

from ingest.topics.connection import GROUP, Connection

LOG = logging.getLogger(__name__)


class Membership:
    """A member of the group of all streams of a lake.

    Which partitions a stream reads is a matter of speed alone: if two read the same, one of them commits.

    Args:
        group: KAFKA_GROUP_ID, if it is set, comes first.

    Attributes:
        partitions: the partitions of each topic that are this member's now.
    """

    def __init__(self, connection: Connection, topics: Collection[str], group: str = GROUP) -> None:
        self.partitions: dict[str, set[int]] = {}
        own = {} if "group.id" in connection.settings else {"group__id": group}
        self._connection = connection
        own |= {"session__timeout__ms": "10000", "topic__metadata__refresh__interval__ms": "10000"}
        self._consumer = connection.consumer(**own)
        self._consumer.subscribe(list(topics), on_assign=self._assigned, on_revoke=self._revoked)

    def poll(self, seconds: float = 0.0) -> None:
        """Stay a member, and learn of changes.

        Raises:
            ConfigError: there is no permission to be a member.
        """
        message = self._consumer.poll(seconds)
        if message is not None and message.error() is not None and message.error().fatal():
            raise self._connection.error(message.error())

    def close(self) -> None:
        """Leave the group, so that others get the partitions at once."""
        self._consumer.close()

    def _assigned(self, consumer: Any, places: Collection[Any]) -> None:
        consumer.assign(places)
        consumer.pause(places)  # it must never fetch
        self.partitions = {}
        for place in places:
            self.partitions.setdefault(place.topic, set()).add(place.partition)
        LOG.info("event=assigned partitions=%s", self.partitions)

    def _revoked(self, consumer: Any, places: Collection[Any]) -> None:
        self.partitions = {}
        consumer.unassign()
