"""Result: what came out of a training: the report, the trained heads, and the folder that keeps both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from os import PathLike, fspath
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from sercache import catalog, given
from sercache.errors import ContractError, MissingExtraError, SettingsError
from sercache.evaluation import setup_of
from sercache.experiment.cross_corpus import answers, tested_since
from sercache.experiment.head_file import class_in, file_of, is_trained
from sercache.head import of_class
from sercache.record import HEADLINE, NAMES, CrossCorpus, Prediction, Report, Summary, score
from sercache.report import Cell, ReportTable, html, runs, write_epochs
from sercache.settings import expanded

if TYPE_CHECKING:
    import pandas
    from torch import Tensor, nn

    from sercache.experiment.predict import Predicted


class KeptWeights(Mapping[tuple[str, int | None], Mapping[str, "Tensor"]]):
    """The weights that a run folder keeps, each read when it is asked for; keys as in Result.weights."""

    def __init__(self, folder: Path, report: Report) -> None:
        self._folder, self._report = folder, report

    def __getitem__(self, key: tuple[str, int | None]) -> Mapping[str, Tensor]:
        """Raises KeyError for a training that the run does not have, SettingsError where its weights were not kept."""
        if key not in self._named:
            raise KeyError(key)
        return runs.read_tensors(self._path(key))

    def __contains__(self, key: object) -> bool:
        return key in self._named and self._path(key).is_file()

    def __iter__(self) -> Iterator[tuple[str, int | None]]:
        return (key for key in self._named if self._path(key).is_file())

    def __len__(self) -> int:
        return sum(1 for _ in self)

    @cached_property
    def _named(self) -> dict[tuple[str, int | None], None]:
        heads: list[tuple[str, int | None]] = [(run.fold, run.seed) for run in self._report.runs]
        return dict.fromkeys([*heads, *((fold.name, None) for fold in self._report.folds)])

    def _path(self, key: tuple[str, int | None]) -> Path:
        fold, seed = key
        return (
            runs.scaling_path(self._folder, fold)
            if seed is None
            else runs.weights_path(self._folder, fold, seed)
        )


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """What came out of a training, or of testing its heads on another corpus."""

    report: Report
    weights: Mapping[tuple[str, int | None], Mapping[str, Tensor]] = field(default_factory=dict)
    """State dict of the head of each fold and seed; under (fold, None) the statistics that scale that fold's inputs,
    where normalisation is global."""
    folder: Path | None = None
    """Run folder that holds it; None: it was not saved."""
    head: type[nn.Module] | None = None
    """Class of its heads, where a class was trained that no name stands for."""

    @property
    def summary(self) -> Mapping[str, Summary]:
        """Scores by metric: ``result.summary["ua"].seeds.mean``."""
        return self.report.summary

    @property
    def predictions(self) -> tuple[Prediction, ...]:
        """What every head said of its test part."""
        return self.report.predictions

    def save(self, folder: str | PathLike[str]) -> Result:
        """Write a run folder, as ``sercache train`` leaves it; gives the result with its folder.

        Raises SettingsError where the folder exists already.
        """
        from sercache.experiment.outcome import finish

        place = expanded(folder)
        finish(self.report, self.weights, place)
        write_epochs(self.report, place)
        return replace(self, folder=place)

    @classmethod
    def load(
        cls, folder: str | PathLike[str], head: type[nn.Module] | str | PathLike[str] | None = None
    ) -> Result:
        """The result that a run folder holds; weights are read when they are asked for.

        ``head`` is the class of its heads, for a run that trained a class, or the file that defines it. Raises
        SettingsError where it is no run folder or is damaged, ContractError for another class than the one that was
        trained, UnknownNameError for a file that is not there.
        """
        place = expanded(folder)
        report = runs.load(place)
        if isinstance(head, str | PathLike):
            with given.named_by_user(given.texts_of(head)):
                head = class_in(fspath(head), report, place)
        elif head is not None and not is_trained(head, report):
            raise ContractError(
                f"{head.__qualname__} is not the class that {place} trained, or has changed since; give that one"
            )
        return cls(report, KeptWeights(place, report), place, head)

    @property
    def head_file(self) -> ModuleType:
        """What the file of its head defines. Raises UnknownNameError; ContractError also for a file that the run
        alone names."""
        if self.head is not None:
            return of_class(self.head, setup_of(self.report.setup))
        return file_of(self.report, self.folder)

    def predict(
        self, paths: str | PathLike[str] | Sequence[str | PathLike[str]] = (), **settings: Any
    ) -> list[Predicted]:
        """What the trained heads say of recordings, as ``sercache predict``: a record for each, or for each window.

        ``paths`` are files and folders; ``settings`` are the options of the command. Raises what the command reports.
        """
        from sercache.experiment import predict as work
        from sercache.experiment.ensemble import PredictOptions
        from sercache.experiment.options import filled

        request = filled(
            PredictOptions, "predict", {"run": self.folder or Path(), "paths": paths, **settings}
        )
        with given.named_by_user(given.texts_of(request)):
            return list(work.run(request, self).records)

    def to_dataframe(self, on: str | None = None) -> pandas.DataFrame:
        """Predictions as a table of pandas: a row for each utterance, fold and seed, with all scores.

        Columns: fold, seed, id, speaker, true, predicted and ``p:<class>`` for each class; of numbers
        ``true:<target>`` and ``predicted:<target>``. ``on`` (``DATASET[:TASK]``): those on another corpus that the
        heads were tested on; a result that holds nothing but one such test gives that by itself.
        Raises MissingExtraError without pandas, SettingsError where there are no such predictions.
        """
        try:
            import pandas
        except ImportError:
            raise MissingExtraError(
                "a table of predictions needs pandas: pip install 'sercache[analysis]'; predictions.csv of a saved "
                "run holds the same"
            ) from None
        rows = [_row(each, self.report) for each in self._said(on)]
        return pandas.DataFrame(rows, columns=_columns(self.report))

    def _said(self, on: str | None) -> tuple[Prediction, ...]:
        there = list(self.report.cross_corpus)
        if on is None and not self.report.predictions and len(there) == 1:
            return there[0].predictions
        if on is None:
            return self.report.predictions
        there += tested_since(self.folder) if self.folder is not None else []
        fitting = [each for each in there if answers(each, on)]
        if not fitting:
            names = [f"{each.dataset}:{each.task}" for each in there]
            raise SettingsError(catalog.unknown("corpus that these heads were tested on", on, names))
        return fitting[0].predictions

    def plain(self) -> dict[str, Any]:
        """Its folder and what tables are made from; what has an entry an utterance or an epoch stays in the folder."""
        told = {each.name: getattr(self.report, each.name) for each in fields(self.report)}
        return {"folder": self.folder} | {name: held for name, held in told.items() if name not in _LONG}

    def __repr__(self) -> str:
        """One line: what it is of, its main score with the interval, and where it is kept."""
        told = self.report.told or "; ".join(_told(self.report, there) for there in self.report.cross_corpus)
        kept = "not saved" if self.folder is None else f"in {self.folder}"
        return f"Result({self.report.title}: {told or 'not tested'}; {kept})"

    def _repr_html_(self) -> str:
        """Scores with their intervals, and the main score of each fold, for notebooks."""
        tables = [_scores(self.report.title, self.report.summary, self.report)] if self.report.summary else []
        for there in self.report.cross_corpus:
            tables.append(_scores(f"tested on {there.dataset} ({there.task})", there.summary, self.report))
        if self.report.summary and len(self.report.folds) > 1:
            tables.append(_folds(self.report))
        return "\n".join(map(html, tables)) or html(ReportTable(self.report.title, ("not tested",), ()))


_LONG = ("predictions", "dev_predictions", "runs", "recordings")
"""Fields of a report with an entry an utterance or an epoch."""


def _told(report: Report, there: CrossCorpus) -> str:
    found = there.summary[report.main_metric].seeds
    return f"on {there.dataset} {NAMES[report.main_metric]} {found.mean:.4f}"


def _scores(title: str, summary: Mapping[str, Summary], report: Report) -> ReportTable:
    rows: list[tuple[Cell, ...]] = [
        (NAMES[metric], summary[metric].score(HEADLINE), summary[metric].interval(HEADLINE))
        for metric in report.metrics
        if metric in summary
    ]
    return ReportTable(title, ("metric", "score", "95 %"), tuple(rows))


def _folds(report: Report) -> ReportTable:
    """The main score of each fold: mean over its seeds."""
    name = report.main_metric
    rows: list[tuple[Cell, ...]] = []
    for fold in report.folds:
        own = [run.scores[name] for run in report.runs if run.fold == fold.name and name in run.scores]
        rows.append((fold.name, fold.n_test, score(own) if own else None))
    return ReportTable("folds", ("fold", "test utterances", NAMES[name]), tuple(rows))


def _columns(report: Report) -> list[str]:
    fixed = ["fold", "seed", "id", "speaker"]
    if report.targets:
        return [*fixed, *(f"{kind}:{name}" for kind in ("true", "predicted") for name in report.targets)]
    return [*fixed, "true", "predicted", *(f"p:{name}" for name in report.classes)]


def _row(said: Prediction, report: Report) -> list[Any]:
    fixed = [said.fold, said.seed, said.id, said.speaker]
    shown = report.target.shown
    return [*fixed, *shown(said.true), *shown(said.predicted), *said.probabilities]
