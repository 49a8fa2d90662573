"""What the trained heads of a run say of recordings: features as trained, heads as an ensemble.

Recordings go the way of a corpus: into a store (here a temporary one) of the run's own spec, so that its type, clip
rule and statistics are those of the training, and through the view that training reads. For the fold and seed that
tested an utterance the scores are those of the run.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from sercache import extraction, settings
from sercache.datasets import Utterance
from sercache.errors import SettingsError
from sercache.evaluation import audio_of, mean_of_clips, merge_clips, normalised
from sercache.experiment import spoken
from sercache.experiment.arriving import arriving, listed
from sercache.experiment.corpora import cache_if_any, read_corpus
from sercache.experiment.ensemble import Ensemble, PredictOptions, ensemble, trained_by
from sercache.experiment.incoming import (
    Asked,
    check_not_asked,
    check_windows,
    in_windows,
    of_corpus,
    recordings,
)
from sercache.experiment.predict_features import features_of
from sercache.experiment.result import Result
from sercache.experiment.test_on import scalings_of, trained_head
from sercache.progress import bar
from sercache.recipe import Setup, inputs
from sercache.record import Report
from sercache.stores import FeatureStore
from sercache.training import predict as outputs_of
from sercache.views import FeatureView, open_view, speaker_scaling

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
    true: str | None = None
    """Its class as the corpus says that is predicted (``dataset``)."""
    true_values: Mapping[str, float] | None = None
    """Its numbers as the corpus says, of a task that gives such."""
    error: str | None = None
    """Why it could not be predicted."""

    def to_json(self) -> dict[str, Any]:
        """As plain values; what a corpus says is left out where it says nothing."""
        found = dataclasses.asdict(self)
        return {name: v for name, v in found.items() if v is not None or not name.startswith("true")}


@dataclass(frozen=True, eq=False)
class Answers:
    """Records as they are computed."""

    outputs: tuple[str, ...]
    """Classes, or targets of a task that gives numbers."""
    is_numeric: bool
    records: Iterator[Predicted]
    """One for each recording or window; without an end where a folder is watched."""


def run(options: PredictOptions, result: Result | None = None, stream: IO[Any] | None = None) -> Answers:
    """What the heads say, recording by recording; a ``result`` in memory takes the place of the run's folder.

    ``stream`` names further recordings (see ``arriving.listed``): each is answered as it comes. All that can be checked
    is checked first. Raises SercacheError.
    """
    result = result or Result.load(options.run, options.head)
    check_windows(options.window, options.step)
    asked = _asked(options, result)
    if not asked and options.watch is None and stream is None:
        raise SettingsError(_NOTHING)
    watched = None if options.watch is None else arriving(settings.expanded(options.watch))
    members = ensemble(options, result)
    outputs = members.result.report.targets or members.result.report.classes
    coming: Iterator[list[Asked]] = itertools.chain([asked], _of_stream(stream, bool(asked)), watched or ())
    if members.speaker_statistics:
        coming = iter([[each for some in coming for each in some]])
    if options.transcripts is not None:
        with_words = spoken.given(options.transcripts)
        coming = (list(map(with_words, some)) for some in coming)
    total = len(asked) if options.window is None and stream is None and watched is None else None
    return Answers(
        tuple(outputs), bool(members.result.report.targets), _records(members, coming, options, total)
    )


_NOTHING = (
    "no recordings are named; give files, folders, - for paths on standard input, --manifest or --dataset"
)


def check_out(options: PredictOptions, out: Path) -> None:
    """Raise SettingsError where ``out`` is among what is to be read."""
    named = [*options.paths, options.manifest, options.transcripts, options.watch]
    check_not_asked(out, [each for each in named if each is not None])


def _asked(options: PredictOptions, result: Result) -> list[Asked]:
    """What the options name. Raises SercacheError."""
    if options.watch is not None and options.speaker_statistics is not None:
        raise SettingsError(
            "statistics of a speaker need all of the recordings at once; leave --watch out, or take a run that was "
            "normalised globally or not at all"
        )
    asked = recordings(options.paths, options.manifest)
    if options.dataset is None:
        if options.task is not None or options.root is not None:
            raise SettingsError("--task and --root are of a corpus; name it with --dataset")
        return asked
    known = settings.load()
    corpus, _ = read_corpus(options.dataset, options.root, known, cache_if_any(known, options.cache))
    return [*asked, *of_corpus(corpus, result.report, options.task, asked)]


def _of_stream(stream: IO[Any] | None, is_more: bool) -> Iterator[list[Asked]]:
    """Recordings that a stream names. Raises SettingsError at its end where it and the options named none."""
    for some in listed(stream) if stream is not None else ():
        is_more = is_more or bool(some)
        yield some
    if stream is not None and not is_more:
        raise SettingsError("standard input ended without naming a recording; give a path on each line")


def _records(
    members: Ensemble, coming: Iterable[list[Asked]], options: PredictOptions, total: int | None
) -> Iterator[Predicted]:
    with bar(total=total, desc="predicting", unit="rec") as shown:
        for some in coming:
            asked = in_windows(some, options.window, options.step)
            size = None if members.speaker_statistics else _TOGETHER
            while chunk := list(itertools.islice(asked, size)):
                for each in predicted(members, chunk):
                    shown.update()
                    yield each


def predicted(members: Ensemble, asked: Sequence[Asked]) -> list[Predicted]:
    """A record for each of some recordings or windows, in their order."""
    # By numbers: names may be equal, hold any byte, and look like those of pieces.
    found = {
        str(k): dataclasses.replace(each.utterance, id=str(k))
        for k, each in enumerate(asked)
        if each.fault is None
    }
    faults = {str(k): each.fault for k, each in enumerate(asked) if each.fault is not None}
    said, audio = dict[str, np.ndarray](), None
    if found:
        with tempfile.TemporaryDirectory(prefix="sercache-predict-") as folder:
            held, unfit = features_of(members, list(found.values()), Path(folder))
            faults |= unfit
            ids = [id for id in found if id not in faults]
            said = _said(members, held, ids, found) if ids else {}
            audio = audio_of(held, ids) if ids else None
    trained = trained_by(members.result.report, members.members)
    records = []
    for k, each in enumerate(asked):
        id, u = str(k), each.utterance
        bare = Predicted(str(u.path), u.id, u.start, u.end, true=each.true, true_values=each.true_values)
        if id in faults or not np.isfinite(said[id]).all():
            reason = faults.get(id, "the head gives no finite number for it")
            records.append(dataclasses.replace(bare, error=_for_predict(reason)))
            continue
        by = None if audio is None or trained is None else trained(audio[id])
        records.append(_merged(bare, said[id], members.result.report, by))
    return records


def _for_predict(reason: str) -> str:
    """A reason with the option of this command, where extraction would name one of its own."""
    return re.sub(r"use --clip split:([\d.]+).*", r"use --window \1", reason)


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
