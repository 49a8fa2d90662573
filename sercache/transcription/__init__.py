"""Transcripts by a speech recogniser: written into a file as they come, and compared with the corpus' own.

The file is what ``sercache extract --transcripts`` takes, so that text features can come from recognised
words, as in Chen and Zhang (2022), whose Table 1 gives the error rates.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sercache import audio, files, transcripts
from sercache.audio import Remark
from sercache.datasets import Skipped, Utterance
from sercache.errors import AudioError, MissingExtraError, SettingsError
from sercache.transcription._recogniser import Recogniser, load

__all__ = ["ErrorRates", "Recogniser", "Transcription", "error_rates", "load", "normalised", "transcribe"]

_GROUP = 16
"""Utterances after which what was recognised is on disk."""
_EVENTS = re.compile(r"\[[^\]]*\]|<[^>]*>")
"""Marks such as [LAUGHTER], which nobody says."""
_MARKS = re.compile(r"[^\w\s']|_")


@dataclass(frozen=True)
class Transcription:
    """What a run did."""

    n_recognised: int
    n_there: int
    """Utterances that the file held already."""
    skipped: tuple[Skipped, ...]
    remarked: tuple[tuple[str, Remark], ...] = ()
    """Ids of utterances that were recognised, and what is to be known of their recordings."""


@dataclass(frozen=True)
class ErrorRates:
    """Word and character error rate over all words and characters, as shares."""

    n_utterances: int
    wer: float
    cer: float


def transcribe(
    utterances: Sequence[Utterance],
    recogniser: Recogniser,
    path: Path,
    *,
    progress: Callable[[Utterance], None] = lambda utterance: None,
) -> Transcription:
    """Recognise each utterance by itself and append it to the CSV or TSV file at ``path``.

    What the file holds already is not recognised again. Recordings that cannot be read, or are longer than
    the recogniser takes, are skipped and listed. Raises SettingsError for a file of another recogniser.
    """
    there = _there(path, recogniser)
    skipped: list[Skipped] = []
    remarked: list[tuple[str, Remark]] = []
    rows: list[tuple[str, str]] = []
    n_recognised = 0
    try:
        for utterance in utterances:
            if utterance.id in there:
                continue
            text = _recognised(utterance, recogniser, remarked)
            if isinstance(text, Skipped):
                skipped.append(text)
            else:
                rows.append((utterance.id, " ".join(text.split())))
                n_recognised += 1
            progress(utterance)
            if len(rows) >= _GROUP:
                transcripts.append(path, rows)
                rows = []
    finally:
        if rows:
            transcripts.append(path, rows)
    n_there = sum(u.id in there for u in utterances)
    return Transcription(n_recognised, n_there, tuple(skipped), tuple(remarked))


def _recognised(
    utterance: Utterance, recogniser: Recogniser, remarked: list[tuple[str, Remark]]
) -> str | Skipped:
    found: list[Remark] = []
    try:
        wave = audio.read(
            utterance.path, recogniser.sample_rate, utterance.start, utterance.end, found.append
        )
    except AudioError as fault:
        return Skipped(utterance.id, str(fault))
    seconds = len(wave) / recogniser.sample_rate
    longest = recogniser.max_seconds
    if longest is not None and seconds > longest:
        return Skipped(
            utterance.id, f"{seconds:.1f} s is longer than the {longest:g} s that {recogniser.name} takes"
        )
    if len(wave) < recogniser.min_samples:
        return Skipped(utterance.id, f"{seconds:.3f} s is too short for {recogniser.name}")
    remarked += [(utterance.id, remark) for remark in found]
    return recogniser.recognise(wave, utterance.language)


def _there(path: Path, recogniser: Recogniser) -> frozenset[str]:
    """Ids that the file holds, once it is known to be this recogniser's; a line that was cut off is dropped."""
    origin = path.with_name(path.name + ".origin.json")
    if path.exists() and not path.is_file():
        raise SettingsError(f"{path} is no file that transcripts could be added to; choose another --out")
    if path.exists() and path.stat().st_size:
        remedy = f"choose another --out, or delete {path}"
        known = files.read_json(origin, remedy) if origin.exists() else None
        if known != dict(recogniser.identity):
            raise SettingsError(
                f"{path} was not written by {recogniser.name} as it is now; choose another --out, or delete it"
            )
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1]
        if whole != content:
            os.truncate(path, len(whole))
        return frozenset(transcripts.read(path)) if whole.count(b"\n") > 1 else frozenset()
    files.write_json(origin, dict(recogniser.identity))
    transcripts.append(path, ())
    return frozenset()


def normalised(text: str) -> str:
    """Words alone: lower case, without punctuation (apostrophes stay) and without marks of events."""
    return " ".join(_MARKS.sub(" ", _EVENTS.sub(" ", text).casefold()).split())


def error_rates(references: Mapping[str, str], found: Mapping[str, str]) -> ErrorRates:
    """Rates of ``found`` against ``references``, both normalised, over the ids that both have.

    References without a word are left out. Raises MissingExtraError without jiwer, SettingsError where
    nothing is left to compare.
    """
    try:
        import jiwer
    except ImportError as fault:
        raise MissingExtraError(f"error rates need jiwer ({fault}); pip install 'sercache[asr]'") from fault
    ids = [each for each in references if each in found and normalised(references[each])]
    if not ids:
        raise SettingsError("no utterance has both a transcript of the corpus and a recognised one")
    true, said = ([normalised(texts[each]) for each in ids] for texts in (references, found))
    return ErrorRates(len(ids), float(jiwer.wer(true, said)), float(jiwer.cer(true, said)))
