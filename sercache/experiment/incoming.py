"""Recordings that a user names: files, folders, a table, a corpus; whole or by windows."""

from __future__ import annotations

import dataclasses
import os
import stat
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from sercache import audio, settings
from sercache.datasets import Corpus, Utterance, manifest
from sercache.errors import AudioError, SettingsError
from sercache.evaluation import as_trained, cross_corpus_task, read_truth
from sercache.progress import warn
from sercache.record import Report

SUFFIXES = (
    ".wav", ".flac", ".mp3", ".ogg", ".oga", ".opus", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".w64", ".rf64",
    ".sph", ".nist", ".voc", ".wv",
)  # fmt: skip
"""Of files that are taken from a folder; a file that is named itself may be called as it likes."""
_UNREAD = (".m4a", ".mp4", ".aac", ".wma", ".amr", ".3gp", ".webm", ".mka", ".ape", ".mpc")
"""Of recordings that libsndfile does not read: each gets the reason, none is passed over."""
_KINDS = (
    (stat.S_ISFIFO, "is a pipe"),
    (stat.S_ISSOCK, "is a socket"),
    (stat.S_ISCHR, "is a device"),
    (stat.S_ISBLK, "is a device"),
    (stat.S_ISDIR, "is a folder"),
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A recording that is to be predicted, whole or a stretch of it, or why it cannot be."""

    utterance: Utterance
    fault: str | None = None
    true: str | None = None
    """Its class, where a corpus says that."""
    true_values: Mapping[str, float] | None = None
    """Its numbers, of a task that gives such."""


def recordings(paths: Sequence[str | Path], table: Path | None = None) -> list[Asked]:
    """The recordings below files and folders, each once, then those of a manifest.

    What cannot be a recording is kept with its reason. Raises CorpusError for a table that cannot be read.
    """
    found = {str(each.utterance.path): each for given in paths for each in below(settings.expanded(given))}
    rows = [] if table is None else manifest.read(settings.expanded(table)).utterances
    return [*found.values(), *_beside(found, [Asked(u) for u in rows], "manifest")]


def of_corpus(corpus: Corpus, report: Report, task: str | None, given: Sequence[Asked] = ()) -> list[Asked]:
    """All of a corpus, with what ``task`` says of it: by default the one that is called as the run's, or its own.

    Raises UnknownNameError for a task that the corpus does not have.
    """
    task = task or cross_corpus_task(corpus, report.corpus["task"])
    if corpus.is_numeric(task) != bool(report.targets):
        kind = "numbers" if report.targets else "classes"
        warn(
            f"task {corpus.task_name(task)} of {corpus.name} has no {kind}, so nothing true stands beside them"
        )
        asked = [Asked(u) for u in corpus.utterances]
    else:
        truth = read_truth(corpus, (), task)
        truth = truth if report.targets else as_trained(corpus.name, truth, report.classes)
        labels, names = truth.labels, truth.target.names
        numbers = {
            id: dict(zip(names, value, strict=True))
            for id, value in truth.values.items()
            if isinstance(value, tuple)
        }
        asked = [Asked(u, None, labels.get(u.id), numbers.get(u.id)) for u in corpus.utterances]
    return _beside({each.utterance.id for each in given}, asked, corpus.name)


def _beside(taken: Iterable[str], asked: Sequence[Asked], source: str) -> list[Asked]:
    """With ids that are not taken yet."""
    there = set(taken)
    return [
        dataclasses.replace(
            each, utterance=dataclasses.replace(each.utterance, id=f"{each.utterance.id} ({source})")
        )
        if each.utterance.id in there
        else each
        for each in asked
    ]


def below(path: Path) -> list[Asked]:
    """A file, or the recordings in a folder by name; hidden ones (of programs that still write) are left out."""
    try:
        is_folder = path.is_dir()
    except (OSError, ValueError) as fault:  # a name with a zero byte, or too long a one
        return [_unfit(path, f"cannot be looked at ({getattr(fault, 'strerror', None) or fault})")]
    if not is_folder:
        return [one(path)]
    found = list(inside(path))
    return found or [
        _unfit(path, f"holds no recordings; expected files that end with {', '.join(SUFFIXES[:5])}, …")
    ]


def check_not_asked(out: Path, given: Iterable[str | Path]) -> None:
    """Raise SettingsError where ``out`` is among what is to be read: it would be written over."""
    for path in map(Path, given):
        inside_it = path.is_dir() and out.resolve().is_relative_to(path.resolve())
        if out.exists() and (
            out.resolve() == path.resolve() or (inside_it and out.suffix.lower() in SUFFIXES)
        ):
            raise SettingsError(f"--out {out} is to be read; choose another file with --out")


def one(path: Path) -> Asked:
    """A file, unless it is something that would never end, or does not exist; nothing is opened."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return _unfit(path, "is a link to nothing" if path.is_symlink() else "there is no such file")
    except (OSError, ValueError) as fault:
        return _unfit(path, f"cannot be read ({getattr(fault, 'strerror', None) or fault})")
    for is_kind, words in _KINDS:
        if is_kind(mode):
            return _unfit(path, f"{words}, not a recording")
    return Asked(Utterance(str(path), path, "", ""))


def inside(folder: Path) -> Iterator[Asked]:
    """Recordings below a folder, by name, links to folders followed once; and what lies there that cannot be read."""
    seen: set[tuple[int, int]] = set()
    closed: list[Asked] = []

    def unread(fault: OSError) -> None:
        closed.append(_unfit(Path(str(fault.filename)), f"cannot be looked into ({fault.strerror})"))

    for place, folders, names in os.walk(folder, onerror=unread, followlinks=True):
        try:
            state = Path(place).stat()
        except OSError:  # it went away meanwhile
            continue
        if (state.st_dev, state.st_ino) in seen:  # a link back
            folders.clear()
            continue
        seen.add((state.st_dev, state.st_ino))
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith(".") and Path(name).suffix.lower() in (*SUFFIXES, *_UNREAD):
                yield one(Path(place) / name)
        yield from closed
        closed.clear()
    yield from closed


def _unfit(path: Path, reason: str) -> Asked:
    return Asked(Utterance(str(path), path, "", ""), f"{path}: {reason}")


def check_windows(seconds: float | None, step: float | None) -> None:
    """Raises SettingsError for windows that leave gaps or have no length."""
    if seconds is None:
        if step is not None:
            raise SettingsError("a step is between windows; name their length with --window")
        return
    step = seconds if step is None else step
    if not 0 < step <= seconds < float("inf"):
        raise SettingsError(
            f"windows of {seconds:g} s every {step:g} s leave gaps or have no length; expected 0 < step <= window"
        )


def in_windows(asked: Iterable[Asked], seconds: float | None, step: float | None = None) -> Iterator[Asked]:
    """Each recording as stretches of ``seconds``, one every ``step``; the last one ends with the recording.

    Those that are no longer than one window, or cannot be read, stay whole.
    """
    for each in asked:
        if seconds is None or each.fault is not None:
            yield each
            continue
        for utterance in _windows(each.utterance, seconds, step or seconds):
            yield dataclasses.replace(each, utterance=utterance)


def _windows(utterance: Utterance, seconds: float, step: float) -> list[Utterance]:
    begin = utterance.start or 0.0
    try:
        info = audio.probe(utterance.path)
    except AudioError:
        return [utterance]
    end = min(info.n_samples / info.rate, float("inf") if utterance.end is None else utterance.end)
    if end - begin <= seconds:
        return [utterance]
    n = int((end - begin - seconds) / step + 1e-9) + 1
    starts = [begin + k * step for k in range(n)]
    if starts[-1] + seconds < end - 1 / info.rate:
        starts.append(end - seconds)
    spans = [(round(a, 6), round(min(a + seconds, end), 6)) for a in starts]
    return [
        dataclasses.replace(utterance, id=f"{utterance.id}[{a:.3f}-{b:.3f}]", start=a, end=b)
        for a, b in spans
    ]
