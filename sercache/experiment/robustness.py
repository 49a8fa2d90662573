"""`sercache robustness`: the heads of a run on their own test parts under noise, in rooms, through codecs."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sercache import advice, augment, files, settings, stores
from sercache.augment import Augmentation
from sercache.datasets import Corpus
from sercache.errors import MissingExtraError, MissingFeaturesError, SettingsError
from sercache.evaluation import setup_of, under_condition
from sercache.experiment import extract
from sercache.experiment.augmented_stores import conditions, found_store
from sercache.experiment.labels import read_labels
from sercache.experiment.origin import is_usual, known_origin
from sercache.experiment.result import Result
from sercache.experiment.tails import head_class
from sercache.experiment.test_on import scalings_of, trained_head
from sercache.progress import bar, used, warn
from sercache.recipe import Setup, inputs
from sercache.record import Report
from sercache.report import ReportTable, UnderCondition, conditions_figure, conditions_table, html, plots
from sercache.statistics import PairDifference, holm, pairs, system_of
from sercache.stores import FeatureSpec, FeatureStore

FOLDER = "robustness"
"""In a run's folder, what this writes."""


@dataclass(frozen=True)
class RobustnessOptions:
    """The options of one call."""

    run: Path
    augment: Sequence[str]
    """Conditions, as sercache.augment writes them; lists by commas are several."""
    root: Path | None = None
    cache: Path | None = None
    device: str | None = None
    encoder: str | None = None
    """Where the checkpoint lies, where the run's features do not remember that."""
    head: str | None = None
    """File of the run's head, where the run alone names it or nothing does."""


@dataclass(frozen=True, repr=False)
class Robustness:
    """A run as it was tested, and under each condition."""

    conditions: tuple[UnderCondition, ...]
    """The first as it was tested."""
    table: ReportTable
    written: tuple[Path, ...]
    """Files beside the run; none of a run that was not saved."""

    def __repr__(self) -> str:
        """One line for each condition."""
        return self.table.text

    def _repr_html_(self) -> str:
        """The table, for notebooks."""
        return html(self.table)

    def plain(self) -> dict[str, Any]:
        """All of it but the predictions as JSON values."""
        rows = []
        for each in self.conditions:
            summary = {name: dataclasses.asdict(found) for name, found in each.report.summary.items()}
            pair = (
                None
                if each.pair is None
                else {**dataclasses.asdict(each.pair), "difference": each.pair.difference}
            )
            digest = each.report.features.get("digest")
            rows.append({"condition": each.name, "features": digest, "scores": summary, "pair": pair})
        return {"title": self.table.title, "conditions": rows, "notes": list(self.table.notes)}


def run(request: RobustnessOptions, trained: Result | None = None) -> Robustness:
    """Test a run under every condition, extract what the cache lacks, and write table and curves into its folder.

    ``trained`` in memory takes the place of the folder. Raises SettingsError where the run was not tested or kept no
    weights, MissingFeaturesError where its features are not in the cache, AudioError.
    """
    asked = conditions(request.augment)
    if not asked:
        raise SettingsError("name a condition with --augment: noise:snr=20,10,5,0")
    trained = trained or Result.load(request.run, request.head)
    report = trained.report
    if not report.predictions:
        raise SettingsError(
            f"{trained.folder or 'this result'} was not tested, so there is nothing to test it on"
        )
    known = settings.load()
    cache = Path(known.value("cache", request.cache).value).expanduser()
    used("run", f"{trained.folder or 'in memory'}: {report.title}")
    setup = setup_of(report.setup)
    own = _own_stores(report, setup, cache)
    corpus = read_labels(None, request.root, known, cache, own[0].path)
    # A run with --finetune-from needs the checkpoint itself; the store remembers where it lay.
    encoder = request.encoder or known_origin(own[0].path).get("encoder", report.features["spec"]["encoder"])
    setup = dataclasses.replace(setup, encoder=encoder)
    kind = head_class(trained.head_file, setup, [each.spec for each in own], report.recipe)
    device = settings.resolve_device(known.value("device", request.device).value)
    found: list[Report] = []
    # All features first: what cannot be extracted ends the command before anything is predicted.
    read = [[_store(each, condition, corpus, request, cache) for each in own] for condition in asked]
    with bar(total=len(report.runs) * len(asked), desc="predicting", unit="model") as models:
        for there in read:
            one = under_condition(
                report,
                corpus,
                there,
                setup,
                partial(trained_head, kind, trained),
                scalings_of(trained),
                device=device,
                progress=lambda _: models.update(),
            )
            found.append(
                dataclasses.replace(one, features={**report.features, "digest": there[0].spec.digest})
            )
    tested = _compared(report, asked, found)
    table = conditions_table(tested)
    return Robustness(tuple(tested), table, tuple(_written(trained.folder, tested, table)))


def _own_stores(report: Report, setup: Setup, cache: Path) -> list[FeatureStore]:
    """Of each input the store that the run read, or another that holds the same. Raises MissingFeaturesError."""
    found = []
    for features, own in zip(
        (report.features, *report.features.get("beside", ())), inputs(setup), strict=True
    ):
        spec = FeatureSpec.from_json(features["spec"])
        need = dataclasses.replace(spec, states=tuple(features["states"]), frames=own.cached_frames)
        held = [folder for folder, other in stores.find(cache) if other.digest == spec.digest]
        held += [
            folder
            for folder, other in stores.find(cache)
            if (other.corpus, other.release) == (spec.corpus, spec.release) and need.is_held_by(other)
        ]
        if not held:
            listing = advice.command("info", cache=None if is_usual(cache) else cache)
            raise MissingFeaturesError(
                f"the cache {cache} has no features of {spec.shown} x {spec.corpus} as this run read them, so how they "
                f"were made is not known; name another cache with --cache ({listing} lists this one)"
            )
        found.append(stores.open(held[0]))
    return found


def _store(
    own: FeatureStore, condition: Augmentation, corpus: Corpus, request: RobustnessOptions, cache: Path
) -> FeatureStore:
    """The store of an input under a condition, extracted where the cache lacks it; of text the same as ever."""
    found = found_store(own, condition, corpus, cache, own.ids())
    if found is not None:
        return found
    folder = extract.run(_extraction(own, condition, request, cache))
    return stores.open(folder)


def _extraction(
    own: FeatureStore, condition: Augmentation, request: RobustnessOptions, cache: Path
) -> extract.ExtractOptions:
    """What makes the store of a condition: what made the run's own, on augmented recordings."""
    origin = known_origin(own.path)
    if not origin:
        raise MissingFeaturesError(
            f"{own.path} does not say what made it; extract the condition yourself, with --augment {condition}"
        )
    fields = {field.name for field in dataclasses.fields(extract.ExtractOptions)}
    asked = extract.ExtractOptions(**{key: value for key, value in origin.items() if key in fields})
    return dataclasses.replace(
        asked,
        encoder=request.encoder or asked.encoder,
        root=request.root or (None if asked.root is None else Path(asked.root)),
        cache=cache,
        device=request.device or own.spec.identity.get("device"),
        for_head=None,
        states=",".join(own.spec.states),
        clip=own.spec.clip,
        augment=str(condition),
        pooled_only=not own.spec.frames,
        dtype=own.spec.dtype,
    )


def _compared(report: Report, asked: Sequence[Augmentation], found: Sequence[Report]) -> list[UnderCondition]:
    """Each condition with its difference from the run as it was tested."""
    spec = FeatureSpec.from_json(report.features["spec"])
    as_tested = f"as tested ({augment.said(spec.augment)})" if spec.augment else "clean"
    own = system_of(report, as_tested)
    told: list[PairDifference] = []
    for condition, each in zip(asked, found, strict=True):
        told += pairs([system_of(each, str(condition)), own], report.main_metric)
    tests = [each.test for each in told if each.test is not None]
    ps: list[float | None] = (
        [*holm([each.p for each in tests])] if len(tests) == len(told) else [None] * len(told)
    )
    return [
        UnderCondition(None, as_tested, report),
        *(
            UnderCondition(condition, str(condition), each, dataclasses.replace(pair, corrected=p))
            for condition, each, pair, p in zip(asked, found, told, ps, strict=True)
        ),
    ]


def _written(folder: Path | None, tested: Sequence[UnderCondition], table: ReportTable) -> list[Path]:
    """The table, what it is made of, and the curves, in the run's folder."""
    if folder is None:
        return []
    stem = folder / FOLDER / FOLDER
    stem.parent.mkdir(exist_ok=True)
    written = table.write(stem)
    record = Robustness(tuple(tested), table, ()).plain()
    files.write_json(stem.with_suffix(".json"), record)
    written.append(stem.with_suffix(".json"))
    try:
        written += plots.save(conditions_figure(tested), stem)
    except MissingExtraError as fault:
        warn(str(fault))
    return written
