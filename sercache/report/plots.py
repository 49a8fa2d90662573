"""Plots of a report as PNG and SVG: layer weights, truth against predictions, learning curves, folds.

What each plot shows lies in ``layer_plots``, ``agreement``, ``curves`` and ``maps``.
"""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from sercache import files
from sercache.catalog import file_name
from sercache.record import CrossCorpus, Report
from sercache.report.agreement import confusion, confusion_of, scatter, scatter_of
from sercache.report.canvas import BLUE, GREEN, GREY, ORANGE, about
from sercache.report.curves import folds, learning_curves
from sercache.report.layer_plots import layer_weights, layer_weights_on
from sercache.report.maps import vector_map
from sercache.report.notes import made_of, way_there
from sercache.report.probability_plots import calibration

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "BLUE", "GREEN", "GREY", "ORANGE", "confusion", "draw", "figures", "folds", "layer_weights",
    "learning_curves", "save", "scatter", "svg", "vector_map",
]  # fmt: skip

_SCRIPTS = (
    "Noto Sans CJK SC", "Noto Sans CJK JP", "Source Han Sans SC", "WenQuanYi Zen Hei", "Microsoft YaHei", "PingFang SC",
    "Noto Sans Arabic", "Noto Sans Devanagari", "Nirmala UI", "Arial Unicode MS", "Noto Emoji", "Symbola",
)  # fmt: skip
"""Fonts with letters that matplotlib's own lacks, on usual systems."""
_FIRST_OTHER = "\u0900"
"""From here on the font of matplotlib has few scripts."""


def draw(report: Report, folder: Path) -> list[Path]:
    """Write every plot that the report has data for, as PNG and SVG; gives their paths.

    Raises MissingExtraError without matplotlib.
    """
    drawn = figures(report)
    folder.mkdir(parents=True, exist_ok=True)
    return [path for name, figure in drawn.items() for path in save(figure, folder / name)]


def figures(report: Report) -> dict[str, Figure]:
    """Figures by file name; those of another corpus end with ``-on-<corpus>``.

    Raises MissingExtraError without matplotlib.
    """
    plots: dict[str, Callable[[Report], Figure | None]] = {
        "layer-weights": layer_weights,
        "scatter" if report.targets else "confusion": _agreement,
        "learning-curves": learning_curves,
        "folds": folds,
        "calibration": calibration,
    }
    drawn = {name: plot(report) for name, plot in plots.items()}
    for there in report.cross_corpus:
        name = names_there(report, there)
        kind = "scatter" if report.targets else "confusion"
        drawn[f"{kind}-on-{name}"] = _agreement_on(report, there)
        drawn[f"layer-weights-on-{name}"] = layer_weights_on(report, there)
    return {name: figure for name, figure in drawn.items() if figure is not None}


def save(figure: Figure, stem: Path) -> list[Path]:
    """Write ``stem``.png (150 dots per inch) and ``stem``.svg; gives their paths."""
    png_path, svg_path = (stem.with_name(f"{stem.name}.{kind}") for kind in ("png", "svg"))
    drawn = io.BytesIO()
    with _quiet(figure):
        figure.savefig(drawn, format="png", dpi=150, metadata={"Software": None})
    files.write_bytes(png_path, drawn.getvalue())
    drawn = io.BytesIO()
    svg(figure, drawn)
    files.write_bytes(svg_path, drawn.getvalue())
    return [png_path, svg_path]


def svg(figure: Figure, file: BinaryIO) -> None:
    """Write a figure as SVG: text as text, and the same bytes each time."""
    from matplotlib import rc_context

    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "sercache"}), _quiet(figure):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})


@contextmanager
def _quiet(figure: Figure) -> Iterator[None]:
    """Draw names in whatever script: by fonts of this machine that have it, else as they are and without a warning."""
    from matplotlib import font_manager
    from matplotlib.text import Text

    own = font_manager.fontManager.get_font_names()
    more = [name for name in _SCRIPTS if name in own]
    for text in figure.findobj(Text):
        if more and isinstance(text, Text) and max(text.get_text(), default="") >= _FIRST_OTHER:
            text.set_fontfamily(["DejaVu Sans", *more])
    logger = logging.getLogger("matplotlib.font_manager")
    level = logger.level
    with warnings.catch_warnings():
        logger.setLevel(logging.ERROR)  # a font without the weight asked for is taken all the same
        warnings.filterwarnings("ignore", "Glyph .* missing from")
        warnings.filterwarnings("ignore", "Matplotlib currently does not support")
        try:
            yield
        finally:
            logger.setLevel(level)


def _agreement(report: Report) -> Figure | None:
    if not report.summary:
        return None
    return scatter(report) if report.targets else confusion(report)


def _agreement_on(report: Report, there: CrossCorpus) -> Figure:
    if report.targets:
        title = about(report, f"true and predicted on {there.dataset}")
        way = way_there(report)
        rho = {name: there.summary[f"rho:{name}"].score(way).mean for name in report.targets}
        made = f"{made_of(report, there)}; rho: mean over models"
        return scatter_of(title, report.targets, there.predictions, rho, made)
    title = about(report, f"confusion matrix on {there.dataset}")
    return confusion_of(title, report.classes, there.confusion, made_of(report, there))


def names_there(report: Report, there: CrossCorpus) -> str:
    """What plots of another corpus end with: its name, with the task where it was tested on by several."""
    return file_name(there.dataset) + (f"-{there.task}" if _is_double(report, there) else "")


def _is_double(report: Report, there: CrossCorpus) -> bool:
    return sum(each.dataset == there.dataset for each in report.cross_corpus) > 1
