"""What every tracker is told of a run: settings, results, epochs and files, flat and under the same names."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sercache import catalog
from sercache.record import HEADLINE, Report

Setting = str | float | int | bool
_LINE = 200
"""Letters of what a tracker says went wrong: those of HTTP tell a whole history."""


def training_name(fold: str, seed: int) -> str:
    """What a training is called, in letters that every tracker takes."""
    return f"fold-{catalog.quoted_name(fold)}-seed-{seed}"


def scores_of(epoch: Mapping[str, Any]) -> dict[str, float]:
    """The numbers of an epoch that are known."""
    return {name: float(value) for name, value in epoch.items() if name != "number" and value is not None}


def settings_of(report: Report) -> dict[str, Setting]:
    """Hyper-parameters: head and its options, recipe, encoder, corpus, protocol and the rest of the set-up."""
    found: dict[str, Any] = {"head": report.head, "n_parameters": report.n_parameters}
    found |= dict(report.setup)
    found |= {f"corpus.{name}": report.corpus.get(name, "") for name in ("release", "n_utterances")}
    found |= {f"option.{name}": value for name, value in report.options.items()}
    found |= {f"recipe.{name}": value for name, value in report.recipe.items()}
    return {name: _plain(value) for name, value in found.items() if value is not None}


def results_of(report: Report) -> dict[str, float]:
    """Test scores, pooled over folds and averaged over seeds, with the ends of their 95 % intervals.

    Those of another corpus are called ``on-<corpus>-<task>/…``.
    """
    found: dict[str, float] = {}
    named = [("test", report.summary)]
    named += [(f"on-{each.dataset}-{each.task}", each.summary) for each in report.cross_corpus]
    for place, summary in named:
        for metric, both in summary.items():
            score, interval = both.score(HEADLINE), both.interval(HEADLINE)
            found[f"{place}/{metric}"] = float(score.mean)
            if interval is not None and interval.low is not None and interval.high is not None:
                found[f"{place}/{metric}_low"] = float(interval.low)
                found[f"{place}/{metric}_high"] = float(interval.high)
    return found


def line_of(fault: Exception) -> str:
    """The first line of a fault of a tracker, with its kind; a long one is cut."""
    text = " ".join(str(fault).strip().splitlines()[:1])
    return f"{type(fault).__name__}: {text if len(text) <= _LINE else text[:_LINE] + ' …'}"


def figures_in(folder: Path) -> dict[str, Path]:
    """The figures of a run by name, as PNG; none where they could not be drawn."""
    return {path.stem: path for path in sorted((folder / "plots").glob("*.png"))}


def files_in(folder: Path) -> Iterator[Path]:
    """Files of a run that are kept with it, beside its figures."""
    for name in ("report.json", "epochs.csv", "report.html"):
        if (folder / name).is_file():
            yield folder / name


def _plain(value: Any) -> Setting:
    if isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, list | tuple):
        return ",".join(map(str, value))
    return str(value)
