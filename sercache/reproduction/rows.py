"""Which rows of a table a call asks for, those of encoders that the paper did not try among them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from sercache import catalog, encoders
from sercache.errors import SettingsError, UnknownNameError
from sercache.papers import Cell, Gap, Ours, PaperRow, PaperTable, Trial, TrialScore, trials_of
from sercache.reproduction.paper import ReproduceOptions
from sercache.units import listed

_BETWEEN = ": "
"""Between what a row is about and its encoder, where a table is open to others."""
_SHOWN = 12


def chosen(table: PaperTable, request: ReproduceOptions) -> list[PaperRow]:
    """The rows that a call names by corpus, encoder and name; all of them where it names none.

    Raises SettingsError where there is none.
    """
    rows = _by_dataset(table.rows, request.datasets)
    if request.only_encoders:
        rows = [row for name in request.only_encoders for row in _of_encoder(name, rows, table, request)]
        rows = list({row.name: row for row in rows}.values())
    return by_name(rows, request.rows)


def by_name(rows: Sequence[PaperRow], pattern: str | None) -> list[PaperRow]:
    """The row of this name, else those whose names contain it. Raises SettingsError where none does."""
    wanted = (pattern or "").strip().casefold()
    # Part of a name after its group ("None: Spectrogram") is a name too.
    named = [
        row for row in rows if wanted in (row.name.casefold(), row.name.casefold().rpartition(_BETWEEN)[2])
    ]
    found = (wanted and named) or [row for row in rows if wanted in row.name.casefold()]
    if not found:
        there = listed((row.name for row in rows), _SHOWN, "; ")
        raise SettingsError(f"no row contains {pattern!r}; there is: {there}")
    return found


def _by_dataset(rows: Sequence[PaperRow], asked: Sequence[str]) -> list[PaperRow]:
    read = {row.name: dict.fromkeys(_datasets(row)) for row in rows}
    on_offer = dict.fromkeys(name for names in read.values() for name in names)
    strange = next((name for name in asked if name not in on_offer), None)
    if strange is not None:
        raise UnknownNameError(catalog.unknown("corpus of the table", strange, list(on_offer)))
    # A number of somebody else's stands with its corpus where the name of the row says it.
    return [
        row for row in rows if not asked or any(name in asked for name in read[row.name] or (_about(row),))
    ]


def _of_encoder(
    name: str, rows: Sequence[PaperRow], table: PaperTable, request: ReproduceOptions
) -> list[PaperRow]:
    """The rows of one encoder; of one that the paper did not try, rows like those of the others without its numbers.

    Where corpora are named, the printed rows of these stand below them.
    """
    here = encoders.absolute(name)
    found = [row for row in rows if name in _encoders(row)]
    if found:
        return found
    if not table.any_encoder:
        on_offer = dict.fromkeys(each for row in rows for each in _encoders(row))
        raise UnknownNameError(
            f"{catalog.unknown('encoder of the table', name, list(on_offer))}; to take another in its place it is "
            "written NAME=CHECKPOINT"
        )
    encoders.resolve(here, None)  # a slip is told before anything is done
    models: dict[str, PaperRow] = {}
    for row in rows:
        if any(cell.ours for cell in row.cells.values()):
            models.setdefault(_about(row), row)
    called = Path(here).name if Path(here).is_absolute() else name
    made = [_like(row, here, called) for row in models.values()]
    return [*made, *(map(_printed_alone, rows) if request.datasets else ())]


def _like(row: PaperRow, encoder: str, called: str) -> PaperRow:
    cells = {
        column: Cell(None, _with_encoder(cell.ours, encoder))
        for column, cell in row.cells.items()
        if cell.ours
    }
    return PaperRow(f"{_about(row)}{_BETWEEN}{called}", cells)


def _with_encoder(ours: Ours | None, encoder: str) -> Ours | None:
    def score(each: TrialScore) -> TrialScore:
        return replace(each, trial=replace(each.trial, encoder=encoder))

    if isinstance(ours, Gap):
        return Gap(score(ours.of), score(ours.less))
    assert isinstance(ours, TrialScore), "rows that are alike for all encoders are of scores"
    return score(ours)


def _printed_alone(row: PaperRow) -> PaperRow:
    return PaperRow(
        row.name, {column: Cell(cell.printed) for column, cell in row.cells.items() if cell.printed}
    )


def _about(row: PaperRow) -> str:
    return row.name.rpartition(_BETWEEN)[0]


def _trials(row: PaperRow) -> Iterator[Trial]:
    for cell in row.cells.values():
        yield from trials_of(cell.ours)


def _encoders(row: PaperRow) -> set[str]:
    return {each.encoder for each in _trials(row)}


def _datasets(row: PaperRow) -> Iterator[str]:
    """Corpora that a row is trained on, or that its cells are scores of."""
    for cell in row.cells.values():
        if isinstance(cell.ours, TrialScore) and cell.ours.on:
            yield cell.ours.on
    for trial in _trials(row):
        yield trial.dataset
        yield from (also.dataset for also in trial.also_train)
