"""What every plot is drawn on: a figure of its own, colours, legends, short names.

Figures are made without pyplot, so that neither its state nor its settings are touched. Colours are those of
Okabe and Ito, which colour-blind readers can tell apart.
"""

from __future__ import annotations

import contextlib
import contextvars
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sercache.errors import MissingExtraError
from sercache.record import Report

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREEN, GREY, BLACK = "#0072B2", "#D55E00", "#009E73", "#777777", "#000000"
COLOURS = (BLUE, ORANGE, GREEN, "#CC79A7", "#56B4E9", "#E69F00", BLACK)
"""Yellow, the eighth, is left out: it cannot be seen on white."""
_TITLE, _SMALL = 10, 8
"""Points of titles, and of legends."""
_LETTER = 0.6 / 72
"""Inches that a letter takes on average for each point of its size; the font is DejaVu Sans, a wide one."""
_HANDLE = 0.6
"""Inches before the text of an entry of a legend, and between columns."""
_NARROW = 4.9
"""Inches of a figure whose letters can be read on a telephone."""
_is_narrow = contextvars.ContextVar("narrow figures", default=False)
FEW = 12
"""Up to so many runs are drawn one by one; more are drawn as mean and range."""


def about(report: Report, what: str) -> str:
    """Two lines above a plot: head, encoder and what is shown; corpus, protocol, scope of normalisation."""
    found: Mapping[str, Any] = report.setup
    return (
        f"{report.head} on {short(found['encoder'], 40)}: {what}\n"
        f"{report.corpus['name']}, {found['protocol']}, normalise {report.scope_shown}"
    )


@contextlib.contextmanager
def narrow() -> Iterator[None]:
    """Figures for pages: no wider than a telephone shows in letters that can be read, axes below one another."""
    before = _is_narrow.set(True)
    try:
        yield
    finally:
        _is_narrow.reset(before)


def canvas(
    title: str,
    *,
    width: float = 6.8,
    height: float = 4.2,
    rows: int = 1,
    columns: int = 1,
    share: bool = False,
    is_table: bool = False,
) -> tuple[Figure, list[Axes]]:
    """A figure (inches) with a title, and its axes row by row; ``share``: one x axis for all.

    One that ``is_table`` has cells that hold numbers: it is as wide as these need, inside ``narrow`` too.

    Raises MissingExtraError without matplotlib.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as fault:
        raise MissingExtraError(
            "plots need matplotlib, which is not installed; run: pip install 'sercache[report]'"
        ) from fault
    if _is_narrow.get() and not is_table:
        height *= 1 if columns == 1 else 0.85 * columns
        rows, columns, width = rows * columns, 1, min(width, _NARROW)
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    grid = list(figure.subplots(rows, columns, sharex=share, squeeze=False).ravel())
    for axes in grid:
        axes.spines[["top", "right"]].set_visible(False)
    figure.suptitle(wrapped(title, width, _TITLE), fontsize=_TITLE)
    return figure, grid


def legend(figure: Figure, axes: Axes | Sequence[Axes], title: str | None = None) -> None:
    """A legend under the axes, where it hides nothing: in as many columns as the figure is wide.

    Of several axes what each shows, once: what has one label is taken to look alike.
    """
    shown: dict[str, Any] = {}
    for each in axes if isinstance(axes, Sequence) else [axes]:
        for handle, label in zip(*each.get_legend_handles_labels(), strict=True):
            shown.setdefault(label, handle)
    handles, labels = list(shown.values()), list(shown)
    width = float(figure.get_figwidth())
    labels = [wrapped(label, width - _HANDLE, _SMALL) for label in labels]
    widest = max(len(line) for label in labels for line in label.split("\n"))
    n_columns = int(width / (_HANDLE + widest * _LETTER * _SMALL))
    figure.legend(
        handles, labels, loc="outside lower center", ncols=min(max(n_columns, 1), 4, len(labels)), fontsize=_SMALL,
        title=wrapped(title, width, _SMALL) if title else None, title_fontsize=_SMALL, frameon=False,
    )  # fmt: skip


def wrapped(text: str, width: float, size: float) -> str:
    """``text`` in lines that fit ``width`` (inches) in letters of ``size`` (points), its own lines kept."""
    n = max(8, int(width / (_LETTER * size)))
    return "\n".join(part for line in text.split("\n") for part in textwrap.wrap(line, n) or [""])


def label_states(axes: Axes, states: Sequence[str]) -> None:
    """State names under the axis, as many as fit, aslant where they would touch."""
    step = max(1, -(-len(states) // 40))
    shown = states[::step]
    room = (axes.figure.bbox.width / axes.figure.dpi - 1.2) / len(shown)
    tilt = max(map(len, shown)) * _LETTER * _SMALL > 0.9 * room
    axes.set_xticks(
        range(0, len(states), step), shown, rotation=45 if tilt else 0, ha="right" if tilt else "center",
        rotation_mode="anchor" if tilt else "default", fontsize=_SMALL,
    )  # fmt: skip


def short(text: str, n: int = 24) -> str:
    """``text`` in at most ``n`` letters, its end kept; $ escaped, for it starts mathematics."""
    cut = text if len(text) <= n else "…" + text[1 - n :]
    return cut.replace("$", r"\$")
