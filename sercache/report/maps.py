"""Maps of vectors in the plane: t-SNE of embeddings, a dot for each utterance."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from sercache.errors import SettingsError
from sercache.report.canvas import COLOURS, canvas, legend
from sercache.text import natural

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PERPLEXITY = 20.0
_MOST_NAMES = 48
"""In a legend."""
_SHAPES = "o^sDvP*X"
"""One more than there are colours: a pair of both stands for one label of up to 56."""


def vector_map(
    panels: Sequence[tuple[str, np.ndarray, Sequence[str]]], title: str, *, seed: int = 0
) -> Figure:
    """t-SNE of vectors (U, D) by label, a panel for each (name, vectors, labels).

    As the published code of Park et al. 2023 draws Figures 5, 6, 8 and 9: perplexity 20, begun from
    principal components, automatic learning rate. Where some panels have vectors enough, those that have not are
    empty and say so; raises SettingsError where all have too few.
    """
    if not any(len(vectors) > PERPLEXITY for _, vectors, _ in panels):
        raise SettingsError(_too_few(max(len(vectors) for _, vectors, _ in panels)))
    placed: list[tuple[str, np.ndarray, Sequence[str]]] = []
    for name, vectors, labels in panels:
        if len(vectors) > PERPLEXITY:
            placed.append((name, tsne(vectors, seed=seed), labels))
        else:
            placed.append((f"{name}\n{len(vectors)} vectors, too few for a map", np.empty((0, 2)), ()))
    return place_map(placed, title)


def place_map(panels: Sequence[tuple[str, np.ndarray, Sequence[str]]], title: str) -> Figure:
    """Dots at places (U, 2) by label, a panel for each (name, places, labels).

    Each label has a colour and a shape, for those who tell colours apart badly. More labels than a legend can hold
    (_MOST_NAMES) come round again and have none, which the title says.
    """
    names = sorted({label for _, _, labels in panels for label in labels}, key=natural)
    colours = {name: COLOURS[k % len(COLOURS)] for k, name in enumerate(names)}
    markers = {name: _SHAPES[k % len(_SHAPES)] for k, name in enumerate(names)}
    if len(names) > _MOST_NAMES:
        title += f"\n{len(names)} labels, too many for a legend: colours and shapes come round again"
    n_columns = min(2, len(panels))
    n_rows = -(-len(panels) // n_columns)
    figure, grid = canvas(
        title, width=4.4 * n_columns, height=4.2 * n_rows + 0.8, rows=n_rows, columns=n_columns
    )
    for axes, (name, places, labels) in zip(grid, panels, strict=False):
        of = np.array(labels, dtype=str)
        for label in names:
            x, y = places[of == label].T
            axes.scatter(
                x, y, s=12, alpha=0.7, linewidths=0, color=colours[label], marker=markers[label], label=label
            )
        axes.set_xticks([])
        axes.set_yticks([])
        axes.set_title(name, fontsize=9)
    for axes in grid[len(panels) :]:
        axes.set_visible(False)
    if len(names) <= _MOST_NAMES:
        legend(figure, grid[0])
    return figure


def tsne(vectors: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Places (U, 2) of vectors (U, D); see ``vector_map``. Raises SettingsError for too few vectors."""
    from sklearn.manifold import TSNE

    if len(vectors) <= PERPLEXITY:
        raise SettingsError(_too_few(len(vectors)))
    found: np.ndarray = TSNE(
        2, perplexity=PERPLEXITY, init="pca", learning_rate="auto", random_state=seed
    ).fit_transform(np.asarray(vectors, np.float32))
    return found


def _too_few(n: int) -> str:
    return (
        f"a map of perplexity {PERPLEXITY:g} needs more vectors than that, got {n}; choose a corpus or a task with "
        "more utterances"
    )
