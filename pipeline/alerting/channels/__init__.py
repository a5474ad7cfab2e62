"""Alert channels: one module each, with `channel(options)`. A new module here adds a channel."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from ingest.settings import Settings
from pipeline.alerting.alert import Channel


def channels(options: Settings) -> list[Channel]:
    """Return the channels configured in the settings."""
    modules = [import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__)]
    found = [module.channel(options) for module in modules if hasattr(module, "channel")]
    return [channel for channel in found if channel is not None]
