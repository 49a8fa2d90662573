"""`sercache compare`: which of some runs differ, on the same utterances."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sercache import advice, augment, catalog, settings, stores
from sercache.errors import ContractError, MissingExtraError, SettingsError, UnknownNameError
from sercache.evaluation import setup_of
from sercache.experiment.compare_notes import notes
from sercache.experiment.head_file import file_of
from sercache.experiment.lexical import called, said_there
from sercache.experiment.result import Result
from sercache.experiment.setup import TrainOptions
from sercache.experiment.several import names_of_runs, run_folders
from sercache.experiment.together import command_of
from sercache.progress import warn
from sercache.published import head_defaults, published_setup
from sercache.recipe import Setup
from sercache.record import LOOK, CrossCorpus, Report
from sercache.report import ReportTable, html, own_scores, page, pair_plots, plots, reported_table
from sercache.report import pairs as of_pairs
from sercache.reported import corpora, tables_of
from sercache.settings import expanded
from sercache.statistics import PairDifference, System, pairs, system_of, unlike
from sercache.units import listed


@dataclass(frozen=True)
class CompareOptions:
    """The options of one call."""

    runs: Sequence[str | Path]
    """Run folders, and folders that hold some."""
    metrics: Sequence[str] = ()
    """The first decides; none: the main one of the task, accuracy, and what the epoch was selected by."""
    on: str | None = None
    """Another corpus that all of them were tested on, ``DATASET[:TASK]``."""
    plot: Path | None = None
    page: Path | None = None
    published: bool = False
    """Beside them what others report of the corpus; then one run will do."""


@dataclass(frozen=True, repr=False)
class PairedRuns:
    """Runs on the same utterances, two by two."""

    pairs: tuple[PairDifference, ...]
    """Every two by every metric, in the order of the runs."""
    table: ReportTable
    written: tuple[Path, ...]
    """The plot and the page, where they were asked for."""
    published: tuple[ReportTable, ...] = ()
    """What others report of the corpus, each a table of its own, where that was asked for."""

    def __repr__(self) -> str:
        """One line for each pair."""
        return f"PairedRuns({'; '.join(map(_line, self.pairs))})"

    def _repr_html_(self) -> str:
        """The table, for notebooks."""
        return "".join(map(html, (self.table, *self.published)))

    def plain(self) -> dict[str, Any]:
        """All of it as JSON values."""
        rows = [
            {**dataclasses.asdict(each), "difference": each.difference, "differs": each.differs}
            for each in self.pairs
        ]
        about = {"title": self.table.title, "pairs": rows, "notes": list(self.table.notes)}
        return about | ({"published": [each.plain() for each in self.published]} if self.published else {})


def run(request: CompareOptions, results: Sequence[Result] = ()) -> PairedRuns:
    """Compare every two of some runs by each metric; ``results`` in memory come after the folders.

    Raises SettingsError where they are of other utterances, tasks or folds, with what is missing where.
    """
    systems, reports = _systems(request, results)
    for name, each in zip(systems[1:], reports[1:], strict=True):
        why = unlike(systems[0], name)
        if why:
            raise SettingsError(
                f"{name.name} cannot be compared with {systems[0].name}: {why}; leave it out, or train it on the same: "
                f"{trained_alike(each, reports[0])}"
            )
    beside = _published(reports, [each.name for each in systems]) if request.published else ()
    if len(systems) == 1:
        return PairedRuns((), own_scores([(systems[0].name, reports[0])]), (), beside)
    metrics = _metrics(request.metrics, reports, systems)
    rows, table = paired(systems, reports, metrics)
    first = [each for each in rows if each.metric == metrics[0]]
    return PairedRuns(tuple(rows), table, tuple(_written(request, systems, first, table)), beside)


def _published(reports: Sequence[Report], names: Sequence[str]) -> tuple[ReportTable, ...]:
    """What others report of the runs' corpus. Raises SettingsError where no source is known that does."""
    corpus = str(reports[0].corpus["name"])
    found = tables_of(corpus)
    if not found:
        raise SettingsError(
            f"no published numbers are kept of {corpus}, only of {listed(corpora())}; leave --published out"
        )
    return tuple(reported_table(each, list(zip(names, reports, strict=True))) for each in found)


def paired(
    systems: Sequence[System], reports: Sequence[Report], metrics: Sequence[str]
) -> tuple[list[PairDifference], ReportTable]:
    """Every two of some systems that can be compared by each metric, in their order, and the table of these."""
    found = [each for metric in metrics for each in pairs(systems, metric)]
    rows = sorted(found, key=lambda each: (_place(each.first, systems), _place(each.second, systems)))
    table = of_pairs.pairs_table(systems, rows, notes(systems, reports))
    if any(report.look for report in reports):
        table = dataclasses.replace(table, title=f"{LOOK}: {table.title}")
    return rows, table


def _line(each: PairDifference) -> str:
    p = "" if each.corrected is None else f", p {each.corrected:.2g}"
    return f"{each.first} less {each.second}: {of_pairs.metric_of(each.metric)} {each.difference:+.4f}{p}"


def _place(name: str, systems: Sequence[System]) -> int:
    return next(k for k, each in enumerate(systems) if each.name == name)


def _systems(request: CompareOptions, results: Sequence[Result]) -> tuple[list[System], list[Report]]:
    """What each run says of the test utterances. Raises SettingsError where a run says nothing, or there is one run."""
    folders = run_folders([expanded(each) for each in request.runs]) if request.runs else []
    loaded = [*map(Result.load, folders), *results]
    names = names_of_runs(folders)
    titles = [each.report.head for each in results]
    names += [f"{title}, result {k}" for k, title in enumerate(titles, start=1)]
    if len(loaded) < (1 if request.published else 2):
        raise SettingsError(
            f"compare takes two runs or more, got {len(loaded)}; those that there are: {advice.command('report')}"
        )
    systems = []
    for name, each in zip(names, loaded, strict=True):
        there: CrossCorpus | None = None if request.on is None else said_there(request.on, each)
        report = each.report
        if there is None and not report.predictions:
            raise SettingsError(
                f"{name} was not tested, so it cannot be compared; leave it out"
                + (", or name with --on what it was tested on" if report.cross_corpus else "")
            )
        systems.append(system_of(report, name, there, by_fold=there is not None and len(report.folds) > 1))
    return systems, [each.report for each in loaded]


def _metrics(asked: Sequence[str], reports: Sequence[Report], systems: Sequence[System]) -> list[str]:
    """The metrics asked for; else the main one, accuracy, and those that epochs were selected by.

    Raises SettingsError for one that the runs do not have.
    """
    target = systems[0].target
    known = [*target.metrics, *(f"{m}:{name}" for m in target.metrics for name in _targets(reports[0]))]
    if asked:
        wanted = [each.replace("-", "_") if ":" not in each else each for each in asked]
        strange = next((each for each in wanted if each not in known), None)
        if strange is not None:
            raise SettingsError(catalog.unknown("metric of these runs", strange, known))
        return list(dict.fromkeys(wanted))
    selected = [str(report.recipe.get("select", "")).removeprefix("dev-") for report in reports]
    usual = [target.main_metric, *(["wa"] if "wa" in known else []), *selected]
    return [metric for metric in dict.fromkeys(usual) if metric in known]


def _targets(report: Report) -> tuple[str, ...]:
    return report.targets if len(report.targets) > 1 else ()


def _written(
    request: CompareOptions, systems: Sequence[System], found: Sequence[PairDifference], table: ReportTable
) -> list[Path]:
    """The plot and the page, where they are asked for, or one line why there is none."""
    if request.plot is None and request.page is None:
        return []
    try:
        figure = pair_plots.matrix(table.title, [each.name for each in systems], found)
    except MissingExtraError as fault:
        warn(str(fault))
        return []
    written = []
    if request.plot is not None:
        stem = expanded(request.plot)
        stem = stem.with_suffix("") if stem.suffix in (".png", ".svg") else stem
        stem.parent.mkdir(parents=True, exist_ok=True)
        written += plots.save(figure, stem)
    if request.page is not None:
        written.append(page.write_table(table, {"pairs": figure}, expanded(request.page)))
    return written


def trained_alike(report: Report, model: Report, name: str | None = None) -> str:
    """The command that trains a run's head on the utterances and folds of another run, as a run of that name."""
    own, theirs = setup_of(report.setup), setup_of(model.setup)
    recipe: Mapping[str, Any] = {}
    defaults: Mapping[str, Any] = {}
    differing: Mapping[str, Any] = {}
    with suppress(UnknownNameError, ContractError):  # a head that is not here: as much as is known of it
        module = file_of(report, None)
        recipe, defaults = dataclasses.asdict(module.RECIPE), head_defaults(module)
        differing = _differing(own, published_setup(module, called(model.corpus)))
    return command_of(
        TrainOptions(
            head=report.head_source[0],
            store=_store(report, model),
            encoder=own.encoder,
            dataset=called(model.corpus),
            task=str(model.corpus["task"]),
            protocol=theirs.protocol,
            dev=own.dev,
            states=own.states,
            normalise=own.normalise,
            clip=own.clip,
            augmented=_beside(report),
            seeds=report.seeds,
            name=name,
            settings=_changed(report.recipe, recipe),
            head_options=_changed(report.options, defaults),
            **differing,
        )
    )


def _store(report: Report, model: Report) -> Path | None:
    """The store of a run that was trained from one it named, where the other run is of the same corpus.

    Where it lies no more where it lay, one of the cache that holds the same; FOLDER where there is none.
    """
    named, digest = report.environment.get("store"), report.features.get("digest")
    is_odd = named is not None or bool(report.features.get("spec", {}).get("augment"))
    if not is_odd or any(report.corpus.get(each) != model.corpus.get(each) for each in ("name", "release")):
        return None
    if named is not None and stores.exists(expanded(named)):
        return Path(named)
    cache = Path(settings.load().value("cache").value).expanduser()
    return next((folder for folder, spec in stores.find(cache) if spec.digest == digest), Path("FOLDER"))


def _differing(own: Setup, usual: Setup) -> dict[str, Any]:
    """What else a run was told, as options of ``train``, where its head was published with something else."""
    found = {name: getattr(own, name) for name in ("frames", "max_frames", "beside", "target", "duplicates")}
    found["finetune_from"] = own.finetune_from or "none"
    published = {**dataclasses.asdict(usual), "finetune_from": usual.finetune_from or "none"}
    return {name: value for name, value in found.items() if value != published[name]}


def _beside(report: Report) -> tuple[str, ...]:
    """As ``--augmented`` takes it, what a run was trained on beside the plain recordings; FOLDER for one of recordings.

    A run knows those folders by what lies in them, not by where they are.
    """
    if report.experiment is None:
        return ()
    # Of text there is one version alone.
    found = next((each.beside for each in report.experiment.inputs if any(each.beside)), ())
    return tuple(augment.written(each) for each in found)


def _changed(values: Mapping[str, Any], usual: Mapping[str, Any]) -> tuple[str, ...]:
    """``name=value`` of what is not as usual, as options write it."""
    shown = {
        name: str(value).lower() if value is None or isinstance(value, bool) else str(value)
        for name, value in values.items()
        if name in usual and usual[name] != value
    }
    return tuple(f"{name}={value}" for name, value in shown.items())
