"""A corpus as other tools describe it: its table, and its recordings where the format holds them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from sercache import audio, datasets, extraction, files
from sercache.datasets import Corpus, Utterance, WrittenUtterance
from sercache.errors import AudioError, CorpusError, DiskSpaceError, SettingsError
from sercache.progress import bar, used, warn
from sercache.units import listed, size

_AUDIO = "audio"
"""Folder of copies of recordings."""
_SPARE_BYTES = 2**26


def write(corpus: Corpus, form: str, out: Path, *, copy_audio: bool = False) -> Path:
    """Write a corpus to ``out`` in a format of ``datasets.writers()``, whole or not at all. Gives ``out``.

    ``copy_audio``: with copies of the recordings, named relative to ``out``. Raises SettingsError where ``out`` exists,
    CorpusError where the format cannot say something, MissingExtraError, DiskSpaceError.
    """
    writer = datasets.writers()[form]
    corpus.check_recordings()
    if out.exists():
        raise SettingsError(f"{out} exists already; choose another folder with --out")
    is_packed = getattr(writer, "HOLDS_AUDIO", False)
    known = _probed(corpus)
    usable = [u for u in corpus.utterances if u.path in known]
    if not usable:
        raise CorpusError(f"{corpus.name}: none of its recordings can be read, so there is nothing to write")
    held = is_packed or copy_audio or any(audio.packed_in(u.path) for u in usable)
    used("to", f"{out}  ({form}, {len(usable)} utterances)")
    used("licence", f"{corpus.info.licence}  (of the recordings)")
    if held:
        _check_room(out, usable)
    with (
        files.new_folder(out) as temporary,
        files.write_faults_named(out, "choose another folder with --out"),
        bar(desc=f"writing {form}", total=len(usable), unit="utterance") as done,
    ):
        names = _copied(usable, corpus, temporary) if held and not is_packed else {}
        written = [
            WrittenUtterance(u, names.get(u.path) or str(u.path.absolute()), known[u.path]) for u in usable
        ]
        writer.write(corpus, temporary, written, done.update)
    for line in _left_out(corpus):
        warn(line)
    used("written", f"{out}; it is read as --dataset {form}:{corpus.name} --root {out}")
    return out


def check_form(form: str | None, others: Iterable[str]) -> str:
    """``form``, where a corpus can be written so. Raises SettingsError, also for ``others``, which are of stores."""
    known = sorted(datasets.writers())
    if form in known:
        return str(form)
    what = "say what to make of a corpus" if form is None else f"a corpus is not written as {form}"
    if form is not None and form in others:
        what += ", which is of a store"
    raise SettingsError(f"{what}; --to takes {', '.join(known)}")


def _probed(corpus: Corpus) -> Mapping[Path, audio.AudioInfo]:
    """What the headers of the recordings say; those that cannot be read are told."""
    found: dict[Path, audio.AudioInfo] = {}
    faults: list[str] = []
    paths = list(dict.fromkeys(u.path for u in corpus.utterances))
    with bar(desc="reading headers", total=len(paths), unit="recording") as done:
        for path in paths:
            try:
                found[path] = audio.probe(path)
            except AudioError as fault:
                faults.append(str(fault))
            done.update(1)
    if faults:
        warn(f"{len(faults)} recordings are left out, first: {faults[0]}")
    return found


def _check_room(out: Path, utterances: Iterable[Utterance]) -> None:
    needed = sum(audio.n_bytes(path) for path in {u.path for u in utterances}) + _SPARE_BYTES
    free = extraction.free_bytes(out)
    if needed > free:
        raise DiskSpaceError(f"{out} needs {size(needed)} and its disk has {size(free)} free")


def _copied(utterances: Iterable[Utterance], corpus: Corpus, out: Path) -> dict[Path, str]:
    """Copies of the recordings below ``out``, and how each is named from there."""
    names: dict[Path, str] = {}
    taken: set[str] = set()
    for path in dict.fromkeys(u.path for u in utterances):
        inside = path.relative_to(corpus.root) if path.is_relative_to(corpus.root) else Path(path.name)
        name = f"{_AUDIO}/{inside.as_posix()}"
        if name in taken or ".." in inside.parts:
            name = f"{_AUDIO}/{len(names):07d}{path.suffix}"
        taken.add(name)
        names[path] = name
        target = out / name
        target.parent.mkdir(parents=True, exist_ok=True)
        with audio.opened(path) as source, target.open("wb") as copy:
            shutil.copyfileobj(source, copy)
    return names


def _left_out(corpus: Corpus) -> list[str]:
    """A line on what no format here holds, or none."""
    what = {
        "shares of raters": sum(bool(u.soft_label) for u in corpus.utterances),
        "single raters": sum(bool(u.ratings) for u in corpus.utterances),
    }
    found = [f"{name} of {n} utterances" for name, n in what.items() if n]
    return [f"not written, since the format has no place for it: {listed(found)}"] if found else []
