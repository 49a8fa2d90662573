"""`sercache map`: the vectors of a trained head in the plane, a dot for each utterance of a corpus."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from sercache import catalog, files, settings
from sercache.errors import SettingsError
from sercache.evaluation import Data, Extra, gather, normalised, setup_of
from sercache.experiment.cross_corpus import Tested, TestedHeads, other_corpus
from sercache.experiment.export import member
from sercache.experiment.origin import known_origin
from sercache.experiment.places import written_in_turn
from sercache.experiment.result import Result
from sercache.experiment.tails import head_class
from sercache.experiment.test_on import identities, scalings_of, trained_head
from sercache.experiment.vectors import LabelledVectors, check_embeds, embedded, separation
from sercache.progress import used
from sercache.recipe import Setup
from sercache.record import Report, Run
from sercache.report import maps, plots

By = Literal["speaker", "label", "predicted"]
"""What colours the dots."""


@dataclass(frozen=True)
class MapOptions:
    """The options of one call."""

    run: Path
    dataset: str | None = None
    """A corpus, or the folder of a store of it; None: that of ``store``."""
    by: By = "speaker"
    task: str | None = None
    clip: str | None = None
    """Of the cache that is read; None: that of the run, or what there is."""
    fold: str | None = None
    seed: int | None = None
    root: Path | None = None
    cache: Path | None = None
    device: str | None = None
    encoder: str | None = None
    """Where the checkpoint lies, for a run that trained a local one's blocks with its head."""
    head: str | None = None
    """File of the run's head, where the run alone names it or nothing does."""
    store: Path | None = None


@dataclass(frozen=True, eq=False)
class Mapped:
    """Utterances of a corpus in the plane."""

    ids: tuple[str, ...]
    places: np.ndarray
    """(U, 2) by t-SNE of the head's vectors."""
    groups: Mapping[By, tuple[str, ...]]
    """What each utterance belongs to, by rule."""
    silhouette: float | None
    """Mean, by cosine, of the vectors grouped by the rule that was asked for; None for fewer than two groups."""
    member: Run
    """The training whose head it is."""
    written: tuple[Path, ...]
    by: By = "speaker"
    """The rule that was asked for."""

    def plain(self) -> dict[str, Any]:
        """For programs; the places of the utterances are in the CSV that was written."""
        training = {"fold": self.member.fold, "seed": self.member.seed}
        return {"by": self.by, "silhouette": self.silhouette, **training, "written": self.written}


def run(request: MapOptions) -> Mapped:
    """Write ``RUN/map-<corpus>-<by>.png`` and the places as CSV.

    Raises SettingsError for a head without vectors, MissingFeaturesError, and what ``gather`` raises.
    """
    trained = Result.load(request.run, request.head)
    report = trained.report
    check_embeds(report.head, trained.head_file.Head)  # before anything is read
    one = member(report, request.run, request.fold, request.seed)
    if request.by == "predicted" and not report.classes:
        raise SettingsError(f"{request.run} predicts numbers, which are no groups; choose another --by")
    name, ids, vectors, groups = _vectors(request, trained, one)
    labels = groups[request.by]
    if set(labels) == {""}:
        raise SettingsError(f"{name} names no {request.by} of its utterances; choose another --by")
    used("embedded", f"{len(ids)} utterances by fold {one.fold}, seed {one.seed}")
    places = maps.tsne(vectors)
    stem = request.run / f"map-{catalog.file_name(name)}-{request.by}"
    title = f"{report.title}\n{name} by {request.by}, fold {one.fold}, seed {one.seed}"
    figure, table = maps.place_map([("", places, labels)], title), stem.with_name(f"{stem.name}.csv")
    with written_in_turn(request.run, stem.name):  # pictures and table are of one call
        drawn = plots.save(figure, stem)
        _write(table, ids, places, groups)
    apart = separation(LabelledVectors(vectors, labels))
    return Mapped(ids, places, groups, apart.mean if apart else None, one, (*drawn, table), request.by)


def _vectors(
    request: MapOptions, trained: Result, one: Run
) -> tuple[str, tuple[str, ...], np.ndarray, dict[By, tuple[str, ...]]]:
    """Name of the corpus, ids, vectors (U, D) and the name of each utterance's group by each rule."""
    known, report = settings.load(), trained.report
    setup, extra = _material(request, report)
    specs = [each.spec for each in extra.stores]
    kind = head_class(trained.head_file, setup, specs, report.recipe)
    here = replace(setup, task=extra.task, target=None, protocol="all", dev="none")
    part = gather(Data(extra.corpus, extra.stores), here).main
    view = normalised(part.inputs, scalings_of(trained).get(one.fold, ()))
    head = trained_head(kind, trained, one.fold, one.seed, view)
    device = settings.resolve_device(known.value("device", request.device).value)
    vectors, outputs = embedded(head, view, device)
    labels = part.truth.labels
    ids = tuple(view.utterance_ids)
    predicted = tuple(report.classes[k] for k in outputs.argmax(1)) if report.classes else ()
    return extra.corpus.name, ids, vectors, {
        "speaker": tuple(part.speakers.get(each, "") for each in ids),
        "label": tuple(labels.get(each, "") for each in ids),
        "predicted": predicted,
    }  # fmt: skip


def _material(request: MapOptions, report: Report) -> tuple[Setup, Extra]:
    """What the head reads of the corpus, and where it lies."""
    known = settings.load()
    cache = Path(known.value("cache", request.cache).value).expanduser()
    setup = replace(setup_of(report.setup), encoder=report.features["spec"]["encoder"], test_on=())
    setup = replace(setup, clip=request.clip or setup.clip)
    extra = other_corpus(
        Tested(request.dataset, request.root, request.store),
        request.task,
        TestedHeads(report.head, setup, report.corpus["task"], identities(report)),
        known,
        cache,
        clip_is_chosen=request.clip is not None,
    )
    # A run with --finetune-from needs the checkpoint itself; the store remembers where it lay.
    origin = known_origin(extra.store.path)
    return replace(
        setup, dataset=extra.corpus.name, encoder=request.encoder or origin.get("encoder", setup.encoder)
    ), extra


def _write(
    path: Path, ids: tuple[str, ...], places: np.ndarray, groups: Mapping[By, tuple[str, ...]]
) -> None:
    """One line an utterance: where its dot lies, who speaks, its class and what the head says."""
    there = {name: labels for name, labels in groups.items() if labels}
    rows = zip(ids, *places.T.tolist(), *there.values(), strict=True)
    files.write_csv(path, [["id", "x", "y", *there], *rows])
