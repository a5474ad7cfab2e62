"""Plays: activity, source, completion and duration."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sample.catalog import TYPES, catalog
from sample.draw import Bools, Floats, Ints, cumulative, pick

# The collection that an activity was started from, usually none, and its number of plays.
_PLAYED_FROM = {
    "": 6891,
    "collection_nature": 560,
    "collection_winter": 83,
    "playlist_15": 59,
    "collection_numbers": 37,
}
_PLAYED_FROM |= {"playlist_songs_01": 30, "collection_letters": 32, "collection_family": 25}
_PLAYED_FROM |= {
    "collection_faces": 22,
    "playlist_11": 17,
    "playlist_07": 17,
    "collection_animals": 13,
    "playlist_09": 12,
}
_PLAYED_FROM |= {"collection_kitchen": 10, "playlist_16": 3, "collection_lunch": 3, "collection_school": 2}
_PLAYED_FROM |= {"playlist_09": 12, "playlist_03": 1}
COLLECTIONS = tuple(_PLAYED_FROM)
_COLLECTIONS = cumulative(list(_PLAYED_FROM.values()))
SOURCES = ("null", '"launcher"', '"home"', '"search"', '"recommendation"', '"collection"')
_SOURCES = cumulative([0.03, 0.55, 0.25, 0.07, 0.10])
_FROM_COLLECTION = len(SOURCES) - 1
_LOADING_NULL, _LOADING_MEDIAN, _LOADING_SPREAD = 0.03, 0.9, 0.6

_COMPLETED = np.array([0.685, 0.396, 0.862, 0.481])
# Quantiles of the seconds of plays shorter than an hour; each 0 is a share of plays of zero length.
_LEVELS = [0.0, 0.05, 0.10, 0.15, 0.25, 0.50, 0.75, 0.90, 0.95, 0.98, 0.99, 0.995, 1.0]
_SECONDS: dict[tuple[str, bool], list[float]] = {
    ("game", True): [3.4, 24, 34, 47, 62, 92, 132, 198, 269, 368, 560, 890, 3400],
    ("game", False): [0, 0, 0.2, 2.6, 3.8, 19, 60, 114, 164, 275, 410, 790, 3100],
    ("video", True): [5, 27, 41, 54, 81, 130, 151, 153, 189, 260, 273, 304, 390],
    ("video", False): [0, 0, 1.6, 2.0, 3.9, 17.7, 57.5, 109, 143, 179, 212, 223, 273],
    ("traceable", True): [6.9, 12.7, 14.6, 16.5, 20.3, 28.2, 37.4, 48, 57, 74, 102, 164, 650],
    ("traceable", False): [0, 0, 2.5, 2.75, 3.2, 4.1, 6.5, 15, 19.4, 32, 58, 700, 2360],
    ("audiobook", True): [6.1, 9.7, 12.4, 13.6, 18.2, 29.3, 57.7, 83.5, 122, 137, 160, 176, 193],
    ("audiobook", False): [0, 0, 3.1, 3.7, 5.5, 15.4, 34.9, 50, 72, 174, 220, 228, 233],
}
# An app left in the background keeps counting: Pareto from an hour to a week.
_LEFT_OPEN = np.array([0.0065, 0.0, 0.0019, 0.0])
_HOUR, _WEEK, _LEFT_OPEN_ALPHA = 3600.0, 604_800.0, 0.54
_UNROUNDED = 0.055


@dataclass(frozen=True, slots=True)
class Plays:
    """Plays, as columns.

    Attributes:
        activities: index into the catalogue.
        seconds: length of the play.
        collections: index into COLLECTIONS.
        sources: index into SOURCES.
        loading: seconds until the activity was ready, NaN if unknown.
        children: the child that played, as a share of the user's children; negative if unknown.
    """

    activities: Ints
    seconds: Floats
    completed: Bools
    collections: Ints
    sources: Ints
    loading: Floats
    children: Floats


def draw_plays(rng: np.random.Generator, count: int) -> Plays:
    """Draw `count` independent plays."""
    activities = pick(rng, catalog().shares, count)
    kinds = catalog().types[activities]
    completed = rng.random(count) < _COMPLETED[kinds]
    collections = pick(rng, _COLLECTIONS, count)
    sources = np.where(collections > 0, _FROM_COLLECTION, pick(rng, _SOURCES, count))
    loading: Floats = np.exp(rng.normal(np.log(_LOADING_MEDIAN), _LOADING_SPREAD, count)).round(3)
    loading[rng.random(count) < _LOADING_NULL] = np.nan
    seconds = _draw_seconds(rng, kinds, completed)
    return Plays(activities, seconds, completed, collections, sources, loading, rng.uniform(-0.05, 1, count))


def _draw_seconds(rng: np.random.Generator, kinds: Ints, completed: Bools) -> Floats:
    level: Floats = rng.random(len(kinds))
    seconds = np.zeros(len(kinds))
    for (kind, done), values in _SECONDS.items():
        chosen = (kinds == TYPES.index(kind)) & (completed == done)
        seconds[chosen] = np.interp(level[chosen], _LEVELS, values)
    left_open = np.flatnonzero(rng.random(len(kinds)) < _LEFT_OPEN[kinds])
    seconds[left_open] = _truncated_pareto(rng.random(len(left_open)))
    rounded = rng.random(len(kinds)) >= _UNROUNDED
    seconds[rounded] = np.round(seconds[rounded], 3)
    return seconds


def _truncated_pareto(level: Floats) -> Floats:
    """Inverse distribution function of a Pareto variable, truncated at a week."""
    kept = 1 - (_HOUR / _WEEK) ** _LEFT_OPEN_ALPHA
    longest: Floats = _HOUR * (1 - level * kept) ** (-1 / _LEFT_OPEN_ALPHA)
    return longest
