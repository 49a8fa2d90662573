"""Any corpus in tables of SpeechBrain: CSV with ``ID`` and ``wav``, or JSON of an object for each utterance.

As ``speechbrain.dataio.dataio`` reads them: ``load_data_csv``, ``load_data_json`` and ``read_audio``.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sercache import audio, tables
from sercache.datasets import _foreign
from sercache.datasets._corpus import Corpus
from sercache.datasets._described import Described, Find, base_of, corpus_of
from sercache.datasets._examples import _interchange
from sercache.datasets._names import Names
from sercache.datasets._records import CorpusInfo
from sercache.datasets._rows import CheckedRow, checked
from sercache.datasets._written import Done, WrittenUtterance, by_part, told
from sercache.errors import AudioError, CorpusError, TextError
from sercache.files import write_csv

_READER = "speechbrain"
_SUFFIXES = (".csv", ".json")
_PATHS = ("wav", "wav_path", "wav_file", "file_path", "audio", "path")
"""What recipes call a recording; the first that a row has is taken."""
_NOT_NEEDED = (
    "duration",
    "length",
    "stop",
    "wav_format",
    "wav_opts",
    "spk_id_format",
    "spk_id_opts",
    *_PATHS,
)
_PLACEHOLDER = re.compile(r"^(\$[\w.]+|\{[\w.]+\})(?=[/\\]|$)")
"""Before a path: the folder that a recipe puts in its place."""

_BEGINNING = re.compile(r'\ufeff?\s*\{\s*"[^"]*"\s*:\s*\{')
"""Of a JSON object of objects."""

INFO = CorpusInfo(
    title="Tables of SpeechBrain",
    language="any",
    n_speakers=None,
    hours=None,
    licence="as the recordings",
    access="https://speechbrain.readthedocs.io",
    tree=(
        "<root>/train.csv, valid.csv, test.csv with ID and wav, or .json (or --root <one file>)\n"
        "{data_root} and $data_root before a path are that folder or up to three above it"
    ),
    tasks={"label": {}},
    default_task="label",
    official="the files that are called train, valid, dev or test",
    own=True,
    notes=(
        "Labels come from emo, emotion or label, speakers from spk_id or speaker.",
        "start and stop are samples of the recording, as read_audio has them.",
    ),
)


def read(root: Path, name: str = "") -> Corpus:
    """The utterances of a table, or of the tables in the folder ``root``.

    Raises CorpusError, with file and row, for rows that cannot be read.
    """
    files = _find(root)
    told = [(f"{path.name} {where}", row, path) for path in files for where, row in _rows(path)]
    if not told:
        raise CorpusError(f"{files[0]} holds no utterance; write a row with ID and wav for each")
    cells = [_cells(row, path, where) for where, row, path in told]
    folder = root if root.is_dir() else root.parent
    base = base_of(folder, (each["path"] for each in cells))
    find = Names(base).find
    rows = deque(_row(each, find, root, where) for each, (where, _, _) in zip(cells, told, strict=True))
    columns = dict.fromkeys(key for _, row, _ in told for key in row)
    place = files[0].name if len(files) == 1 else str(root)
    warnings = [
        *_foreign.unused(columns, _NOT_NEEDED, place),
        *_foreign.without_labels(cells, place, "a column emo, emotion or label"),
    ]
    described = Described(root, base, rows, _foreign.release_of(files), tuple(warnings))
    table = files[0] if len(files) == 1 else folder / "data"
    called = _foreign.called(name, (each.get("corpus") for each in cells), table, _READER)
    return corpus_of(called, _READER, INFO, described)


def holds(root: Path) -> bool:
    """Whether there are tables of SpeechBrain at ``root``."""
    try:
        return bool(_find(root))
    except CorpusError:
        return False


def _find(root: Path) -> list[Path]:
    """The tables that ``root`` means: of a folder those that are SpeechBrain's."""
    found = _foreign.candidates(root, _SUFFIXES)
    found = [path for path in found if _is_table(path)]
    if not found:
        raise _foreign.nothing(_READER, root, "a table .csv with ID and wav, or .json")
    kinds = {path.suffix.lower() for path in found}
    if len(kinds) > 1:
        raise CorpusError(
            f"{_READER}: {root} has tables of {' and '.join(sorted(kinds))}, which may say the same; point --root at "
            "one of them, or keep one kind"
        )
    return found


def _is_table(path: Path) -> bool:
    if path.suffix.lower() == ".csv":
        columns = _foreign.header(path)
        return "id" in columns and bool(columns & set(_PATHS[:-1]))
    try:
        with path.open("rb") as file:
            head = file.read(2**16).decode("utf-8", "replace")
    except OSError:
        return False
    return _BEGINNING.match(head) is not None and any(f'"{key}"' in head for key in _PATHS)


def _rows(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """``line 3`` (of JSON the id) and the values of each row. Raises CorpusError."""
    content = _foreign.read(path)
    if path.suffix.lower() == ".csv":
        try:
            table = tables.parse(content, path, ("id", *_PATHS), padded=True)
        except TextError as fault:
            raise CorpusError(str(fault)) from None
        return [(f"line {row.line}", {k: v.strip() for k, v in row.cells.items()}) for row in table.rows]
    found = _foreign.parsed(content, path)
    odd = next((key for key, value in found.items() if not isinstance(value, dict)), None)
    if odd is not None:
        raise CorpusError(
            f"{path}: expected an object for each utterance, got {found[odd]!r} for {odd!r}"[:300]
        )
    return [(f"{key!r}", {"id": key, **value}) for key, value in found.items()]


def _cells(row: Mapping[str, Any], path: Path, where: str) -> dict[str, Any]:
    """The cells of our columns, with times in samples as ``start`` and ``stop``. Raises CorpusError."""
    said = next((row[key] for key in _PATHS if row.get(key)), None)
    cells = _foreign.ours({key: value for key, value in row.items() if key not in (*_PATHS, "start", "end")})
    times = row
    if isinstance(said, dict):  # as read_audio takes it
        times, said = said, said.get("file")
    if not isinstance(said, str) or not said:
        raise CorpusError(
            f"{path.parent / where}: expected the path of a recording in wav, got {said!r}"[:300]
        )
    part = _foreign.part_of(path.stem)
    if part:
        cells.setdefault("partition", part)
    cells["path"] = _PLACEHOLDER.sub("", said.strip()).lstrip("/\\") if _PLACEHOLDER.match(said) else said
    for name in ("start", "stop"):
        if times.get(name) not in (None, ""):
            cells[name] = times[name]
    return cells


def _row(cells: dict[str, Any], find: Find, root: Path, where: str) -> CheckedRow:
    """A row with its times in seconds, for which the header of its recording is read."""
    first, last = cells.pop("start", 0), cells.pop("stop", None)
    try:
        first, last = int(str(first)), int(str(first if last is None else last))
    except ValueError:
        fault = f"expected whole samples as start and stop, got {first!r} and {last!r}"[:200]
        return checked(cells, root, where, fault=fault)
    if first < 0 or last < first:
        fault = f"expected 0 <= start <= stop in samples, got {first} and {last}"
        return checked(cells, root, where, fault=fault)
    path = find(str(cells["path"])) if first or last else ""
    if not isinstance(path, Path):  # all of it, or there is none, which is told later
        return checked(cells, root, where)
    try:
        info = audio.probe(path)
    except AudioError as unread:
        return checked(cells, root, where, fault=str(unread))
    if first:
        cells["start"] = first / info.rate
    if first < last < info.n_samples:  # equal: to the end
        cells["end"] = last / info.rate
    return checked(cells, root, where)


def write(corpus: Corpus, out: Path, utterances: Sequence[WrittenUtterance], done: Done) -> None:
    """A CSV for each part (``train``, ``valid``, ``test``), or ``data.csv``."""
    rows = {each.utterance.id: _line(corpus, each) for each in utterances}
    columns = [
        *_WRITTEN,
        *dict.fromkeys(name for row in rows.values() for name in row if name not in _WRITTEN),
    ]
    columns = [name for name in columns if any(row.get(name, "") != "" for row in rows.values())]
    for part, some in by_part(utterances).items():
        chosen = [rows[each.utterance.id] for each in some]
        name = {"": "data", "dev": "valid"}.get(part, part)
        write_csv(
            out / f"{name}.csv", [columns, *([row.get(each, "") for each in columns] for row in chosen)]
        )
        done(len(some))


_WRITTEN = ("ID", "duration", "wav", "start", "stop", "spk_id", "emo")


def _line(corpus: Corpus, each: WrittenUtterance) -> dict[str, Any]:
    """A row, whose times are samples. Raises CorpusError where SpeechBrain would take a text for a placeholder."""
    said, info = told(corpus, each.utterance), each.info
    first = round(each.start * info.rate)
    row = {
        "ID": said.pop("id"), "duration": each.end - each.start, "wav": each.path, "start": first,
        "stop": min(round(each.end * info.rate), info.n_samples), "spk_id": said.pop("speaker", ""),
        "emo": said.pop("label", ""),
    } | said  # fmt: skip
    strange = next(
        (value for value in row.values() if isinstance(value, str) and _VARIABLE.search(value)), None
    )
    if strange is not None:
        raise CorpusError(
            f"{each.utterance.id}: SpeechBrain takes a word behind $ for a placeholder, got {strange[:60]!r}; write "
            "another format"
        )
    return row


_VARIABLE = re.compile(r"\$[\w.]")


example = _interchange.speechbrain
