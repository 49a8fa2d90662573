"""Predictions as tables that other tools read: rows of CSV, Parquet, a database in audformat."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sercache import files, tables
from sercache.errors import MissingExtraError, SettingsError
from sercache.experiment.predict import Answers, Predicted

_FIRST = ("recording", "id", "start", "end", "predicted")
_LAST = ("agreement", "members", "trained_on_by", "error")
_TEXTS = ("recording", "id", "predicted", "true", "trained_on_by", "error")
_ELSEWHERE = "choose another place with --out"


def heading(answers: Answers, with_true: bool) -> list[str]:
    """Columns: what was predicted, the truth where there is one, ``p:`` and ``spread:`` of each output, how it came."""
    outputs = answers.outputs
    true = [f"true:{name}" for name in outputs] if answers.is_numeric else ["true"]
    scores = [f"{what}:{name}" for what in ("p", "spread") for name in outputs]
    return [*_FIRST, *(true if with_true else ()), *scores, *_LAST]


def cells(each: Predicted, answers: Answers, with_true: bool) -> list[Any]:
    """Values of one record, in the order of ``heading``; None where there is none."""
    record, by, outputs = each.to_json(), each.trained_on_by, answers.outputs
    scores = [(values or {}).get(name) for values in (each.scores, each.spread) for name in outputs]
    true = [(each.true_values or {}).get(name) for name in outputs] if answers.is_numeric else [each.true]
    trained = None if by is None else " ".join(by) or "none"
    last = [each.agreement, each.members, trained, each.error]
    return [*(record[name] for name in _FIRST), *(true if with_true else ()), *scores, *last]


def json_line(each: Predicted) -> str:
    """One record as a line; names may hold bytes that are no text, which are escaped then."""
    record = each.to_json()
    text = json.dumps(record, ensure_ascii=False, allow_nan=False)
    is_text = not any("\ud800" <= letter <= "\udfff" for letter in text)
    return (text if is_text else json.dumps(record, allow_nan=False)) + "\n"


def csv_line(cells: Sequence[object]) -> str:
    """One row of a CSV table, or its heading, as a line."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(cells)
    return text.getvalue().encode("utf-8", "backslashreplace").decode()


def check(form: str, out: Path | None, is_live: bool) -> None:
    """Raise SettingsError where a form that is written at the end has no place, or no end; MissingExtraError."""
    if out is None or is_live:
        why = (
            "needs a place to write: name it with --out"
            if out is None
            else "is written at the end, and there is none"
        )
        raise SettingsError(f"--format {form} {why}; jsonl and csv are written record by record")
    if form == "audformat" and out.exists():
        raise SettingsError(f"{out} exists already; choose another folder with --out")
    _PACKAGES[form]()


def write(form: str, out: Path, answers: Answers, records: Sequence[Predicted], with_true: bool) -> None:
    """Write records to ``out``, whole or not at all. Raises FileError, DiskSpaceError."""
    columns = heading(answers, with_true)
    rows = [dict(zip(columns, cells(each, answers, with_true), strict=True)) for each in records]
    {"parquet": _parquet, "audformat": _audformat}[form](out, columns, rows)


def _parquet(out: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    pa, pq = tables.arrow()
    kinds = {name: pa.string() if name in _TEXTS else pa.float64() for name in columns} | {
        "members": pa.int64()
    }
    whole = io.BytesIO()
    schema = pa.schema([(name, kinds[name]) for name in columns])
    texts = [{name: _text(value) for name, value in row.items()} for row in rows]
    pq.write_table(pa.Table.from_pylist(texts, schema=schema), whole)
    files.write_bytes(out, whole.getvalue(), _ELSEWHERE)


def _audformat(out: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    """A table ``predictions`` by file, or by segment where some are windows or segments."""
    audformat = _audformat_package()
    paths = [str(_text(str(Path(row["recording"]).absolute()))) for row in rows]
    is_cut = any(row["start"] is not None or row["end"] is not None for row in rows)
    if is_cut or len(set(paths)) < len(paths):
        starts = [f"{row['start'] or 0.0:.9f}s" for row in rows]
        ends = [None if row["end"] is None else f"{row['end']:.9f}s" for row in rows]
        index = audformat.segmented_index(paths, starts, ends)
    else:
        index = audformat.filewise_index(paths)
    if index.has_duplicates:
        twice = paths[list(index.duplicated()).index(True)]
        raise SettingsError(
            f"{twice} is predicted twice, which audformat has once; name it once, or write --format parquet"
        )
    database = audformat.Database("predictions", source="trained heads of sercache", usage="other")
    table = database["predictions"] = audformat.Table(index)
    for name in (each for each in columns if each not in ("recording", "start", "end")):
        kind = "str" if name in _TEXTS else "int" if name == "members" else "float"
        database.schemes[name] = audformat.Scheme(kind)
        column = table[name] = audformat.Column(scheme_id=name)
        column.set([_text(row[name]) for row in rows])
    with files.new_folder(out) as temporary, files.write_faults_named(out, _ELSEWHERE):
        database.save(str(temporary))


def _text(value: Any) -> Any:
    """Texts as these formats take them: names may hold bytes that are none."""
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _audformat_package() -> Any:
    try:
        import audformat
    except ImportError as fault:
        raise MissingExtraError("audformat databases need: pip install 'sercache[corpora]'") from fault
    return audformat


_PACKAGES: Mapping[str, Callable[[], Any]] = {"parquet": tables.arrow, "audformat": _audformat_package}
AT_THE_END = tuple(_PACKAGES)
"""Forms that are written when all is predicted."""
