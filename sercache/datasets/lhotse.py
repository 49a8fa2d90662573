"""Any corpus in manifests of lhotse: recordings and supervisions, as JSON lines, also in gzip.

As ``lhotse.RecordingSet`` and ``lhotse.SupervisionSet`` write them (lhotse.readthedocs.io).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sercache.catalog import file_name
from sercache.datasets import _foreign, _ids
from sercache.datasets._corpus import Corpus
from sercache.datasets._described import Described, base_of, corpus_of
from sercache.datasets._examples import _interchange
from sercache.datasets._records import CorpusInfo
from sercache.datasets._rows import CheckedRow, checked
from sercache.datasets._written import Done, WrittenUtterance, by_part, told
from sercache.errors import CorpusError

_READER = "lhotse"
_SUFFIXES = (".jsonl", ".jsonl.gz")
_RECORDINGS, _SUPERVISIONS = "recordings", "supervisions"
_DIGITS = 9
"""Decimal places of a second that are kept where start and duration are added."""
_SLACK = 1.5
"""Samples that a supervision of a whole recording may be longer or shorter than it: durations are rounded."""

INFO = CorpusInfo(
    title="Manifests of lhotse",
    language="any",
    n_speakers=None,
    hours=None,
    licence="as the recordings",
    access="https://lhotse.readthedocs.io",
    tree=(
        "<root>/recordings.jsonl.gz and supervisions.jsonl.gz, or pairs <corpus>_recordings_<part>.jsonl.gz and\n"
        "<corpus>_supervisions_<part>.jsonl.gz (or --root <one of these files>); not compressed: .jsonl"
    ),
    tasks={"label": {}},
    default_task="label",
    official="pairs of manifests whose names hold train, dev or test",
    own=True,
    notes=(
        "Labels come from emotion, emo or label in custom of a supervision, as what else is said there.",
        "Recordings that are commands, addresses or bytes are left out; nothing is run and nothing fetched.",
        "Channels are averaged: supervisions of some channels of several are left out.",
    ),
)


def read(root: Path, name: str = "") -> Corpus:
    """The supervisions of a pair of manifests, or of the pairs in the folder ``root``.

    Raises CorpusError, with file and line, for lines that cannot be read.
    """
    pairs = _find(root)
    rows: list[CheckedRow] = []
    remarks: list[str] = []
    cells: list[dict[str, Any]] = []
    for recordings, supervisions in pairs:
        known = _recordings(recordings)
        used = set()
        for where, line in _foreign.json_lines(supervisions):
            at = f"{supervisions.name} {where}"
            mine, fault, recording = _supervision(line, known, supervisions, where)
            used.add(recording)
            cells.append(mine)
            rows.append(checked(mine, root, at, fault=fault))
        without = sorted(set(known) - used)
        if without:
            remarks.append(
                f"{len(without)} recordings have no supervision, first: {without[0]}; they are left out"
            )
    if not rows:
        raise CorpusError(f"{pairs[0][1]} holds no supervision; lhotse writes one for each utterance")
    folder = root if root.is_dir() else root.parent
    described = Described(
        root,
        base_of(folder, (row["path"] for row in rows)),
        deque(rows),
        _foreign.release_of(path for pair in pairs for path in pair),
        (*_foreign.without_labels(cells, str(root), "emotion in custom of the supervisions"), *remarks),
    )
    said = (each.get("corpus") for each in cells)
    return corpus_of(_foreign.called(name, said, folder / "data", _READER), _READER, INFO, described)


def holds(root: Path) -> bool:
    """Whether there are manifests of lhotse at ``root``."""
    try:
        return bool(_find(root))
    except CorpusError:
        return False


def _find(root: Path) -> list[tuple[Path, Path]]:
    """Pairs of recordings and supervisions that ``root`` means."""
    files = _foreign.candidates(root, _SUFFIXES)
    wanted = (_SUPERVISIONS, _RECORDINGS) if root.is_file() else (_SUPERVISIONS,)
    pairs = [_pair(path) for path in files if any(each in path.name for each in wanted)]
    if not pairs:
        raise _foreign.nothing(_READER, root, "recordings.jsonl.gz and supervisions.jsonl.gz")
    return pairs


def _pair(path: Path) -> tuple[Path, Path]:
    """The recordings and supervisions of which one lies at ``path``. Raises CorpusError where the other is missing."""
    is_first = _RECORDINGS in path.name
    mine, other = (_RECORDINGS, _SUPERVISIONS) if is_first else (_SUPERVISIONS, _RECORDINGS)
    plain = path.name.removesuffix(".gz").replace(mine, other)
    beside = [path.with_name(each) for each in (f"{plain}.gz", plain)]
    found = next((each for each in beside if each.is_file()), None)
    if found is None:
        raise CorpusError(f"{path}: expected its {other} beside it, {plain} or {plain}.gz; put them there")
    return (path, found) if is_first else (found, path)


def _recordings(path: Path) -> dict[str, dict[str, Any]]:
    """Recordings by id. Raises CorpusError."""
    found: dict[str, dict[str, Any]] = {}
    for where, line in _foreign.json_lines(path):
        key, sources = line.get("id"), line.get("sources")
        if not isinstance(key, str) or not isinstance(sources, list):
            raise CorpusError(
                f"{path} {where}: expected a recording with id and sources, got the keys {', '.join(line)[:100]}"
            )
        found[key] = line
    return found


def _supervision(
    line: Mapping[str, Any], known: Mapping[str, dict[str, Any]], table: Path, where: str
) -> tuple[dict[str, Any], str, str]:
    """Cells of a supervision, why it cannot be used, and the id of its recording. Raises CorpusError."""
    key, start, duration = line.get("recording_id"), line.get("start"), line.get("duration")
    times = [
        each for each in (start, duration) if isinstance(each, int | float) and not isinstance(each, bool)
    ]
    if not isinstance(key, str) or len(times) != 2:
        raise CorpusError(
            f"{table} {where}: expected a supervision with recording_id, start and duration, got "
            f"{key!r}, {start!r} and {duration!r}"[:300]
        )
    custom = line.get("custom")
    said = {
        **(custom if isinstance(custom, dict) else {}),
        **{k: v for k, v in line.items() if k != "custom"},
    }
    for name in ("start", "duration", "end", "path"):
        said.pop(name, None)
    mine = _foreign.ours({name: value for name, value in said.items() if not isinstance(value, dict | list)})
    if part := _foreign.part_of(table.name.partition(".")[0]):
        mine.setdefault("partition", part)
    recording = known.get(key)
    if recording is None:
        mine["path"] = key
        return mine, f"its recording {key!r} is in no manifest", key
    mine["path"], fault = _source(recording, line.get("channel", 0))
    if not _is_whole(recording, *times):
        mine |= {"start": times[0], "end": round(times[0] + times[1], _DIGITS)}
    return mine, fault, key


def _source(recording: Mapping[str, Any], channel: Any) -> tuple[str, str]:
    """Path of a recording, and why it cannot be used."""
    sources = [each for each in recording["sources"] if isinstance(each, dict)]
    if len(sources) != 1:
        return recording["id"], f"consists of {len(sources)} sources, expected one file"
    path, kind, channels = sources[0].get("source"), sources[0].get("type"), sources[0].get("channels", [0])
    asked = channel if isinstance(channel, list) else [channel]
    if kind != "file" or not isinstance(path, str):
        return recording["id"], f"is of type {kind!r}, expected file: nothing is run and nothing fetched"
    if recording.get("transforms"):
        return path, "is changed by transforms, which are not done; write the result as a file"
    if isinstance(channels, list) and set(map(str, asked)) != set(map(str, channels)):
        return path, f"asks for channel {asked} of {channels}, which are averaged; write files of one channel"
    return path, ""


def _is_whole(recording: Mapping[str, Any], start: float, duration: float) -> bool:
    """Whether a supervision is of all of its recording."""
    length, rate = recording.get("duration"), recording.get("sampling_rate")
    if start or not isinstance(length, int | float) or not isinstance(rate, int | float) or rate <= 0:
        return False
    return abs(length - duration) <= _SLACK / rate


def write(corpus: Corpus, out: Path, utterances: Sequence[WrittenUtterance], done: Done) -> None:
    """``recordings.jsonl.gz`` and ``supervisions.jsonl.gz``, of parts ``<name>_recordings_<part>`` and so on."""
    parts = by_part(utterances)
    for part, some in parts.items():
        names = {
            kind: f"{file_name(corpus.name)}_{kind}_{part or 'rest'}" if list(parts) != [""] else kind
            for kind in (_RECORDINGS, _SUPERVISIONS)
        }
        recordings = {each.path: each for each in some}
        ids = dict(zip(recordings, _ids_of(recordings), strict=True))
        lines = [_recording(ids[path], each) for path, each in recordings.items()]
        _foreign.write_lines(out / f"{names[_RECORDINGS]}.jsonl.gz", lines)
        told_of = [_line(corpus, each, ids[each.path]) for each in some]
        _foreign.write_lines(out / f"{names[_SUPERVISIONS]}.jsonl.gz", told_of)
        done(len(some))


def _ids_of(recordings: Mapping[str, WrittenUtterance]) -> list[str]:
    """Of each recording the id of its utterance where it is that alone, else its path without its suffix."""
    base = _ids.of_paths(recordings)
    return [each.utterance.id if each.is_whole else base[path] for path, each in recordings.items()]


def _recording(key: str, each: WrittenUtterance) -> dict[str, Any]:
    info = each.info
    sources = [{"type": "file", "channels": list(range(info.channels)), "source": each.path}]
    duration = info.n_samples / info.rate
    return {
        "id": key, "sources": sources, "sampling_rate": info.rate, "num_samples": info.n_samples, "duration": duration,
        "channel_ids": list(range(info.channels)),
    }  # fmt: skip


def _line(corpus: Corpus, each: WrittenUtterance, recording: str) -> dict[str, Any]:
    """A supervision, with what lhotse has no field for in ``custom``."""
    said = told(corpus, each.utterance)
    channels = list(range(each.info.channels))
    line = {
        "id": said.pop("id"), "recording_id": recording, "start": each.start,
        "duration": each.end - each.start if each.is_whole else round(each.end - each.start, _DIGITS),
        "channel": channels if len(channels) > 1 else 0,
    }  # fmt: skip
    own = {"text": "transcript", "language": "language", "speaker": "speaker", "gender": "sex"}
    line |= {theirs: said.pop(mine) for theirs, mine in own.items() if mine in said}
    if "label" in said:
        said["emotion"] = said.pop("label")
    return line | {"custom": said}


example = _interchange.lhotse
