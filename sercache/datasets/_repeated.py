"""Rows of a table that tell of one utterance twice, or of one recording under several ids."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sercache.datasets._records import Utterance
from sercache.errors import CorpusError
from sercache.units import listed

_Span = tuple[Path, float | None, float | None]


@dataclass(frozen=True, slots=True)
class Found:
    """An utterance whose recording is there, and the line that tells of it (``line 3``)."""

    where: str
    utterance: Utterance


def unique(found: Sequence[Found], table: Path) -> tuple[list[Utterance], list[str]]:
    """The utterances, each once, and a warning that counts rows that say the same again.

    Raises CorpusError where two rows say different things of one id.
    """
    first: dict[str, Found] = {}
    repeated: list[Found] = []
    for each in found:
        other = first.setdefault(each.utterance.id, each)
        if other is each:
            continue
        if other.utterance != each.utterance:
            raise CorpusError(f"{table} {each.where}: {_contradiction(other, each)}")
        repeated.append(each)
    again = repeated[0] if repeated else None
    warnings = (
        [
            f"{len(repeated)} rows of {table.name} repeat others, first: {again.where} says what "
            f"{first[again.utterance.id].where} says of {again.utterance.id}"
        ]
        if again
        else []
    )
    return [each.utterance for each in first.values()], warnings


def _contradiction(first: Found, second: Found) -> str:
    """What two rows of one id say differently."""
    one, two = first.utterance, second.utterance
    if (one.path, one.start, one.end) != (two.path, two.start, two.end):
        return f"id {two.id} occurs twice; ids must be unique, {first.where} has it too"
    fields = (
        "raw_label",
        "speaker",
        "group",
        "partition",
        "transcript",
        "language",
        "sex",
        "sentence",
        "attributes",
    )
    field = next(each for each in fields if getattr(one, each) != getattr(two, each))
    said = f"{getattr(two, field)!r}, {first.where} says {getattr(one, field)!r}"
    return (
        f"says of {two.id} the {field.removeprefix('raw_')} {said[:150]}; keep one row, or add a column id that tells "
        "them apart"
    )


def _span(found: Found) -> _Span:
    u = found.utterance
    return u.path, u.start, u.end


def several_ids(found: Sequence[Found]) -> list[str]:
    """Warnings that count recordings, or segments, which stand under several ids."""
    first: dict[_Span, Found] = {}
    more: dict[_Span, dict[str, Found]] = {}
    # Few have equals, and a hash takes less memory than a span.
    seen: set[int] = set()
    again = {key for each in found if (key := hash(_span(each))) in seen or seen.add(key)}  # type: ignore[func-returns-value]
    for each in found if again else ():
        u, span = each.utterance, _span(each)
        if hash(span) not in again:
            continue
        before = first.setdefault(span, each)
        if before.utterance.id != u.id:
            more.setdefault(span, {before.utterance.id: before}).setdefault(u.id, each)
    several = [list(more[span].values()) for span in first if span in more]
    differ = [group for group in several if len({each.utterance.raw_label for each in group}) > 1]
    agree = [group for group in several if group not in differ]
    warnings = []
    if differ:
        shown = listed(f"{each.utterance.raw_label or 'no label'} in {each.where}" for each in differ[0])
        warnings.append(
            f"{len(differ)} recordings stand under several ids with different labels, first: "
            f"{differ[0][0].utterance.path.name} ({shown}); a head cannot be right about both"
        )
    if agree:
        shown = listed(each.utterance.id for each in agree[0])
        warnings.append(
            f"{len(agree)} recordings stand under several ids with one label, first: "
            f"{agree[0][0].utterance.path.name} ({shown})"
        )
    return warnings
