"""Alerts to notification targets added to SQLMesh's configuration."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pipeline.alerting.alert import Alert, Channel

if TYPE_CHECKING:
    from sqlmesh.core.notification_target import BaseNotificationTarget


def sqlmesh_channel(target: BaseNotificationTarget, number: int) -> Channel:
    """Create a channel for the number-th notification target added to SQLMesh's configuration."""

    def send(alert: Alert) -> None:
        from sqlmesh.core.notification_target import NotificationStatus

        status = NotificationStatus.FAILURE if alert.event == "problem" else NotificationStatus.SUCCESS
        target.send(notification_status=status, msg=f"Lakemesh {alert.event}: {alert.message}")

    return Channel(f"{target.type_} {number} of config.yaml", send)
