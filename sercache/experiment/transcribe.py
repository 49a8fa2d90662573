"""What a speech recogniser hears in a corpus, in a file of transcripts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sercache import audio, settings, transcription, transcripts
from sercache.datasets import Corpus, Skipped, Utterance
from sercache.errors import AudioError, MissingExtraError, SettingsError
from sercache.experiment.corpora import cache_if_any, read_corpus
from sercache.experiment.options import Count
from sercache.experiment.selection import chosen_utterances
from sercache.progress import bar, say, used, warn
from sercache.transcription import ErrorRates


@dataclass(frozen=True)
class TranscribeOptions:
    """The options of one call."""

    model: str
    dataset: str
    out: Path
    root: Path | None = None
    cache: Path | None = None
    device: str | None = None
    revision: str | None = None
    task: str | None = None
    language: str | None = None
    limit: Count | None = None


@dataclass(frozen=True)
class Transcribed:
    """What was recognised, now and before."""

    path: Path
    """The file that holds it."""
    texts: Mapping[str, str]
    """By utterance."""
    n_recognised: int
    n_there: int
    """Utterances that the file held already."""
    skipped: tuple[Skipped, ...]
    rates: ErrorRates | None
    """Beside the corpus' own transcripts, where it has some."""

    def plain(self) -> dict[str, Any]:
        """For programs; the texts are in the file."""
        return {name: held for name, held in vars(self).items() if name != "texts"}


def run(request: TranscribeOptions, corpus: Corpus | None = None, *, strict: bool = True) -> Transcribed:
    """Transcribe as asked; a ``corpus`` in memory takes the place of its name.

    Raises SercacheError; AudioError at the end where recordings were skipped, if it is to be ``strict``.
    """
    known = settings.load()
    cache = cache_if_any(known, request.cache)
    device = known.value("device", request.device)
    if corpus is None:
        corpus, _ = read_corpus(request.dataset, request.root, known, cache)
    corpus.check_recordings()
    utterances = chosen_utterances(corpus, request.task, request.language, request.limit)
    used("device", f"{settings.resolve_device(device.value)}  ({device.source})")
    recogniser = transcription.load(
        request.model, revision=request.revision, device=settings.resolve_device(device.value)
    )
    used("model", f"{recogniser.name}, greedy")
    used("out", str(request.out))
    with bar(total=len(utterances), desc="recognising", unit="utt") as shown:
        result = transcription.transcribe(
            utterances, recogniser, request.out, progress=lambda utterance: shown.update()
        )
    there = f", {result.n_there} were there" if result.n_there else ""
    say(f"done: {result.n_recognised} utterances recognised{there}, in {request.out}")
    rates = _compare(utterances, request.out)
    for line in audio.counted(result.remarked):
        warn(line)
    for item in result.skipped[:20]:
        warn(f"skipped {item.what}: {item.reason}")
    if result.skipped and strict:
        raise AudioError(
            f"{len(result.skipped)} of {len(utterances)} recordings could not be recognised; the rest is written"
        )
    is_any = result.n_recognised or result.n_there
    texts = transcripts.read(request.out) if is_any else {}
    return Transcribed(request.out, texts, result.n_recognised, result.n_there, result.skipped, rates)


def _compare(utterances: list[Utterance], out: Path) -> ErrorRates | None:
    """The error rates, where the corpus says what is said; told."""
    references = {u.id: u.transcript for u in utterances if u.transcript}
    if not references:
        return None
    try:
        rates = transcription.error_rates(references, transcripts.read(out))
    except (MissingExtraError, SettingsError) as fault:
        warn(f"no error rates: {fault}")
        return None
    used(
        "errors",
        f"WER {100 * rates.wer:.2f} %, CER {100 * rates.cer:.2f} % over {rates.n_utterances} utterances (lower case, "
        "without punctuation)",
    )
    return rates
