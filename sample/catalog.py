"""The catalogue of activities: equal for every seed, so samples of several seeds can share a lake."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np

from sample.draw import Floats, Ints, cumulative
from sample.objects import ACTIVITIES, SampleObject, Tally, encode, object_key
from sample.options import SampleOptions

PER_FILE = 200
# Kinds of activity and their numbers; only the first four are played.
TYPES = ("game", "video", "traceable", "audiobook", "playlist", "printable", "collection", "voice")
_SIZES = (316, 722, 364, 32, 25, 20, 12, 1)
# Share of plays per kind, and (shift, exponent) of the power law of popularity within a kind.
_PLAYED = (0.607, 0.240, 0.136, 0.017)
_POPULARITY = ((5.0, 1.6), (2.0, 1.4), (3.0, 1.35), (1.5, 1.8))
_NAME_NULL, _NAME_EMPTY, _SUBTYPE_NULL, _SUBTYPE_EMPTY = 0.116, 0.006, 0.320, 0.070
_SUBTYPES = {
    "game": ("memory", "sticker", "puzzle", "coloring", "hide_and_seek", "maze", "race", "discovery"),
    "video": ("song", "story", "lesson", "chant", "episode"),
    "traceable": ("letter", "number", "word", "shape"),
    "audiobook": ("original", "classic"),
    "playlist": ("video_playlist",),
    "printable": ("worksheet", "craft"),
    "collection": ("season",),
    "voice": ("greeting",),
}
_MOODS = "Busy Brave Tiny Sleepy Merry Hidden Golden Wobbly Curious Speedy Gentle Cheeky Jolly Quiet Starry".split()
_THINGS = (
    "Otter Rocket Garden Pirate Teapot Piñata Dragon Bakery Harbour Café Comet Penguin Orchestra Jungle Kite"
).split()
_PLACES = "Parade Picnic Workshop Voyage Lullaby Adventure Birthday Rescue Race Bazaar".split()


@dataclass(frozen=True, slots=True)
class Catalog:
    """All activities, as columns.

    Attributes:
        types: index into TYPES.
        shares: cumulative share of plays.
    """

    ids: list[str]
    types: Ints
    shares: Floats
    lines: list[str]


@cache
def catalog() -> Catalog:
    """The catalogue, most popular first within each kind."""
    rng = np.random.default_rng(7)
    ids: list[str] = []
    lines: list[str] = []
    weights: list[Floats] = []
    for number, (kind, size) in enumerate(zip(TYPES, _SIZES, strict=True)):
        if number < len(_PLAYED):
            shift, exponent = _POPULARITY[number]
            popularity = (np.arange(size) + shift) ** -exponent
            weights.append(_PLAYED[number] * popularity / popularity.sum())
        else:
            weights.append(np.zeros(size))
        for place in range(size):
            activity = f"{kind}_{place + 1:03d}"
            fate, subtype_fate = rng.random(2)
            title: str | None = " ".join(str(rng.choice(words)) for words in (_MOODS, _THINGS, _PLACES))
            subtype: str | None = str(rng.choice(_SUBTYPES[kind]))
            if fate < _NAME_NULL + _NAME_EMPTY:
                title = None if fate < _NAME_NULL else ""
            if subtype_fate < _SUBTYPE_NULL + _SUBTYPE_EMPTY:
                subtype = None if subtype_fate < _SUBTYPE_NULL else ""
            record = {"activity_id": activity, "name": title, "type": kind, "subtype": subtype}
            ids.append(activity)
            lines.append(json.dumps(record, ensure_ascii=False))
    types = np.repeat(np.arange(len(TYPES)), _SIZES)
    return Catalog(ids, types, cumulative(np.concatenate(weights)), lines)


def activity_keys(options: SampleOptions) -> list[str]:
    """The keys of the catalogue's objects."""
    return [object_key(options, "activities", number, 3) for number in range(-(-sum(_SIZES) // PER_FILE))]


def activity_objects(options: SampleOptions) -> Iterator[SampleObject]:
    """The objects of the catalogue."""
    for number, key in enumerate(activity_keys(options)):
        part = catalog().lines[number * PER_FILE : (number + 1) * PER_FILE]
        yield SampleObject(ACTIVITIES, key, encode(options, part), tally=Tally(activities=len(part)))
