"""A map of utterances as marks of a page: a shape for the true class, a colour for what the reader chooses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sercache.record import Target
from sercache.report.canvas import COLOURS
from sercache.report.extras import VectorPlaces
from sercache.report.render import ReportTable
from sercache.report.utterances import UtteranceRow
from sercache.text import natural

WIDTH, HEIGHT, _MARGIN = 900.0, 560.0, 14.0
_SHAPES = (
    "M-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0", "M0,-4.6L4.2,3.4H-4.2Z", "M-3.5,-3.5H3.5V3.5H-3.5Z", "M0,-5L5,0L0,5L-5,0Z",
    "M0,4.6L4.2,-3.4H-4.2Z", "M-1.5,-4.5H1.5V-1.5H4.5V1.5H1.5V4.5H-1.5V1.5H-4.5V-1.5H-1.5Z",
    "M-4.5,-2.5L-2.5,-4.5L0,-2L2.5,-4.5L4.5,-2.5L2,0L4.5,2.5L2.5,4.5L0,2L-2.5,4.5L-4.5,2.5L-2,0Z",
)  # fmt: skip
_PALETTE = (*COLOURS[:-1], "#8a7f00")
"""Without black, which cannot be seen on a dark page."""
_NEAR = 10
"""Neighbours that the table counts."""
_THIRDS = ("lower third", "middle third", "upper third")


@dataclass(frozen=True)
class MapMark:
    """One utterance."""

    x: float
    y: float
    shape: int
    colours: tuple[str, ...]
    """By way, in the order of ``MarkedMap.ways``."""
    told: str
    """What it is, for who points at it."""


@dataclass(frozen=True)
class MarkedMap:
    """Marks with legends."""

    what: str
    shapes: tuple[str, ...]
    ways: tuple[str, ...]
    """What colours may stand for; the first at first."""
    legends: tuple[tuple[tuple[str, str, int], ...], ...]
    """By way: name, colour and shape (-1: any) of each group."""
    marks: tuple[MapMark, ...]
    table: ReportTable


def marked_map(found: VectorPlaces, rows: Sequence[UtteranceRow], target: Target) -> MarkedMap | None:
    """The utterances of a map that were tested; None for fewer than three."""
    by_id = {row.id: row for row in rows}
    held = [k for k, id in enumerate(found.ids) if id in by_id]
    if len(held) < 3:
        return None
    own = [by_id[found.ids[k]] for k in held]
    places = _fitted(np.asarray(found.places, float)[held])
    groups = _groups(own, target)
    names = {way: sorted(set(of), key=natural) for way, of in groups.items()}
    colours = {way: _colours(way, names[way]) for way in groups}
    first = next(iter(groups))  # the true class, or where the first number lies
    shape_of = {name: k % len(_SHAPES) for k, name in enumerate(names[first])}
    marks = tuple(
        MapMark(
            round(float(x), 1), round(float(y), 1), shape_of[groups[first][k]],
            tuple(colours[way][of[k]] for way, of in groups.items()), _told(row, groups, k),
        )
        for k, (row, (x, y)) in enumerate(zip(own, places, strict=True))
    )  # fmt: skip
    legends = tuple(
        tuple((name, colours[way][name], shape_of[name] if way == first else -1) for name in names[way])
        for way in groups
    )
    return MarkedMap(found.what, _SHAPES, tuple(groups), legends, marks, _neighbours(places, groups))


def _groups(rows: Sequence[UtteranceRow], target: Target) -> dict[str, list[str]]:
    """What each utterance belongs to, by way."""
    found: dict[str, list[str]] = {}
    if target.kind == "classes":
        found["true class"] = [str(target.shown(row.true)[0]) for row in rows]
        found["predicted class"] = [str(target.shown(row.said)[0]) for row in rows]
        found["error"] = [_how_wrong(row) for row in rows]
    else:
        for k, name in enumerate(target.names):
            found[f"true {name}"] = _thirds([row.true[k] for row in rows])  # type: ignore[index]
        found["error"] = _thirds([row.error for row in rows])
    speakers = [row.speaker for row in rows]
    return found | ({"speaker": speakers} if len(set(speakers)) > 1 else {})


def _how_wrong(row: UtteranceRow) -> str:
    if not row.n_wrong:
        return "right"
    return "wrong" if row.n_wrong == row.n else "sometimes wrong"


def _thirds(values: Sequence[float]) -> list[str]:
    low, high = np.quantile(values, [1 / 3, 2 / 3])
    return [_THIRDS[int(value > low) + int(value > high)] for value in values]


_ERRORS = {"right": "#9aa0a6", "sometimes wrong": "#E69F00", "wrong": "#D55E00"}


def _colours(way: str, names: Sequence[str]) -> dict[str, str]:
    if way == "error" and set(names) <= set(_ERRORS):
        return _ERRORS
    if len(names) <= len(_PALETTE):
        return dict(zip(names, _PALETTE, strict=False))
    return {name: f"hsl({360 * k / len(names):.0f} 65% 52%)" for k, name in enumerate(names)}


def _told(row: UtteranceRow, groups: dict[str, list[str]], k: int) -> str:
    return "; ".join([row.id, *(f"{way} {of[k]}" for way, of in groups.items())])


def _fitted(places: np.ndarray) -> np.ndarray:
    """Places within the picture, each axis stretched alike."""
    low, high = places.min(0), places.max(0)
    room = np.array([WIDTH - 2 * _MARGIN, HEIGHT - 2 * _MARGIN])
    scale = float((room / np.maximum(high - low, 1e-9)).min())
    fitted: np.ndarray = (places - (low + high) / 2) * scale + np.array([WIDTH, HEIGHT]) / 2
    return fitted


def _neighbours(places: np.ndarray, groups: dict[str, list[str]]) -> ReportTable:
    """How far groups keep together: what a picture shows, for who does not see it."""
    near = min(_NEAR, len(places) - 1)
    gaps = ((places[:, None] - places[None]) ** 2).sum(-1)
    np.fill_diagonal(gaps, np.inf)
    nearest = np.argsort(gaps, axis=1)[:, :near]
    rows = []
    for way, of in groups.items():
        names = np.array(of)
        alike = (names[nearest] == names[:, None]).mean(1)
        for name in sorted(set(of), key=natural):
            own = names == name
            rows.append((way, name, int(own.sum()), float(alike[own].mean()), float(own.mean())))
    about = f"of the {near} nearest marks, the share of the same group; beside it what chance would give"
    columns = ("coloured by", "group", "utterances", "alike among neighbours", "share of all")
    return ReportTable("Map", columns, tuple(rows), (about,), 2)
