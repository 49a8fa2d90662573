"""Cells that are no score of a trained head: how long networks take, how often a recogniser is wrong."""

from __future__ import annotations

from collections.abc import Mapping

from sercache.commands._material import NotAtHandError, Place
from sercache.papers import ErrorRate, Latency
from sercache.report import record


def latency(wanted: Latency, place: Place) -> record.Score:
    """Milliseconds (median and spread of repeats) for one recording."""
    raise NotAtHandError("latencies are not measured yet")


def error_rate(wanted: ErrorRate, instead: Mapping[str, str], place: Place) -> record.Score:
    """Share of words or characters that are wrong."""
    raise NotAtHandError(f"{wanted.recogniser}: give a checkpoint with --encoder {wanted.recogniser}=FOLDER")
