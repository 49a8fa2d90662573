"""What a recogniser hears in a corpus: a file of transcripts beside a paper's tables, made once for all its trials."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sercache import audio, encoders, files, settings, transcription, transcripts
from sercache.datasets import Utterance
from sercache.errors import MissingMaterialError
from sercache.experiment.selection import chosen_utterances
from sercache.progress import bar, used, warn
from sercache.record import digest_of
from sercache.reproduction.place import Place, corpus_of, done_by_one

_NAMED = 5
"""Recordings left out that are named."""


@dataclass(frozen=True)
class Recognised:
    """A finished file of transcripts."""

    path: Path
    digest: str
    """Of its content: stores that were made from it bear it."""


def recognised(recogniser: str, dataset: str, place: Place) -> Recognised:
    """The transcripts of all utterances that the default task of a corpus labels, recognised where they are missing.

    Recordings that the recogniser cannot take have none. Raises MissingMaterialError where texts are missing and
    nothing may be computed, EncoderError for a recogniser that cannot be had.
    """
    corpus, _ = corpus_of(dataset, place)
    path = place.folder / "transcripts" / f"{_name(recogniser)}-{dataset}.csv"
    ids = corpus.members()
    if not _is_whole(path, ids):
        if not place.may_extract:
            raise MissingMaterialError(
                f"{corpus.info.title}: {path} lacks what {recogniser} recognises in it; leave --no-extract out"
            )
        with done_by_one(f"transcripts-{path.stem}", place):
            if not _is_whole(path, ids):
                corpus.check_recordings()
                _recognise(recogniser, chosen_utterances(corpus, None), path, place)
    digest = transcripts.digest(transcripts.read(path))
    place.recognised.add(digest)
    return Recognised(path, digest)


def _name(recogniser: str) -> str:
    """A name for files: that of a folder of the user's tells it from others that are called alike."""
    if recogniser in encoders.short_names():
        return recogniser
    return f"{Path(recogniser).name}-{digest_of(encoders.absolute(recogniser))[:8]}"


def _left_out(path: Path) -> Path:
    """The file that says which recordings have no transcript, and why."""
    return path.with_name(path.name + ".skipped.json")


def _is_whole(path: Path, ids: Sequence[str]) -> bool:
    """Whether there is a transcript of every utterance, but for those that are known to have none."""
    if not path.exists() or not _left_out(path).exists():
        return False
    skipped = files.read_json(_left_out(path), f"delete it to recognise what {path} lacks")
    return set(ids) <= {*transcripts.read(path), *skipped}


def _recognise(recogniser: str, utterances: Sequence[Utterance], path: Path, place: Place) -> None:
    """Write the transcripts, then what was left out: only with both is the work done."""
    device = settings.resolve_device(place.device)
    model = transcription.load(recogniser, device=device)
    used("texts", f"{model.name}, greedy, {device}, {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    with bar(total=len(utterances), desc="recognising", unit="utt") as shown:
        done = transcription.transcribe(utterances, model, path, progress=lambda _: shown.update())
    for line in audio.counted(done.remarked):
        warn(line)
    for item in done.skipped[:_NAMED]:
        warn(f"no transcript of {item.what}: {item.reason}")
    if len(done.skipped) > _NAMED:
        warn(f"and {len(done.skipped) - _NAMED} more")
    files.write_json(_left_out(path), {item.what: item.reason for item in done.skipped})
