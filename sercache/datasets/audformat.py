"""Any database in audformat (audEERING): a folder with ``db.yaml`` and tables with a column ``emotion``."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from sercache.datasets import _ids
from sercache.datasets._alike import of_one_spelling
from sercache.datasets._audformat_columns import EMOTION, Key, column_of, facts_of, values_of, words_of
from sercache.datasets._check import assemble
from sercache.datasets._corpus import Corpus
from sercache.datasets._examples import _tables
from sercache.datasets._files import find_root
from sercache.datasets._labels import FOUR, canonical
from sercache.datasets._names import Names
from sercache.datasets._own import fitted, normal
from sercache.datasets._records import CorpusInfo, Skipped, Utterance
from sercache.datasets._rows import ATTRIBUTES, span_fault
from sercache.datasets._written import Done, WrittenUtterance, by_part, told
from sercache.errors import CorpusError, MissingExtraError

_READER = "audformat"
_OURS = "sercache"
"""Entry of the header of a database that ``write`` made, whose further columns are ours."""
_MORE = ("id", "group", "language", "sex", "sentence")
_PARTS = {"train": "train", "dev": "dev", "devel": "dev", "test": "test"}

INFO = CorpusInfo(
    title="A database in audformat",
    language="any",
    n_speakers=None,
    hours=None,
    licence="as the database",
    access="https://audeering.github.io/audformat/",
    tree="<root>/db.yaml, db.<table>.csv or .parquet, and the recordings",
    tasks={"emotion": {}},
    default_task="emotion",
    official="the table names that hold train, dev or test",
    own=True,
    notes=(
        "Labels come from the columns called emotion; of several tables those called gold_standard count.",
        "Parts come from table names that hold train, dev or test; speakers from a column speaker.",
        "Needs the package audformat: pip install 'sercache[corpora]'.",
    ),
)


def read(root: Path, name: str = "") -> Corpus:
    """The labelled files or segments of the database at ``root``.

    ``name`` is what the corpus is called, by default as the header says.
    Raises MissingExtraError without the package, CorpusError where there is no database, no column
    emotion, or where two tables label one file differently.
    """
    folder = find_root(root, "audformat", "a file db.yaml", _has_header)
    database = _load(folder)
    labels, parts = _labels(database, folder)
    speakers = column_of(database, "speaker")
    texts = column_of(database, "transcription")
    languages = list(database.languages)
    files = Names(folder)
    names = _names(list(labels))
    more = {name: column_of(database, name) for name in _MORE} if _OURS in database.meta else {}
    names |= {key: id for key, id in more.pop("id", {}).items() if key in names}
    utterances: list[Utterance] = []
    skipped: list[Skipped] = []
    for key, label in labels.items():
        file, start, end = key
        path = span_fault(start, end) or files.find(file)
        if isinstance(path, str):
            skipped.append(Skipped(names[key], path))
            continue
        speaker = speakers.get(key) or speakers.get((file, None, None), "")
        utterances.append(
            Utterance(
                id=names[key],
                path=path,
                raw_label=label,
                speaker=speaker,
                start=start,
                end=end,
                partition=parts.get(key, ""),
                transcript=texts.get(key) or texts.get((file, None, None)),
                language=str(languages[0]) if len(languages) == 1 else "",
                sex=_sex(database, speaker),
            )
        )
        told_here: dict[str, Any] = {name: values[key] for name, values in more.items() if key in values}
        utterances[-1] = dataclasses.replace(utterances[-1], **told_here)
    digest = hashlib.sha256((folder / "db.yaml").read_bytes()).hexdigest()[:12]
    utterances, alike = of_one_spelling(utterances)
    info = dataclasses.replace(INFO, tasks=_tasks(utterances))
    warnings = [*files.warnings(), *files.outside(u.path for u in utterances), *alike]
    own = str(database.name)
    called = name or fitted(own, _READER)
    if not name and called != normal(own):
        warnings.append(f"the database is called {own!r}, which cannot be used; it is called {called}")
    release = f"{own}-{digest}"
    corpus = assemble(called, folder, info, utterances, skipped, release=release, warnings=warnings)
    return dataclasses.replace(corpus, reader=_READER)


def holds(root: Path) -> bool:
    """Whether there is a database at ``root``."""
    try:
        find_root(root, _READER, "a file db.yaml", _has_header)
    except CorpusError:
        return False
    return True


def _has_header(folder: Path) -> bool:
    return (folder / "db.yaml").is_file()


def _package() -> Any:
    """The package. Raises MissingExtraError."""
    try:
        import audformat
    except ImportError:
        raise MissingExtraError("audformat databases need: pip install 'sercache[corpora]'") from None
    return audformat


def _load(folder: Path) -> Any:
    audformat = _package()
    try:
        return audformat.Database.load(str(folder), load_data=True, num_workers=1, verbose=False)
    # The package and the YAML reader below it raise many kinds for a damaged header.
    except Exception as error:
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise CorpusError(f"audformat: cannot load {folder}: {first}") from None


def _labels(database: Any, folder: Path) -> tuple[dict[Key, str], dict[Key, str]]:
    """Label and part of each file or segment."""
    names = [name for name, table in sorted(database.tables.items()) if EMOTION in table.df.columns]
    if not names:
        columns = sorted({c for table in database.tables.values() for c in table.df.columns})
        raise CorpusError(
            f"audformat: no table of {folder} has a column {EMOTION}; columns: {', '.join(columns)}"
        )
    names = [name for name in names if "gold_standard" in name.split(".")] or names
    labels: dict[Key, str] = {}
    parts: dict[Key, str] = {}
    for name in names:
        part = next((_PARTS[word] for word in name.split(".") if word in _PARTS), "")
        words = words_of(database, database.tables[name], EMOTION)
        for key, value in values_of(database.tables[name].df[EMOTION]).items():
            label = words.get(value, value)
            if labels.setdefault(key, label) != label:
                raise CorpusError(
                    f"audformat: {key[0]} is {labels[key]} and {label} in the tables {', '.join(names)}; "
                    "write a manifest from the table that you mean"
                )
            parts[key] = part or parts.get(key, "")
    return labels, parts


def _names(keys: Sequence[Key]) -> dict[Key, str]:
    """Id of each file or segment; digits grow only where segments would get one id, so that older ids stay."""
    base = _ids.of_paths(file for file, _, _ in keys)
    made = _ids.of_segments([base[file] for file, _, _ in keys], [(start, end) for _, start, end in keys])
    return dict(zip(keys, made, strict=True))


def _sex(database: Any, speaker: str) -> str:
    """Sex from the labels of the scheme ``speaker``, where it lists them."""
    known = facts_of(database, "speaker")
    facts = next((v for k, v in known.items() if str(k) == speaker), None)
    word = (facts.get("gender") or facts.get("sex") or "") if isinstance(facts, Mapping) else ""
    return {"female": "F", "male": "M"}.get(str(word).lower(), "")


def _tasks(utterances: Sequence[Utterance]) -> dict[str, dict[str, str]]:
    """``emotion``: the labels as written; ``4class``: those that are common words."""
    names = sorted({u.raw_label for u in utterances})
    four = {raw: name for raw in names if (name := canonical(raw)) in FOUR and name}
    return {"emotion": {name: name for name in names}} | ({"4class": four} if four else {})


def write(corpus: Corpus, out: Path, utterances: Sequence[WrittenUtterance], done: Done) -> None:
    """``db.yaml`` and a table ``emotion``, or one for each part, with a column for what is known.

    Raises MissingExtraError without the package.
    """
    audformat = _package()
    first: dict[object, str] = {}
    for each in utterances:
        other = first.setdefault((each.path, each.start, each.end), each.utterance.id)
        if other != each.utterance.id:
            raise CorpusError(
                f"{other} and {each.utterance.id} are one stretch of one recording, which audformat has once; keep "
                "one, or write another format"
            )
    said = {each.utterance.id: told(corpus, each.utterance) for each in utterances}
    languages = sorted({row["language"] for row in said.values() if "language" in row})
    database = audformat.Database(
        fitted(corpus.name, _READER), source="", usage="other", license=corpus.info.licence
    )
    database.description = corpus.info.title
    database.meta[_OURS] = "columns id, group, language, sex and sentence are those of its corpora"
    if len(languages) == 1:
        with suppress(ValueError):  # one that is no code of ISO 639-3
            database.languages = [audformat.utils.map_language(languages[0])]
    names = {"label": EMOTION, "transcript": "transcription"}
    columns = {name for row in said.values() for name in row} - {"partition", "corpus", "scale"}
    for name in sorted(columns):
        labels = sorted({row[name] for row in said.values() if row.get(name)}) if name == "label" else None
        number = name in ATTRIBUTES
        database.schemes[names.get(name, name)] = audformat.Scheme(
            "float" if number else "str", labels=labels
        )
    for part, some in by_part(utterances).items():
        paths = [each.path for each in some]
        if all(each.is_whole for each in some) and len(set(paths)) == len(paths):
            index = audformat.filewise_index(paths)
        else:
            starts, ends = (
                [f"{time:.9f}s" for time in times]
                for times in zip(*((e.start, e.end) for e in some), strict=True)
            )
            index = audformat.segmented_index(paths, starts, ends)
        table = database[f"{EMOTION}.{part}" if part else EMOTION] = audformat.Table(index)
        for name in sorted(columns):
            column = table[names.get(name, name)] = audformat.Column(scheme_id=names.get(name, name))
            column.set([said[each.utterance.id].get(name) for each in some])
        done(len(some))
    database.save(str(out))


example = _tables.audformat
