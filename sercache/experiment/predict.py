"""What the trained heads of a run say of recordings: features as trained, heads as an ensemble.

Recordings go the way of a corpus: into a store (here a temporary one) of the run's own spec, so that its type, clip
rule and statistics are those of the training, and through the view that training reads. For the fold and seed that
tested an utterance the scores are those of the run.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sercache import clips, extraction, settings, stores
from sercache.datasets import Skipped, Utterance
from sercache.errors import AudioError, SettingsError
from sercache.evaluation.cross_corpus import normalised
from sercache.evaluation.scores import mean_of_clips, merge_clips
from sercache.evaluation.sound import audio_of
from sercache.experiment.ensemble import Ensemble, PredictOptions, ensemble
from sercache.experiment.filling import carry_out, plan_for
from sercache.experiment.incoming import arriving, in_windows, recordings
from sercache.experiment.result import Result
from sercache.experiment.test_on import scalings_of, trained_head
from sercache.progress import bar
from sercache.recipe import Setup, inputs
from sercache.record import Report, Run
from sercache.stores import FeatureSpec, FeatureStore
from sercache.training import predict as outputs_of
from sercache.views import FeatureView, open_view, speaker_scaling, stored_entries

_TOGETHER = 64
"""Recordings whose features are made at a time."""


@dataclass(frozen=True)
class Predicted:
    """What the heads say of a recording or of a window of it, or why they cannot."""

    recording: str
    id: str
    """The path, or the id that a manifest gives; with the times of a window."""
    start: float | None
    """Seconds into the recording; None: from its beginning, as the next to its end."""
    end: float | None
    predicted: str | None = None
    """The class with the highest score; None where the task gives numbers."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Of each class its probability, or of each target its number: the mean over the members."""
    spread: Mapping[str, float] | None = None
    """Sample standard deviation of each score over the members; None for one member."""
    agreement: float | None = None
    """Share of the members whose own class is the predicted one."""
    members: int = 0
    """Heads that were asked."""
    trained_on_by: tuple[str, ...] | None = None
    """Members that were trained on this audio (by its digest), written ``fold/seed``; None where it is not known."""
    error: str | None = None
    """Why it could not be predicted."""

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return dataclasses.asdict(self)


@dataclass(frozen=True, eq=False)
class Answers:
    """Records as they are computed."""

    outputs: tuple[str, ...]
    """Classes, or targets of a task that gives numbers."""
    records: Iterator[Predicted]
    """One for each recording or window; without an end where a folder is watched."""


def run(options: PredictOptions, result: Result | None = None) -> Answers:
    """What the heads say, recording by recording; a ``result`` in memory takes the place of the run's folder.

    All that can be checked is checked first. Raises SercacheError.
    """
    if options.watch is not None and options.speaker_statistics is not None:
        raise SettingsError(
            "statistics of a speaker need all of the recordings at once; leave --watch out, or take a run that was "
            "normalised globally or not at all"
        )
    named = options.paths or options.manifest is not None
    given = recordings(options.paths, options.manifest) if named or options.watch is None else []
    chosen = in_windows(given, options.window, options.step)
    watched = None if options.watch is None else arriving(settings.expanded(options.watch))
    members = ensemble(options, result)
    outputs = members.result.report.targets or members.result.report.classes
    return Answers(tuple(outputs), _records(members, chosen, watched, options))


def _records(
    members: Ensemble,
    chosen: Sequence[Utterance],
    watched: Iterator[list[Utterance]] | None,
    options: PredictOptions,
) -> Iterator[Predicted]:
    size = len(chosen) if members.speaker_statistics else _TOGETHER
    with bar(total=len(chosen), desc="predicting", unit="rec") as shown:
        for start in range(0, len(chosen), max(1, size)):
            for each in predicted(members, chosen[start : start + size]):
                shown.update()
                yield each
    for arrived in watched or ():
        yield from predicted(members, in_windows(arrived, options.window, options.step))


def predicted(members: Ensemble, utterances: Sequence[Utterance]) -> list[Predicted]:
    """A record for each of some recordings or windows, in their order."""
    if not utterances:
        return []
    with tempfile.TemporaryDirectory(prefix="sercache-predict-") as folder:
        held, faults = _features(members, utterances, Path(folder))
        ids = [u.id for u in utterances if u.id not in faults]
        said = _said(members, held, ids, {u.id: u for u in utterances}) if ids else {}
        audio = audio_of(held, ids) if ids else None
    trained = _trained_by(members.result.report, members.members)
    records = []
    for u in utterances:
        bare = Predicted(str(u.path), u.id, u.start, u.end)
        if u.id in faults or not np.isfinite(said[u.id]).all():
            reason = faults.get(u.id, "the head gives no finite number for it")
            records.append(dataclasses.replace(bare, error=reason))
            continue
        by = None if audio is None or trained is None else trained(audio[u.id])
        records.append(_merged(bare, said[u.id], members.result.report, by))
    return records


def _features(
    members: Ensemble, utterances: Sequence[Utterance], folder: Path
) -> tuple[list[FeatureStore], dict[str, str]]:
    """A store for each input, and by id why a recording has no features in one of them."""
    held, faults = [], dict[str, str]()
    for k, (encoder, spec) in enumerate(zip(members.encoders, members.specs, strict=True)):
        left = [u for u in utterances if u.id not in faults]
        if not left:
            break
        place = stores.store_path(folder / str(k), spec, "zarr")
        try:
            plan = plan_for(encoder, left, spec, place)
        except AudioError as fault:  # none of them can be used
            if len(left) > 1:
                faults |= _each_alone(members, left, folder)
            else:
                faults[left[0].id] = str(fault).rpartition(f"first: {left[0].id}: ")[2]
            continue
        done = carry_out(plan, encoder, stores.create(place, spec, "zarr"), "zarr")
        store = stores.open(place)
        there, reasons = stored_entries(store), _reasons(done.skipped, spec)
        extraction.record_skips(place, done.skipped)
        for u in left:
            if u.id not in there:
                faults[u.id] = reasons.get(u.id, "has no features")
        held.append(store)
    return held, faults


def _reasons(skipped: Sequence[Skipped], spec: FeatureSpec) -> dict[str, str]:
    """By recording, also of one whose pieces were left out."""
    rule = clips.parse(spec.clip)
    pieces = {clips.utterance_id(each.what, rule): each.reason for each in skipped}
    return pieces | {each.what: each.reason for each in skipped}


def _each_alone(members: Ensemble, utterances: Sequence[Utterance], folder: Path) -> dict[str, str]:
    """Why each of some recordings cannot be used, where none of them can."""
    found: dict[str, str] = {}
    for number, u in enumerate(utterances):
        found |= _features(members, [u], folder / f"alone-{number}")[1]
    return found


def _said(
    members: Ensemble, held: Sequence[FeatureStore], ids: Sequence[str], named: Mapping[str, Utterance]
) -> dict[str, np.ndarray]:
    """By id what each member says: (M, C) probabilities or numbers."""
    own = inputs(members.setup)
    views = [_view(store, each, ids) for store, each in zip(held, own, strict=True)]
    if members.setup.normalise == "speaker":
        together = members.speaker_statistics == "together"
        speakers = {id: "one" if together else named[id].speaker for id in ids}
        views = [view.scaled(speaker_scaling(view, speakers)) for view in views]
    scalings = scalings_of(members.result)
    merge = mean_of_clips if members.result.report.targets else merge_clips
    said: dict[str, list[np.ndarray]] = {id: [] for id in ids}
    for each in members.members:
        view = normalised(views, scalings.get(each.fold, ()))
        head = members.heads.get((each.fold, each.seed))
        if head is None:
            head = trained_head(members.kind, members.result, each.fold, each.seed, view)
            if not any(members.setup.boundaries):  # copies of an encoder would fill the memory
                members.heads[each.fold, each.seed] = head
        for id, row in merge(outputs_of(head, view, device=members.device), view.utterance_ids).items():
            said[id].append(row)
    return {id: np.array(rows) for id, rows in said.items()}


def _view(store: FeatureStore, setup: Setup, ids: Sequence[str]) -> FeatureView:
    return open_view(
        store,
        dict.fromkeys(ids, 0),
        states="all",
        frames=setup.cached_frames,
        max_frames=setup.max_frames,
        skipped=extraction.skips(store.path),
    )


def _merged(bare: Predicted, said: np.ndarray, report: Report, by: tuple[str, ...] | None) -> Predicted:
    """One record of what M members say, (M, C)."""
    names, mean = report.targets or report.classes, said.mean(0)
    best = None if report.targets else int(mean.argmax())
    return dataclasses.replace(
        bare,
        predicted=None if best is None else names[best],
        scores=dict(zip(names, mean.tolist(), strict=True)),
        spread=dict(zip(names, said.std(0, ddof=1).tolist(), strict=True)) if len(said) > 1 else None,
        agreement=None if best is None else float((said.argmax(1) == best).mean()),
        members=len(said),
        trained_on_by=by,
    )


def _trained_by(report: Report, members: Sequence[Run]) -> Any:
    """A function from digests of a recording to the members that were trained on it; None where it is not known.

    A run notes what any of its folds was trained on, and whom each fold tested: the rest of its corpus trained it.
    """
    if report.recordings is None:
        return None
    owners_of: dict[str, list[tuple[str, str]]] = {}
    for each in report.recordings:
        owners_of.setdefault(each.audio, []).append((each.corpus, each.id))
    n_digits = max(map(len, owners_of), default=0)
    tested = {(each.fold, each.id) for each in report.predictions}
    name = report.corpus["name"]

    def by(digests: Sequence[str]) -> tuple[str, ...]:
        owners = [owner for digest in digests for owner in owners_of.get(digest[:n_digits], ())]
        return tuple(
            f"{each.fold}/{each.seed}"
            for each in members
            if any(corpus != name or (each.fold, id) not in tested for corpus, id in owners)
        )

    return by
