"""Writes docs/example.ipynb: runs its cells from top to bottom and keeps what they print.

python docs/make_example.py
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

import nbformat
from nbclient import NotebookClient

CELLS = [
    (
        "markdown",
        "# From a corpus to a table in six lines\n\n"
        "The embedded demo corpus (synthetic speech) and the embedded demo encoder (a small WavLM with **random "
        'weights**) stand in for yours: put `"iemocap"` and `"wavlm-large"` in their places.',
    ),
    (
        "code",
        "import sercache\n\n"
        'corpus = sercache.read_corpus("demo", "demo-corpus")\n'
        'encoder = sercache.load_encoder("demo-wavlm", device="cpu")\n'
        'store = sercache.extract(encoder, corpus, cache="cache", progress=False)\n'
        'result = sercache.train("linear", store, corpus, states="blocks", seeds=1, device="cpu", progress=False)\n'
        "print(sercache.table(result))",
    ),
    (
        "markdown",
        "## What was extracted\n\nEvery state of every utterance, as full sequences and as means and "
        "standard deviations over time.",
    ),
    (
        "code",
        "utterance = corpus.utterances[0]\n"
        "print(utterance.id, utterance.raw_label, utterance.transcript)\n"
        'print("states:", store.spec.states)\n'
        'print("frames (L, T, D):", store.read(utterance.id).shape)\n'
        'print("means (U, L, D):", store.pooled().shape)',
    ),
    (
        "markdown",
        "## The same with stock zarr, without sercache\n\nA store is a plain Zarr v3 group: `frame_start` "
        "and `n_frames` say where an utterance lies on the frame axis.",
    ),
    (
        "code",
        "import numpy as np\nimport zarr\n\n"
        'group = zarr.open(str(store.path), mode="r")\n'
        "print(sorted(name for name, _ in group.arrays()))\n"
        'frames = group["frames"]\n'
        'print(frames.metadata.dimension_names, frames.shape, frames.dtype, "shards", frames.shards)\n'
        'start, n = group["frame_start"][0], group["n_frames"][0]\n'
        "first = frames[:, start : start + n]\n"
        'print("equal to ours:", np.array_equal(first, store.read(store.ids()[0])))',
    ),
    ("markdown", "## What the result rests on"),
    (
        "code",
        "report = result.report\n"
        "print(report.normalisation)\nprint(report.selection)\n"
        "for fold in report.folds[:3]:\n"
        '    print(fold.name, fold.n_train, fold.n_test, "speakers disjoint:", fold.speakers_disjoint)\n'
        'for line in report.deviations:\n    print("differs from the published set-up:", line)',
    ),
]


def write(cells: Sequence[tuple[str, str]], name: str, folder: Path) -> None:
    """Run cells, each its kind and its text, in a folder, and write them as a notebook beside this file."""
    book = nbformat.v4.new_notebook()
    make = {"markdown": nbformat.v4.new_markdown_cell, "code": nbformat.v4.new_code_cell}
    book.cells = [make[kind](text, id=f"cell-{k}") for k, (kind, text) in enumerate(cells)]
    NotebookClient(book, timeout=1800, resources={"metadata": {"path": str(folder)}}).execute()
    book.metadata = {"language_info": {"name": "python"}}
    for cell in book.cells:
        cell.get("metadata", {}).pop("execution", None)
        if cell.cell_type == "code":  # progress bars and warnings name folders of this machine
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(book, Path(__file__).with_name(name))


def main() -> None:
    """Run the cells in a temporary folder and write the notebook beside this file."""
    with tempfile.TemporaryDirectory() as folder:
        write(CELLS, "example.ipynb", Path(folder))


if __name__ == "__main__":
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    main()
