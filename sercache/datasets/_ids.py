"""Ids of utterances that a table does not give: from the path and, for segments, from where they lie in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath

from sercache import text

Span = tuple[float | None, float | None]
"""Start and end (s); None for those of the recording."""

_DIGITS = (3, 6, 9)
"""Decimal places of a second that are tried, until segments differ."""


def stem(path: str) -> str:
    """A path without its suffix, with slashes, its letters composed."""
    return PurePosixPath(text.composed(path).replace("\\", "/")).with_suffix("").as_posix()


def of_paths(paths: Iterable[str]) -> dict[str, str]:
    """An id for each path: its stem, with the suffix where two recordings differ in that alone."""
    distinct = list(dict.fromkeys(paths))
    counted = Counter(stem(path) for path in distinct)
    whole = {path: text.composed(path).replace("\\", "/") for path in distinct}
    return {path: stem(path) if counted[stem(path)] == 1 else whole[path] for path in distinct}


def of_segments(base: Sequence[str], spans: Sequence[Span]) -> list[str]:
    """Ids ``base[start-end]`` in seconds, with as many digits as it takes that different segments differ.

    A segment without a start and an end keeps its base.
    """
    digits = dict.fromkeys(zip(base, spans, strict=True), _DIGITS[0])
    for more in _DIGITS[1:]:
        counted = Counter(_segment(*key, n) for key, n in digits.items())
        digits = {key: more if counted[_segment(*key, n)] > 1 else n for key, n in digits.items()}
    return [_segment(name, span, digits[name, span]) for name, span in zip(base, spans, strict=True)]


def _segment(base: str, span: Span, digits: int) -> str:
    start, end = span
    if start is None and end is None:
        return base
    return f"{base}[{start or 0.0:.{digits}f}-{'' if end is None else f'{end:.{digits}f}'}]"
