"""Any corpus as EmoBox describes it: JSON lines with ``key``, ``wav`` and ``emo`` (github.com/emo-box/EmoBox)."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sercache.catalog import file_name
from sercache.datasets import _foreign
from sercache.datasets._corpus import Corpus
from sercache.datasets._described import Described, base_of, corpus_of
from sercache.datasets._examples import _interchange
from sercache.datasets._files import entries
from sercache.datasets._records import CorpusInfo
from sercache.datasets._rows import ATTRIBUTES, CheckedRow, checked
from sercache.datasets._written import Done, WrittenUtterance, by_part, told
from sercache.errors import CorpusError
from sercache.files import write_json
from sercache.units import listed

_READER = "emobox"
_SUFFIXES = (".jsonl", ".jsonl.gz")
_NAMES = {
    "key": "id",
    "wav": "path",
    "wav_filename": "path",
    "emo": "label",
    "start_time": "start",
    "end_time": "end",
}
_NOT_NEEDED = ("type", "sample_rate", "num_frame", "task", "length", "channel")
_FOLD = "fold_"
_PARTS = {"train": "train", "valid": "dev", "test": "test"}

INFO = CorpusInfo(
    title="A corpus described as EmoBox does",
    language="any",
    n_speakers=None,
    hours=None,
    licence="as the recordings",
    access="https://github.com/emo-box/EmoBox",
    tree=(
        "<root>/<name>.jsonl (or --root <that file>), recordings where its paths lead: below that folder or up to\n"
        "three above it, as data/<name>/<name>.jsonl and downloads/<name>/... in a copy of EmoBox"
    ),
    tasks={"label": {}},
    default_task="label",
    official="the lists of fold_1, where there is no other fold",
    own=True,
    notes=(
        "Of several folds each is a group, so that leave-one-session-out tests what EmoBox does.",
        "label_map.json beside the list is the task emobox.",
        "EmoBox names no speakers; where its lines have a speaker or spk, it is read.",
    ),
)


def read(root: Path, name: str = "") -> Corpus:
    """The utterances of the list at ``root``, a file or the folder that holds it.

    Raises CorpusError, with the line number, for lines that cannot be read.
    """
    table = _find(root)
    lines = list(_foreign.json_lines(table))
    cells = [_foreign.ours(line, _NAMES) for _, line in lines]
    if not cells:
        raise CorpusError(f"{table} holds no utterance; write a line with key, wav and emo for each")
    belongs, remarks = _folds(table)
    rows = deque(
        _row(line, {**mine, **belongs.get(str(mine.get("id", "")), {})}, table, where)
        for (where, line), mine in zip(lines, cells, strict=True)
    )
    base = base_of(table.parent, (row["path"] for row in rows))
    columns = dict.fromkeys(key for _, line in lines for key in line)
    told = [
        *_foreign.unused(columns, (*_NAMES, *_NOT_NEEDED), table.name),
        *_foreign.without_labels(cells, table.name, "emo"),
        *remarks,
    ]
    task, doubts = _task(
        table.with_name("label_map.json"), {str(each["label"]) for each in cells if "label" in each}
    )
    described = Described(table, base, rows, _foreign.release_of([table]), (*told, *doubts), tasks=task)
    said = (mine.get("corpus") for mine in cells)
    return corpus_of(_foreign.called(name, said, table, _READER), _READER, INFO, described)


def holds(root: Path) -> bool:
    """Whether there is a list of EmoBox at ``root``."""
    try:
        return _is_list(_find(root))
    except CorpusError:
        return False


def _is_list(path: Path) -> bool:
    keys = set(_foreign.first_object(path))
    return bool(keys & {"wav", "wav_filename"}) and bool(keys & {"emo", "label"}) and "path" not in keys


def _find(root: Path) -> Path:
    """The list that ``root`` means: of several that which is called as its folder."""
    tables = _foreign.candidates(root, _SUFFIXES)
    tables = [each for each in tables if each.stem == root.absolute().name] or tables
    if len(tables) != 1:
        expected = "one list <name>.jsonl" if not tables else f"one list, not {len(tables)}"
        raise _foreign.nothing(_READER, root, expected)
    return tables[0]


def _row(line: Mapping[str, Any], mine: dict[str, Any], table: Path, where: str) -> CheckedRow:
    """A line as a row; a number that EmoBox has for the label is that of the attribute that it names."""
    if not mine.get("path"):
        raise CorpusError(
            f"{table} {where}: expected an object with wav, got the keys {', '.join(line)[:100]}"
        )
    fault, task = "", line.get("task", "category")
    if line.get("type", "raw") != "raw":
        fault = f"is of type {line['type']!r}, expected raw: a recording"
    elif line.get("channel", 1) not in (1, None):
        fault = f"asks for channel {line['channel']!r} alone, which is not done; write a file of that channel"
    if task in ATTRIBUTES and "label" in mine:
        mine[str(task)] = mine.pop("label")
    return checked(mine, table, where, fault=fault)


def _folds(table: Path) -> tuple[dict[str, dict[str, str]], list[str]]:
    """By id, the part of the only fold, or of several the one that tests it; and a remark where that cannot be told."""
    folds = [each for each in entries(table.parent) if each.name.startswith(_FOLD) and each.is_dir()]
    lists = {fold.name: _lists(table, fold) for fold in folds}
    if len(folds) == 1:
        return {
            key: {"partition": _PARTS[part]} for part, keys in lists[folds[0].name].items() for key in keys
        }, []
    tests = [(fold, key) for fold, parts in lists.items() for key in parts.get("test", ())]
    counted = Counter(key for _, key in tests)
    several = [key for key, n in counted.items() if n > 1]
    if several:
        return {}, [
            f"{len(several)} utterances are tested in several folds of {table.parent}, first: {several[0]}; the folds "
            "are not used"
        ]
    return {key: {"group": fold} for fold, key in tests}, []


def _lists(table: Path, fold: Path) -> dict[str, list[str]]:
    """Ids of a fold by the part that EmoBox calls them."""
    stem, number = table.name.partition(".")[0], fold.name.removeprefix(_FOLD)
    found: dict[str, list[str]] = {}
    for part in _PARTS:
        path = fold / f"{stem}_{part}_{_FOLD}{number}.jsonl"
        if path.is_file():
            found[part] = [str(line.get("key", "")) for _, line in _foreign.json_lines(path)]
    return found


def _task(path: Path, labels: Iterable[str]) -> tuple[dict[str, dict[str, str]], list[str]]:
    """The task ``emobox``: classes of labels as EmoBox merges them, and a remark on labels that its map does not name.

    A label counts as named where the map spells it in other case, as some of EmoBox' own do.
    """
    if not path.is_file():
        return {}, []
    found = _foreign.parsed(_foreign.read(path), path)
    odd = next((key for key, value in found.items() if not isinstance(value, str)), None)
    if odd is not None:
        raise CorpusError(f"{path}: expected a class for each label, got {found[odd]!r} for {odd!r}"[:300])
    folded = {key.casefold(): value for key, value in found.items()}
    known = {label: folded[label.casefold()] for label in labels if label.casefold() in folded} | found
    missing = sorted(set(labels) - set(known))
    remarks = (
        [f"{path.name} names no class for {listed(missing)}: the task emobox leaves these out"]
        if missing
        else []
    )
    return {"emobox": known}, remarks


def write(corpus: Corpus, out: Path, utterances: Sequence[WrittenUtterance], done: Done) -> None:
    """``<name>.jsonl``, ``label_map.json`` of the default task and, of a corpus with parts, the lists of ``fold_1``."""
    stem = file_name(corpus.name)
    lines = {each.utterance.id: _line(corpus, each) for each in utterances}
    _foreign.write_lines(out / f"{stem}.jsonl", lines.values())
    labels = {u.raw_label for u in corpus.utterances if u.raw_label}
    known = corpus.label_map() if not corpus.is_numeric() else {}
    write_json(out / "label_map.json", {label: known.get(label, label) for label in sorted(labels)})
    parts = by_part(utterances)
    for part, word in ((mine, theirs) for theirs, mine in _PARTS.items() if mine in parts):
        fold = out / f"{_FOLD}1"
        fold.mkdir(exist_ok=True)
        chosen = [lines[each.utterance.id] for each in parts[part]]
        _foreign.write_lines(fold / f"{stem}_{word}_{_FOLD}1.jsonl", chosen)
    done(len(utterances))


def _line(corpus: Corpus, each: WrittenUtterance) -> dict[str, Any]:
    """An utterance as EmoBox has it, with what else is known of it."""
    said = told(corpus, each.utterance)
    rate = each.info.rate
    line = {
        "key": said.pop("id"), "dataset": said.pop("corpus"), "wav": each.path, "type": "raw", "sample_rate": rate,
        "num_frame": float(round((each.end - each.start) * rate)), "task": "category", "length": each.end - each.start,
        "emo": said.pop("label", ""), "channel": 1,
    }  # fmt: skip
    if not each.is_whole:
        line |= {"start_time": each.start, "end_time": each.end}
    return line | said


example = _interchange.emobox
