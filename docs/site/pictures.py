"""The pictures of docs/concepts.md as SVG: `python docs/site/pictures.py` writes them anew into docs/pictures/.

Set into a page they take its colours; seen alone, those that the reader's system asks for. 560 units wide, so that
letters of 17 can be read on a telephone.
"""

from __future__ import annotations

from collections.abc import Callable
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "pictures"
_WIDTH = 560
_LIGHT = "--ink:#1f2328;--soft:#57606a;--fill:#eef4f4;--mark:#00796b;--warn:#b3541e;--line:#8c959f"
_DARK = "--ink:#e6edf3;--soft:#a5b0bb;--fill:#24343a;--mark:#4db6ac;--warn:#f0a36b;--line:#6e7681"
_STYLE = (
    f":root{{{_LIGHT}}}@media(prefers-color-scheme:dark){{:root{{{_DARK}}}}}"
    ".p-t{fill:var(--ink);font:17px system-ui,sans-serif}.p-s{fill:var(--soft);font:15px system-ui,sans-serif}"
    ".p-h{fill:var(--mark);font:600 17px system-ui,sans-serif}.p-w{fill:var(--warn);font:15px system-ui,sans-serif}"
    ".p-b{fill:var(--fill);stroke:var(--line)}.p-m{fill:var(--mark);stroke:none}.p-o{fill:none;stroke:var(--line)}"
    ".p-x{fill:var(--warn);stroke:none;opacity:.75}.p-a{fill:none;stroke:var(--ink);stroke-width:1.5}"
    ".p-n{fill:var(--paper,#fff);font:600 15px system-ui,sans-serif}"
)


def text(x: float, y: float, words: str, kind: str = "t", anchor: str = "start") -> str:
    """Words whose base line begins at (x, y), or is centred there. Kinds: t text, s small, h heading, w warning."""
    middle = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="p-{kind}" x="{x:g}" y="{y:g}"{middle}>{escape(words)}</text>'


def box(x: float, y: float, width: float, height: float, *words: str, kind: str = "b") -> str:
    """A box with lines of words in its middle, the first large. Kinds: b plain, m marked, x warning, o outline."""
    first = y + height / 2 + 6 - 10 * (len(words) - 1)
    lines = [
        text(x + width / 2, first + 20 * k, each, "s" if k else "t", "middle") for k, each in enumerate(words)
    ]
    shape = f'<rect class="p-{kind}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" rx="4"/>'
    return "\n".join([shape, *lines])


def arrow(*points: tuple[float, float]) -> str:
    """A line through points with a head at its end."""
    (x0, y0), (x1, y1) = points[-2:]
    across, down = (x1 > x0) - (x1 < x0), (y1 > y0) - (y1 < y0)
    wings = [
        (x1 - 8 * across - 5 * down, y1 - 8 * down - 5 * across),
        (x1 - 8 * across + 5 * down, y1 - 8 * down + 5 * across),
    ]
    (ax, ay), (bx, by) = wings
    path = " ".join(f"{'L' if k else 'M'}{x:g} {y:g}" for k, (x, y) in enumerate(points))
    return f'<path class="p-a" d="{path} M{ax:g} {ay:g} L{x1:g} {y1:g} L{bx:g} {by:g}"/>'


def drawing(height: float, said: str, *parts: str) -> str:
    """The picture. ``said`` is what a screen reader says of it."""
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:g}" role="img" '
        f'aria-label="{escape(said)}">',
        f"<style>{_STYLE}</style>", *parts, "</svg>", "",
    ])  # fmt: skip


def two_stages() -> str:
    """From recordings to a table."""
    return drawing(
        500,
        "Stage one: recordings go through a frozen encoder once, and every layer is kept in a store. "
        "Stage two: any number of heads are trained from the store, for every fold and seed, and give a table.",
        text(20, 28, "Stage one: once", "h"),
        box(20, 44, 150, 60, "recordings", "a corpus"),
        arrow((170, 74), (200, 74)),
        box(202, 44, 156, 60, "frozen encoder", "25 layers, one pass"),
        arrow((358, 74), (388, 74)),
        box(390, 44, 150, 60, "store", "every layer, exact"),
        text(20, 134, "sercache extract", "s"),
        arrow((465, 104), (465, 210)),
        text(20, 190, "Stage two: as often as you like", "h"),
        box(390, 212, 150, 60, "views", "layers, scaling"),
        *[
            part
            for k, head in enumerate(("linear probe", "layer attention", "LSTM", "yours"))
            for part in (
                arrow((465, 272), (465, 300 + 34 * k + 14), (362, 300 + 34 * k + 14)),
                box(202, 300 + 34 * k, 158, 28, head),
                arrow((202, 314 + 34 * k), (172, 314 + 34 * k)),
            )
        ],
        box(20, 300, 150, 130, "folds × seeds", "predictions", "scores, intervals", "differences"),
        text(20, 462, "sercache train · probe · compare", "s"),
        text(20, 484, "No encoder runs here: a laptop will do.", "s"),
    )


def store() -> str:
    """What lies in a store."""
    colours = ("m", "b", "o")
    lengths = (150, 90, 200)
    rows = []
    for k, state in enumerate(("layer 1", "layer 2", "…", "layer 24")):
        y = 86 + 34 * k
        rows.append(text(20, y + 18, state, "s"))
        x = 100.0
        for kind, length in zip(colours, lengths, strict=True):
            rows.append(f'<rect class="p-{kind}" x="{x:g}" y="{y}" width="{length}" height="26" rx="2"/>')
            x += length
    return drawing(
        460,
        "A store holds frames by layer, one utterance after another without padding; means and deviations of every "
        "utterance; a ledger of commits with checksums; the labels of the corpus; and a specification.",
        text(20, 28, "frames: layer × frame × dimension", "h"),
        text(100, 62, "utterance a", "s"),
        text(258, 62, "b", "s"),
        text(345, 62, "utterance c", "s"),
        *rows,
        text(100, 244, "one after another: no frame is padding", "s"),
        box(20, 268, 250, 56, "means, deviations", "a row an utterance"),
        box(290, 268, 250, 56, "commits", "what counts, with checksums"),
        box(20, 336, 250, 56, "labels", "of the corpus, no recordings"),
        box(290, 336, 250, 56, "spec.json", "all that decides the bytes"),
        text(20, 424, "Plain Zarr v3 or HDF5: zarr, xarray and h5py read it without sercache.", "s"),
        text(20, 446, "The folder is named by a digest of spec.json.", "s"),
    )


def folds() -> str:
    """Who trains, selects and tests."""
    parts = []
    for k in range(5):
        y = 66 + 44 * k
        parts.append(text(20, y + 22, f"fold {k + 1}", "t"))
        for session in range(5):
            kind = "m" if session == k else "x" if session == (k + 1) % 5 else "b"
            parts.append(
                f'<rect class="p-{kind}" x="{100 + 90 * session}" y="{y}" width="82" height="32" rx="3"/>'
            )
    return drawing(
        400,
        "Leave one session out: five folds, in each of them another session is the test part, the next one the dev "
        "part that selects the epoch, and the other three train.",
        text(20, 26, "leave-one-session-out, --dev next", "h"),
        *[text(100 + 90 * k + 41, 54, f"Ses0{k + 1}", "s", "middle") for k in range(5)],
        *parts,
        '<rect class="p-b" x="20" y="300" width="22" height="16" rx="2"/>',
        text(50, 314, "trains"),
        '<rect class="p-x" x="150" y="300" width="22" height="16" rx="2"/>',
        text(180, 314, "dev: selects the epoch"),
        '<rect class="p-m" x="390" y="300" width="22" height="16" rx="2"/>',
        text(420, 314, "test"),
        text(20, 350, "The test part selects nothing. Checked in every fold and told in every", "s"),
        text(20, 370, "result: are speakers, sentences and equal recordings kept apart?", "s"),
        text(20, 390, "Scored once over all test parts together, with an interval over speakers.", "s"),
    )


def exactness() -> str:
    """Why nothing is padded."""
    wave = '<rect class="p-m" x="{x}" y="{y}" width="{w}" height="30" rx="3"/>'
    zeros = '<rect class="p-x" x="{x}" y="{y}" width="{w}" height="30" rx="3"/>'
    return drawing(
        470,
        "Padded: short recordings are filled with zeros up to the longest, and the encoder mixes them in, so that "
        "features depend on the company. Packed: recordings lie one after another; dense layers see all frames at "
        "once, attention and convolutions one recording at a time, so that features are those of running it alone.",
        text(20, 28, "Padded: features depend on the company", "h"),
        wave.format(x=20, y=46, w=420),
        wave.format(x=20, y=84, w=180),
        zeros.format(x=200, y=84, w=240),
        wave.format(x=20, y=122, w=300),
        zeros.format(x=320, y=122, w=120),
        text(452, 66, "a"),
        text(452, 104, "b + zeros", "w"),
        text(452, 142, "c + zeros", "w"),
        text(20, 180, "Normalisation over time and convolutions mix the zeros in. A mask", "s"),
        text(20, 200, "helps only checkpoints that were trained with one.", "s"),
        text(20, 250, "Packed: features of b are those of b alone", "h"),
        wave.format(x=20, y=268, w=240),
        wave.format(x=264, y=268, w=100),
        wave.format(x=368, y=268, w=170),
        text(140, 316, "a", "s", "middle"),
        text(314, 316, "b", "s", "middle"),
        text(453, 316, "c", "s", "middle"),
        box(20, 330, 518, 36, "dense layers: all frames in one product"),
        box(20, 374, 240, 36, "attention of a"),
        box(264, 374, 100, 36, "of b"),
        box(368, 374, 170, 36, "of c"),
        text(20, 440, "Held by a test for every family, every state: alone = in any batch,", "s"),
        text(20, 460, "within 2e-5 of the state's RMS in float32.", "s"),
    )


def claims() -> str:
    """How processes share one command."""
    batches = [("done", "m"), ("done", "m"), ("host A", "b"), ("host B", "b"), ("free", "o"), ("free", "o")]
    row = [
        part
        for k, (word, kind) in enumerate(batches)
        for part in (
            f'<rect class="p-{kind}" x="{20 + 88 * k}" y="176" width="80" height="36" rx="3"/>',
            text(
                60 + 88 * k,
                200,
                "" if kind == "m" else word,
                "s",
                "middle",
            ),
            text(60 + 88 * k, 232, word if kind == "m" else "", "s", "middle"),
        )
    ]
    return drawing(
        420,
        "Two hosts run the same command. Each claims batches of one plan by creating files, passes over what is "
        "committed, takes over what a dead one left, and both end when nothing is left.",
        text(20, 28, "The same command, started twice", "h"),
        box(20, 44, 230, 56, "host A", "sercache extract …"),
        box(310, 44, 230, 56, "host B", "sercache extract …"),
        arrow((135, 100), (135, 134), (236, 134), (236, 172)),
        arrow((425, 100), (425, 134), (324, 134), (324, 172)),
        text(20, 160, "one plan of batches", "s"),
        *row,
        text(20, 272, "A claim is a file that exactly one process can create.", "t"),
        text(20, 298, "Killed? Its batches are taken up: at once on the same host, after", "s"),
        text(20, 318, "60 s elsewhere. What it had committed counts.", "s"),
        text(20, 350, "Who is computed together is fixed in the plan, so the bits are those", "s"),
        text(20, 370, "of one process. Trainings are shared the same way: by fold and seed.", "s"),
        text(20, 402, "No scheduler, no locks, no clocks that agree.", "s"),
    )


PICTURES: dict[str, Callable[[], str]] = {
    "two-stages": two_stages,
    "store": store,
    "folds": folds,
    "exactness": exactness,
    "claims": claims,
}
"""By the name of the file."""


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    for name, draw in PICTURES.items():
        (FOLDER / f"{name}.svg").write_text(draw(), encoding="utf-8")


if __name__ == "__main__":
    main()
