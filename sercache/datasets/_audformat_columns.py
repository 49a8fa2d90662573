"""Columns of a database in audformat: their values by file and span, codes as the words that their schemes have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sercache.datasets._labels import canonical

EMOTION = "emotion"
"""The column that holds labels."""
_USUAL = ("label", "name", "word")
"""What the fact that is a label's word is called."""

Key = tuple[str, float | None, float | None]
"""File, start (s), end (s)."""


def column_of(database: Any, column: str) -> dict[Key, str]:
    """Values of a column over all tables that have it; the first table counts."""
    found: dict[Key, str] = {}
    for _, table in sorted(database.tables.items()):
        if column in table.df.columns:
            words = words_of(database, table, column)
            for key, value in values_of(table.df[column]).items():
                found.setdefault(key, words.get(value, value))
    return found


def words_of(database: Any, table: Any, column: str) -> dict[str, str]:
    """Code -> word, where the values of a column are codes whose words stand in its scheme.

    Labels of a scheme may also be words with a description each, ``{'anger': 'hot or cold'}``: these stay. Where a
    label has several facts, in the scheme or in the misc table that it names, the word is among these.
    """
    known = facts_of(database, table.columns[column].scheme_id)
    found = {str(code): word for code, word in known.items() if isinstance(word, str) and word.strip()}
    told = {str(code): facts for code, facts in known.items() if isinstance(facts, Mapping)}
    if told and not found:
        found = _told(told, column)
    if column == EMOTION and all(map(canonical, found)) and not all(map(canonical, found.values())):
        return {}
    return found


def facts_of(database: Any, scheme_id: str | None) -> Mapping[Any, Any]:
    """What a scheme says of each of its labels, itself or in the misc table that it names: a word, or facts by name."""
    scheme = database.schemes.get(scheme_id)
    labels = None if scheme is None else scheme.labels
    if isinstance(labels, str):
        if labels not in database.misc_tables:
            return {}
        frame = database.misc_tables[labels].df
        return {
            code: {str(name): value for name, value in facts.items() if value == value}
            for code, facts in frame.to_dict("index").items()
        }
    return labels if isinstance(labels, Mapping) else {}


def _told(told: Mapping[str, Mapping[str, Any]], column: str) -> dict[str, str]:
    """Code -> word, from facts on each code: the fact called as the column, else a usual name, else the only text.

    Of emotions a fact that is a common word for every code comes first. Empty where none can be told.
    """
    texts = {
        name: {code: facts[name] for code, facts in told.items() if isinstance(facts.get(name), str)}
        for name in dict.fromkeys(name for facts in told.values() for name in facts)
    }
    whole = {name: words for name, words in texts.items() if len(words) == len(told)}
    common = [name for name, words in whole.items() if all(map(canonical, words.values()))]
    usual = [name for name in (column, *_USUAL) if name in whole]
    only = list(whole) if column == EMOTION and len(whole) == 1 else []
    chosen = [*(common if column == EMOTION else ()), *usual, *only]
    return whole[chosen[0]] if chosen else {}


def values_of(series: Any) -> dict[Key, str]:
    """Values of a column by file and span, without those that are missing."""
    found: dict[Key, str] = {}
    for index, value in series.dropna().items():
        if isinstance(index, tuple):
            file, start, end = index
            found[str(file), _seconds(start), _seconds(end)] = str(value)
        else:
            found[str(index), None, None] = str(value)
    return found


def _seconds(time: Any) -> float | None:
    """Seconds of a pandas Timedelta; None for not a time."""
    seconds = float(time.total_seconds())
    return None if seconds != seconds else seconds
