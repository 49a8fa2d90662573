"""Any corpus in a data folder of Kaldi: ``wav.scp``, ``segments``, ``utt2spk``, ``text``, ``utt2emo`` and kin.

The format is described in Kaldi's "Data preparation" (kaldi-asr.org/doc/data_prep.html); ``utt2emo`` is a custom.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from sercache.datasets import _foreign
from sercache.datasets._corpus import Corpus
from sercache.datasets._described import Described, base_of, corpus_of
from sercache.datasets._examples import _interchange
from sercache.datasets._files import entries
from sercache.datasets._records import CorpusInfo
from sercache.datasets._rows import COLUMNS, TIMES, checked
from sercache.datasets._written import Done, WrittenUtterance, told
from sercache.errors import CorpusError

_READER = "kaldi"
_RECORDINGS = "wav.scp"
_LABELS = ("utt2emo", "utt2emotion", "utt2label", "emotion")
"""Files of labels; the first that a folder has is taken."""
_STANDARD = {"utt2spk": "speaker", "text": "transcript", "utt2lang": "language"}
_OWN = {f"utt2{column}": column for column in COLUMNS if column not in ("path", "label", *TIMES)}
"""Files that are none of Kaldi: what it has no file for, and what its own files could not hold as it is."""
_UTTERANCES = {**_STANDARD, **_OWN}
"""Files of a value for each utterance -> our column; later ones go before earlier ones."""
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
        "Files utt2group, utt2partition, utt2sex and so on, which are none of Kaldi, are read too.",
    ),
)


def read(root: Path, name: str = "") -> Corpus:
    """The utterances of a data folder, or of the data folders in ``root``.

    Raises CorpusError, with file and line, for lines that cannot be read, and for recordings that are commands.
    """
    folders = _find(root)
    told_of: list[tuple[str, dict[str, str]]] = []
    paths: list[str] = []
    remarks: list[str] = []
    for folder in folders:
        recordings = _recordings(folder)
        paths += recordings.values()
        part = _foreign.part_of(folder.name)
        for where, cells in _cells(folder, recordings):
            told_of.append((where, {**cells, "partition": cells.get("partition") or part}))
    texts = [cells for _, cells in told_of]
    if texts and all(cells.get("speaker") == cells["key"] for cells in texts):
        remarks.append("every utterance is a speaker of its own: so Kaldi says that speakers are not known")
        for cells in texts:
            del cells["speaker"]
    rows = [checked(_foreign.ours(cells), root, where) for where, cells in told_of]
    if not rows:
        raise CorpusError(f"{folders[0] / _RECORDINGS} holds no recording; write a line ID PATH for each")
    files = [path for folder in folders for path in sorted(folder.iterdir()) if path.name in _USED]
    described = Described(
        root,
        base_of(folders[0], paths),
        deque(rows),
        _foreign.release_of(files),
        (*remarks, *_foreign.without_labels(texts, str(root), f"a file {_LABELS[0]}")),
    )
    said = (cells.get("corpus") for cells in texts)
    return corpus_of(_foreign.called(name, said, root / "data", _READER), _READER, INFO, described)


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
    said = {file: _lines(folder / file) for file in _UTTERANCES if (folder / file).is_file()}
    labels = next((folder / file for file in _LABELS if (folder / file).is_file()), None)
    if labels is not None:
        said[labels.name] = _lines(labels)
    column = dict.fromkeys(_LABELS, "label") | _UTTERANCES
    sexes = _lines(folder / "spk2gender") if (folder / "spk2gender").is_file() else {}
    place = f"{folder.name}/{segments.name if segments.is_file() else _RECORDINGS}"
    rows = []
    for key, (where, cells) in found.items():
        cells = {"key": key, "id": key, **cells} | {
            column[file]: each[key][1] for file, each in said.items() if key in each
        }
        speaker = said["utt2spk"][key][1] if key in said.get("utt2spk", {}) else ""
        if "sex" not in cells and speaker in sexes:
            cells["sex"] = sexes[speaker][1]
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


def write(corpus: Corpus, out: Path, utterances: Sequence[WrittenUtterance], done: Done) -> None:
    """``wav.scp``, ``segments`` where there are some, ``utt2spk``, ``spk2utt``, ``text``, ``utt2emo`` and so on.

    Utterances are called as Kaldi wants them, the speaker first and without spaces; ``utt2id`` has their ids. Raises
    CorpusError for a path that Kaldi would run.
    """
    strange = next((each.path for each in utterances if each.path.strip().endswith("|")), None)
    if strange is not None:
        raise CorpusError(
            f"{strange}: Kaldi runs what ends in |; rename the recording, or write another format"
        )
    is_cut = any(not each.is_whole for each in utterances)
    recordings = {
        path: f"rec-{number:07d}"
        for number, path in enumerate(dict.fromkeys(each.path for each in utterances))
    }
    files: dict[str, dict[str, str]] = {}
    for each in utterances:
        said = told(corpus, each.utterance)
        speaker = _word(str(said.get("speaker", "")))
        name = _word(each.utterance.id)
        key = name if not speaker or name.startswith(speaker) else f"{speaker}-{name}"
        speaker = speaker or key
        values = {"utt2spk": speaker, "utt2emo": said.pop("label", "")}
        values |= {file: str(said.get(column, "")) for file, column in _STANDARD.items() if file != "utt2spk"}
        shown = {"id": key, "speaker": speaker if "speaker" in said else ""}
        left = {
            f"utt2{name}": str(value)
            for name, value in said.items()
            if name not in _STANDARD.values() or name == "speaker"
        }
        values |= {file: value for file, value in left.items() if value != shown.get(file[4:])}
        values |= {"segments": f"{recordings[each.path]} {each.start:.9g} {each.end:.9g}"} if is_cut else {}
        for file, value in values.items():
            files.setdefault(file, {})[key] = " ".join(value.split())
        files.setdefault("wav.scp", {})[recordings[each.path] if is_cut else key] = each.path
        if sex := each.utterance.sex.lower():
            files.setdefault("spk2gender", {})[speaker] = sex
        done(1)
    members: dict[str, list[str]] = {}
    for key, speaker in files["utt2spk"].items():
        members.setdefault(speaker, []).append(key)
    files["spk2utt"] = {speaker: " ".join(sorted(keys, key=str.encode)) for speaker, keys in members.items()}
    for file, values in files.items():
        lines = sorted((f"{key} {value}\n" for key, value in values.items() if value), key=str.encode)
        if lines:
            (out / file).write_bytes("".join(lines).encode("utf-8", "replace"))


def _word(name: str) -> str:
    """A name as one word: spaces, which end a word, and % are percent-encoded."""
    return re.sub(r"[\s%]", lambda found: quote(found[0]), name)


example = _interchange.kaldi
