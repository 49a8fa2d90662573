"""The parts of a report from their JSON, also of earlier schemas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sercache.metrics import FEWEST_UNITS
from sercache.record._parts import (
    CrossCorpus,
    FoldRecord,
    Prediction,
    Run,
    SharedAudio,
    StartRecord,
    TrainedEncoder,
)
from sercache.record._scores import Interval, Score, Summary


def fold_from(record: Mapping[str, Any]) -> FoldRecord:
    """A fold as JSON has it."""
    found = record.get("shared_audio")
    if found is None:
        return FoldRecord(**record)
    lists = {name: tuple(map(tuple, found[name])) for name in ("speakers", "first")}
    return FoldRecord(**{**record, "shared_audio": SharedAudio(**{**found, **lists})})


def run_from(record: Mapping[str, Any]) -> Run:
    """A training as JSON has it."""
    weights = record["layer_weights"]
    lists = {
        "history": tuple(record["history"]),
        "layer_weights": None if weights is None else tuple(weights),
        "notes": tuple(record.get("notes", ())),
    }
    return Run(**{**record, **lists})


def start_from(record: Mapping[str, Any]) -> StartRecord:
    """A run that gave initial weights, as JSON has it."""
    lists = {name: tuple(record.get(name, ())) for name in ("corpora", "releases")}
    return StartRecord(**{**record, **lists})


def encoder_from(record: Mapping[str, Any]) -> TrainedEncoder:
    """A trained encoder as JSON has it."""
    lists = {name: tuple(record[name]) for name in ("corpora", "releases")}
    return TrainedEncoder(**{**record, **lists})


def prediction_from(record: Mapping[str, Any]) -> Prediction:
    """A prediction as JSON has it."""
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in record.items()
    }
    # Numbers had fields of their own before.
    numbers = {"true": values.pop("true_values", ()), "predicted": values.pop("values", ())}
    return Prediction(**(values | numbers if numbers["true"] else values))


def cross_corpus_from(record: Mapping[str, Any]) -> CrossCorpus:
    """A result on another corpus as JSON has it."""
    parts = {
        "classes": tuple(record["classes"]),
        "summary": summaries_from(record),
        "predictions": tuple(prediction_from(p) for p in record["predictions"]),
        "confusion": tuple(tuple(row) for row in record["confusion"]),
        "layer_weights": tuple(tuple(row) for row in record["layer_weights"]),
        "notes": tuple(record["notes"]),
    }
    return CrossCorpus(**{**record, **parts})


def summaries_from(record: Mapping[str, Any]) -> dict[str, Summary]:
    """Those of a report or of another corpus."""
    return {metric: _summary(each, record["predictions"]) for metric, each in record["summary"].items()}


def _summary(record: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]]) -> Summary:
    folds, seeds = Score(**record["folds"]), Score(**record["seeds"])
    if "interval" in record:  # before schema 3: of the pooled predictions, whose speakers it did not count
        return Summary(folds, seeds, None, _uncounted(record["interval"], predictions))
    own = [record[name] and Interval(**record[name]) for name in ("folds_interval", "seeds_interval")]
    return Summary(folds, seeds, *own)


def _uncounted(ends: Sequence[float] | None, predictions: Sequence[Mapping[str, Any]]) -> Interval | None:
    speakers = {each["speaker"] for each in predictions}
    if "" in speakers:
        return None
    low, high = ends if ends is not None and len(speakers) >= FEWEST_UNITS else (None, None)
    return Interval(low, high, len(speakers), "speakers")
