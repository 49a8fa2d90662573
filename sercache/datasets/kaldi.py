"""Any corpus in a data folder of Kaldi: ``wav.scp``, ``segments``, ``utt2spk``, ``text``, ``utt2emo`` and kin.

The format is described in Kaldi's "Data preparation" (kaldi-asr.org/doc/data_prep.html); ``utt2emo`` is a custom.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sercache.datasets import _foreign
from sercache.datasets._corpus import Corpus
from sercache.datasets._described import Described, base_of, corpus_of
from sercache.datasets._examples import _interchange
from sercache.datasets._files import entries
from sercache.datasets._records import CorpusInfo
from sercache.datasets._rows import CheckedRow, checked
from sercache.errors import CorpusError

_READER = "kaldi"
_RECORDINGS = "wav.scp"
_LABELS = ("utt2emo", "utt2emotion", "utt2label", "emotion")
"""Files of labels; the first that a folder has is taken."""
_UTTERANCES = {
    "utt2spk": "speaker",
    "utt2group": "group",
    "utt2session": "group",
    "text": "transcript",
    "utt2lang": "language",
    "utt2part": "partition",
    "utt2sex": "sex",
    "utt2id": "id",
}
"""Files of a value for each utterance -> our column."""
_OPEN_END = ("-1", "-1.0")
"""Ends of segments that mean the end of the recording."""

INFO = CorpusInfo(
    title="A data folder of Kaldi",
    language="any",
    n_speakers=None,
    hours=None,
    licence="as the recordings",
    access="https://kaldi-asr.org/doc/data_prep.html",
    tree=(
        "<root>/wav.scp and, where there are: segments, utt2spk, text, utt2emo, spk2gender, utt2lang\n"
        "or <root>/train, dev, test with these files; paths are relative to that folder or up to three above it"
    ),
    tasks={"label": {}},
    default_task="label",
    official="the folders train, dev and test",
    own=True,
    notes=(
        f"Labels come from {', '.join(_LABELS)}, of which the first that is there is taken.",
        "Commands in wav.scp are not run and archives (.ark) not opened: write the recordings as files.",
        "utt2group, utt2part, utt2sex and utt2id, which are no files of Kaldi, are read too.",
    ),
)


def read(root: Path, name: str = "") -> Corpus:
    """The utterances of a data folder, or of the data folders in ``root``.

    Raises CorpusError, with file and line, for lines that cannot be read, and for recordings that are commands.
    """
    folders = _find(root)
    rows: list[CheckedRow] = []
    texts: list[dict[str, str]] = []
    paths: list[str] = []
    for folder in folders:
        recordings = _recordings(folder)
        paths += recordings.values()
        part = _foreign.part_of(folder.name)
        for where, cells in _cells(folder, recordings):
            cells |= {"partition": cells.get("partition") or part}
            texts.append(cells)
            rows.append(checked(_foreign.ours(cells), root, where))
    if not rows:
        raise CorpusError(f"{folders[0] / _RECORDINGS} holds no recording; write a line ID PATH for each")
    files = [path for folder in folders for path in sorted(folder.iterdir()) if path.name in _USED]
    described = Described(
        root,
        base_of(folders[0], paths),
        tuple(rows),
        _foreign.release_of(files),
        tuple(_foreign.without_labels(texts, str(root), f"a file {_LABELS[0]}")),
    )
    return corpus_of(_foreign.called(name, (), root / "data", _READER), _READER, INFO, described)


def holds(root: Path) -> bool:
    """Whether there is a data folder at ``root``."""
    try:
        return bool(_find(root))
    except CorpusError:
        return False


_USED = (_RECORDINGS, "segments", "spk2gender", *_LABELS, *_UTTERANCES)


def _find(root: Path) -> list[Path]:
    """The data folders that ``root`` means."""
    if (root / _RECORDINGS).is_file():
        return [root]
    found = [each for each in entries(root) if (each / _RECORDINGS).is_file()] if root.is_dir() else []
    if not found:
        raise _foreign.nothing(_READER, root, f"a folder with {_RECORDINGS}")
    return found


def _recordings(folder: Path) -> dict[str, str]:
    """Path of each recording. Raises CorpusError where it is a command: what a table says is never run."""
    lines = _lines(folder / _RECORDINGS)
    commands = {key: path for key, (_, path) in lines.items() if path.endswith("|") or path.startswith("|")}
    if commands:
        key, command = next(iter(commands.items()))
        raise CorpusError(
            f"{folder / _RECORDINGS} {lines[key][0]}: {command[:80]!r} is a command, which is not run "
            f"({len(commands)} of {len(lines)} recordings are); write the recordings as files, and their paths here"
        )
    return {key: path for key, (_, path) in lines.items()}


def _cells(folder: Path, recordings: Mapping[str, str]) -> list[tuple[str, dict[str, str]]]:
    """Where each utterance stands, and what is said of it."""
    segments = folder / "segments"
    if segments.is_file():
        found = {
            key: (where, _segment(where, rest, segments, recordings))
            for key, (where, rest) in _lines(segments).items()
        }
    else:
        lines = _lines(folder / _RECORDINGS)
        found = {key: (lines[key][0], {"path": path}) for key, path in recordings.items()}
    told = {
        column: _lines(folder / file) for file, column in _UTTERANCES.items() if (folder / file).is_file()
    }
    labels = next((folder / file for file in _LABELS if (folder / file).is_file()), None)
    if labels is not None:
        told["label"] = _lines(labels)
    sexes = _lines(folder / "spk2gender") if (folder / "spk2gender").is_file() else {}
    place = f"{folder.name}/{segments.name if segments.is_file() else _RECORDINGS}"
    rows = []
    for key, (where, cells) in found.items():
        cells = {"id": key, **cells} | {column: each[key][1] for column, each in told.items() if key in each}
        if "sex" not in cells and cells.get("speaker") in sexes:
            cells["sex"] = sexes[cells["speaker"]][1]
        rows.append((f"{place} {where}", cells))
    return rows


def _segment(where: str, rest: str, table: Path, recordings: Mapping[str, str]) -> dict[str, str]:
    """Recording, start and end of a segment. Raises CorpusError."""
    parts = rest.split()
    if len(parts) not in (3, 4):  # the fourth is a channel
        raise CorpusError(
            f"{table} {where}: expected a recording, start and end (s) behind the utterance, got {rest[:60]!r}"
        )
    if parts[0] not in recordings:
        raise CorpusError(f"{table} {where}: {parts[0][:60]!r} is no recording of {_RECORDINGS}")
    end = "" if parts[2] in _OPEN_END else parts[2]
    return {"path": recordings[parts[0]], "start": parts[1], "end": end}


def _lines(path: Path) -> dict[str, tuple[str, str]]:
    """By the first word of each line, where it stands and the rest of it. Raises CorpusError."""
    content = _foreign.read(path)
    if content and not content.endswith(("\n", "\r")):
        raise CorpusError(
            f"{path}: its last line does not end, so it may be cut short; end it by a line feed where it is whole"
        )
    found: dict[str, tuple[str, str]] = {}
    for number, line in enumerate(content.replace("\r\n", "\n").split("\n"), start=1):
        key, _, rest = line.strip().replace("\t", " ").partition(" ")
        if not key:
            continue
        if key in found:
            raise CorpusError(
                f"{path} line {number}: {key[:60]!r} stands in {found[key][0]} already; keep one"
            )
        found[key] = (f"line {number}", rest.strip())
    return found


example = _interchange.kaldi
