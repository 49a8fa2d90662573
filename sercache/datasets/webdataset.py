"""Any corpus in tars of webdataset: files of one sample share what stands before the first dot of their names.

The format is described at github.com/webdataset/webdataset. Recordings stay in the tars.
"""

from __future__ import annotations

import io
import json
import tarfile
from collections import Counter, deque
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sercache import audio, text
from sercache.datasets import _foreign
from sercache.datasets._corpus import Corpus
from sercache.datasets._described import Described, corpus_of
from sercache.datasets._examples import _interchange
from sercache.datasets._records import CorpusInfo
from sercache.datasets._rows import checked
from sercache.datasets._written import Done, WrittenUtterance, by_part, sharded, suffix_of, told
from sercache.errors import AudioError, CorpusError, TextError

_READER = "webdataset"
_SUFFIXES = (".tar",)
_SOUND = frozenset({"wav", "flac", "ogg", "opus", "mp3", "aiff", "aif", "au", "caf", "w64", "m4a", "audio"})
_TEXTS = {"cls": "label", "emo": "label", "txt": "transcript", "spk": "speaker"}
"""Files of one text -> our column."""
_MOST_BYTES = 2**24
"""Of a file that tells of a sample."""

HOLDS_AUDIO = True
"""The recordings are part of what is written."""

INFO = CorpusInfo(
    title="Tars of webdataset",
    language="any",
    n_speakers=None,
    hours=None,
    licence="as the recordings",
    access="https://github.com/webdataset/webdataset",
    tree=(
        "<root>/*.tar (or --root <one tar>), of each sample KEY.wav (.flac, .mp3, ...) and KEY.json with label and\n"
        "speaker; KEY.cls is a label and KEY.txt a transcript, too"
    ),
    tasks={"label": {}},
    default_task="label",
    official="tars whose names hold train, dev or test",
    own=True,
    notes=(
        "Recordings are read where they lie in the tars; compressed tars (.tar.gz) are to be unpacked once.",
    ),
)


def read(root: Path, name: str = "") -> Corpus:
    """The samples of a tar, or of the tars in the folder ``root``.

    Raises CorpusError for what is no tar, and with the sample for what cannot be read of it.
    """
    boxes = _foreign.candidates(root, _SUFFIXES)
    if not boxes:
        raise _foreign.nothing(_READER, root, "tars (.tar)")
    base = root if root.is_dir() else root.parent
    found: list[tuple[str, dict[str, Any], str]] = []
    columns: dict[str, None] = {}
    remarks: list[str] = []
    for box in boxes:
        for key, files in _samples(box).items():
            cells, said, fault = _cells(box, key, files)
            columns |= dict.fromkeys(said)
            found.append((f"{box.name} {key}", cells, fault))
    counted = Counter(str(cells["id"]) for _, cells, _ in found)
    if any(n > 1 for n in counted.values()):  # keys that begin anew in each tar
        for at, cells, _ in found:
            cells["id"] = f"{Path(at.partition(' ')[0]).stem}/{cells['id']}"
    told = [cells for _, cells, _ in found]
    remarks += _foreign.unused(columns, ("id", "__key__"), base.name)
    remarks += _foreign.without_labels(told, str(root), "label in .json, or .cls")
    rows = deque(checked(cells, root, at, fault=fault) for at, cells, fault in found)
    described = Described(
        root, base, rows, _foreign.release_of_cells(told), tuple(remarks), find=lambda path: base / path
    )
    named = (cells.get("corpus") for cells in told)
    return corpus_of(_foreign.called(name, named, base / "data", _READER), _READER, INFO, described)


def holds(root: Path) -> bool:
    """Whether there are tars at ``root``."""
    try:
        return bool(_foreign.candidates(root, _SUFFIXES))
    except CorpusError:
        return False


def _samples(box: Path) -> dict[str, dict[str, str]]:
    """By key, the members of each sample by what stands behind the first dot. Raises CorpusError."""
    try:
        members = audio.packed_members(box)
    except (AudioError, OSError) as fault:
        raise CorpusError(
            text.one_line(fault) if isinstance(fault, AudioError) else f"{box} cannot be read"
        ) from None
    found: dict[str, dict[str, str]] = {}
    for member in members:
        folder, slash, file = member.rpartition("/")
        key, dot, kind = file.partition(".")
        if dot and key and not any(part.startswith((".", "__MACOSX")) for part in folder.split("/")):
            found.setdefault(f"{folder}{slash}{key}", {})[kind.lower()] = member
    return found


def _cells(box: Path, key: str, files: dict[str, str]) -> tuple[dict[str, Any], list[str], str]:
    """The cells of a sample, the names of what is said of it, and why it cannot be used. Raises CorpusError."""
    sounds = [member for kind, member in files.items() if kind.rpartition(".")[2] in _SOUND]
    said: dict[str, Any] = {}
    for kind, member in files.items():
        last = kind.rpartition(".")[2]
        if last == "json":
            said |= _foreign.parsed(_text(box, member), f"{box} {member}")
        elif last in _TEXTS:
            said.setdefault(_TEXTS[last], _text(box, member).strip())
    values = {name: value for name, value in said.items() if not isinstance(value, dict | list)}
    cells = _foreign.ours({k: v for k, v in values.items() if k not in ("path", "start", "end")})
    cells["id"] = values.get("id") or key
    if part := _foreign.part_of(box.stem):
        cells.setdefault("partition", part)
    cells["path"] = f"{box.name}/{sounds[0] if sounds else key}"
    fault = (
        "" if len(sounds) == 1 else f"expected one recording, got {len(sounds)} (of {', '.join(files)})"[:200]
    )
    return cells, [name for name in values if name not in ("path", "start", "end")], fault


def _text(box: Path, member: str) -> str:
    """A small file of a tar. Raises CorpusError."""
    try:
        with audio.opened(box / member) as file:
            data = file.read(_MOST_BYTES)
        return text.decode(data, f"{box} {member}")
    except TextError as fault:
        raise CorpusError(str(fault)) from None


def write(corpus: Corpus, out: Path, utterances: Sequence[WrittenUtterance], done: Done) -> None:
    """``<part>-000000.tar`` …, of each utterance ``<number>.wav`` (its recording as it is) and ``<number>.json``.

    Numbers are keys, since ids hold dots, behind the first of which webdataset looks for the kind.
    """
    number = 0
    for part, some in by_part(utterances).items():
        for k, shard in enumerate(sharded(some)):
            with tarfile.open(out / f"{part or 'shard'}-{k:06d}.tar", "w") as tar:
                for each in shard:
                    about = json.dumps(told(corpus, each.utterance), ensure_ascii=False)
                    kind = suffix_of(each.file_name)
                    files = {
                        kind if kind in _SOUND else "audio": each.sound(),
                        "json": about.encode("utf-8", "replace"),
                    }
                    for suffix, data in files.items():
                        member = tarfile.TarInfo(f"{number:09d}.{suffix}")
                        member.size, member.mode = len(data), 0o644
                        tar.addfile(member, io.BytesIO(data))
                    number += 1
                    done(1)


example = _interchange.webdataset
