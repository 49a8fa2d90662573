"""A corpus check-up: what a copy holds, how it differs from what is published, which files are broken.

``check_up(corpus, deep=..., progress=...) -> CheckUp`` looks, and changes nothing. A finding is a
problem where numbers obtained with the copy would be wrong or could not be compared; all else is a note.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Iterable, Sequence

from sercache.checkup._completeness import compare, counts, part
from sercache.checkup._copies import same_audio, same_bytes
from sercache.checkup._files import Examined, examine, odd_ones
from sercache.checkup._lines import lines_of
from sercache.checkup._records import KINDS, AudioSummary, Bin, CheckUp, Count, Finding
from sercache.datasets import Corpus, Utterance
from sercache.machine import cores
from sercache.parallel import spread

__all__ = ["KINDS", "AudioSummary", "Bin", "CheckUp", "Count", "Finding", "check_up", "lines_of", "part"]

_EDGES = (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 7.5, 10.0, 15.0, 20.0, 30.0)
"""Seconds at which the bins of the histogram begin; the last is open."""
_FIELDS = (
    "speaker",
    "group",
    "partition",
    "sentence",
    "transcript",
    "sex",
    "language",
    "soft_label",
    "attributes",
    "ratings",
)


def check_up(
    corpus: Corpus, *, deep: bool = False, progress: Callable[[int], object] | None = None
) -> CheckUp:
    """The state of this copy of a corpus.

    Headers alone are read, and the bytes of files that could be copies of each other; ``deep`` decodes
    every utterance. ``progress`` is called with the number of files done since its last call.
    """
    files = _by_file(corpus.utterances)
    cpus = cores()
    # Reading headers is waiting for the disk, so more threads than processors; decoding is arithmetic.
    workers = cpus if deep else min(32, 4 * cpus)
    examined = list(spread(lambda us: examine(us, corpus.root, deep), files, workers, progress))
    comparisons, reference, findings = compare(corpus)
    findings += [finding for file in examined for finding in file.findings]
    findings += odd_ones(examined, corpus.root)
    findings += same_audio(examined) if deep else same_bytes(examined, corpus.root, workers)
    return CheckUp(
        corpus=corpus.name,
        release=corpus.release,
        root=str(corpus.root),
        title=corpus.info.title,
        licence=corpus.info.licence,
        access=corpus.info.access,
        task=corpus.info.default_task,
        deep=deep,
        n_utterances=len(corpus.utterances),
        n_files=len(files),
        sound=_sound(corpus, examined),
        comparisons=comparisons,
        reference=reference,
        counts=counts(corpus, reference),
        known={field: sum(bool(getattr(u, field)) for u in corpus.utterances) for field in _FIELDS},
        n_speakers_published=corpus.info.n_speakers,
        skipped=corpus.skipped,
        findings=tuple(sorted(findings, key=lambda f: (list(KINDS).index(f.kind), f.ids))),
    )


def _by_file(utterances: Iterable[Utterance]) -> list[list[Utterance]]:
    """Utterances that lie in one file together, in corpus order."""
    files: dict[object, list[Utterance]] = {}
    for utterance in utterances:
        files.setdefault(utterance.path, []).append(utterance)
    return list(files.values())


def _sound(corpus: Corpus, examined: Sequence[Examined]) -> AudioSummary:
    """Durations and formats of what could be read."""
    seconds = sorted(s.seconds for file in examined for s in file.stretches)
    whole = [file.info for file in examined if file.info is not None]
    return AudioSummary(
        hours=sum(seconds) / 3600,
        hours_published=corpus.info.hours,
        shortest=seconds[0] if seconds else None,
        median=statistics.median(seconds) if seconds else None,
        longest=seconds[-1] if seconds else None,
        histogram=_histogram(seconds),
        rates=dict(Counter(info.rate for info in whole).most_common()),
        channels=dict(Counter(info.channels for info in whole).most_common()),
    )


def _histogram(seconds: Sequence[float]) -> tuple[Bin, ...]:
    """Utterances by duration, from the first bin that holds one to the last."""
    ends = (*_EDGES[1:], None)
    bins = [
        Bin(start, end, sum(start <= s and (end is None or s < end) for s in seconds))
        for start, end in zip(_EDGES, ends, strict=True)
    ]
    filled = [k for k, each in enumerate(bins) if each.n]
    return tuple(bins[filled[0] : filled[-1] + 1]) if filled else ()
