"""Devices and software versions: the `context` of an event."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sample.draw import Bytes, Ints, cumulative, pick, uuid_texts, uuids

# Plays per operating system and version.
PLATFORMS = {
    "iOS": {"14.3": 1357, "14.2": 1289, "13.7": 567, "14.0.1": 362, "13.4.1": 325, "13.5.1": 239, "13.3": 206}
    | {"13.6": 133, "12.4.9": 119, "14.2.1": 81, "13.6.1": 51, "13.1.3": 41, "13.3.1": 38, "12.4": 28},
    "Android": {"10": 1833, "9": 552, "8.0.0": 176, "8.1.0": 105, "7.0": 81, "6.0.1": 26, "7.1.1": 23, "7.1.2": 12}
    | {"5.1.1": 10, "6.0": 7, "11": 6, "9.0": 4, "5.0.2": 2, "5.1": 1},
    "iPhone OS": {"9.3.5": 16},
}
APPS = {"7.40.0": 4011, "7.39.0": 2633, "7.41.0": 997, "7.41.1": 132, "7.31.1": 19, "7.32.1": 17, "7.24.0": 8}
_BUILDS = {"7.24.0": 3911, "7.31.1": 4102, "7.32.1": 4140, "7.39.0": 4398, "7.40.0": 4421, "7.41.0": 4457}
_BUILDS |= {"7.41.1": 4463}
_APPLE = tuple(("Apple", model) for model in ("iPad7,5", "iPad7,11", "iPad11,6", "iPad6,3", "iPhone12,1", "iPhone10,4"))
_OTHERS = (
    ("samsung", "SM-T290"),
    ("samsung", "SM-A105M"),
    ("Xiaomi", "Redmi Note 8"),
    ("HUAWEI", "AGS2-W09"),
    ("motorola", "moto g(7) play"),
    ("OPPO", "CPH1909"),
    ("vivo", "vivo 1904"),
    ("Amazon", "KFMUWI"),
)
_MODEL_NULL, _DEVICE_NULL = 0.03, 0.02

_NAMED = [(name, version, weight) for name, versions in PLATFORMS.items() for version, weight in versions.items()]
_PLATFORM_SHARES = cumulative([weight for _, _, weight in _NAMED])
_PLATFORM_TEXTS = [f'"os": {{"name": "{name}", "version": "{version}"}}' for name, version, _ in _NAMED]
_IS_ANDROID = np.array([name == "Android" for name, _, _ in _NAMED])
_APP_SHARES = cumulative(list(APPS.values()))
_APP_TEXTS = [f'"app": {{"version": "{version}", "build": "{_BUILDS[version]}"}}' for version in APPS]
_MODEL_TEXTS = ['"brand": null, "model": null']
_MODEL_TEXTS += [f'"brand": "{brand}", "model": "{model}"' for brand, model in _APPLE + _OTHERS]


@dataclass(frozen=True, slots=True)
class Devices:
    """One device per user, as columns of indices; `is_named` is 0 for a device without an id."""

    ids: Bytes
    is_named: Ints
    models: Ints
    platforms: Ints
    apps: Ints


def draw_devices(rng: np.random.Generator, count: int) -> Devices:
    """Draw `count` devices by the weights above."""
    platforms = pick(rng, _PLATFORM_SHARES, count)
    level = rng.random(count)
    apple = 1 + (level * len(_APPLE)).astype(np.int64)
    other = 1 + len(_APPLE) + (level * len(_OTHERS)).astype(np.int64)
    models = np.where(_IS_ANDROID[platforms], other, apple)
    models[rng.random(count) < _MODEL_NULL] = 0
    is_named = (rng.random(count) >= _DEVICE_NULL).astype(np.int64)
    return Devices(uuids(rng, count), is_named, models, platforms, pick(rng, _APP_SHARES, count))


def context_texts(devices: Devices, chosen: Ints) -> list[str]:
    """The JSON of `context` for each chosen device."""
    return [
        f'{{"device": {{"device_id": {quoted if named else "null"}, {_MODEL_TEXTS[model]}}}, '
        f"{_PLATFORM_TEXTS[platform]}, {_APP_TEXTS[app]}}}"
        for quoted, named, model, platform, app in zip(
            [f'"{text}"' for text in uuid_texts(devices.ids[chosen])],
            devices.is_named[chosen].tolist(),
            devices.models[chosen].tolist(),
            devices.platforms[chosen].tolist(),
            devices.apps[chosen].tolist(),
            strict=True,
        )
    ]
