"""Draw docs/demo.svg from what `make demo` left: what ran once, what was trained from it, and what that spared.

python docs/make_picture.py [demo-output]
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.sax.saxutils import escape

import sercache
from sercache.report import passes_saved
from sercache.units import duration, size

OUT = Path(__file__).with_name("demo.svg")
HEADS = ("logistic", "linear", "mlp", "layer-attention", "superb", "superb-logmel")
WIDTH, LEFT, RIGHT, ROW = 860, 470, 770, 24
CHANCE = 0.25
"""Of four classes."""
STYLE = """
  text { font: 14px system-ui, -apple-system, "Segoe UI", "Helvetica Neue", Arial, sans-serif; fill: #24292f }
  .small { font-size: 12px; fill: #57606a }
  .big { font-size: 17px; font-weight: 600 }
  .card { fill: #fbfbf9; stroke: #d0d7de }
  .box { fill: #ffffff; stroke: #8c959f }
  .line { stroke: #8c959f; fill: none }
  .head { fill: #0969da } .state { fill: #1a7f37 }
  .interval { stroke: #24292f; stroke-width: 1.5 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9da7b3 }
    .card { fill: #0d1117; stroke: #30363d } .box { fill: #161b22; stroke: #6e7681 }
    .line { stroke: #6e7681 } .interval { stroke: #e6edf3 }
    .head { fill: #4493f8 } .state { fill: #3fb950 }
  }
"""


def draw(demo: Path) -> str:
    """The picture as SVG, of the results in a folder that `make demo` filled."""
    stores = sercache.info(cache=demo / "cache", progress=False)
    results = {name: sercache.Result.load(demo / "runs" / name) for name in HEADS}
    with (demo / "runs" / "probe-demo-wavlm-demo" / "probe.csv").open(encoding="utf-8", newline="") as file:
        states = [(f"block {row['state']}", row) for row in csv.DictReader(file)]
    heads = [(name, *_score(result.report)) for name, result in results.items()]
    probed = [(name, float(row["UA"]), *_interval(row)) for name, row in states]
    bottom = 96 + ROW * (len(heads) + len(probed) + 2)
    n_heads = len({result.report.head for result in results.values()})
    said = passes_saved([result.report for result in results.values()])
    height = bottom + 26 + 20 * len(said)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" '
        'role="img" aria-labelledby="title">',
        '<title id="title">What make demo shows: encoders run once, heads and probes are trained from the '
        "cache</title>",
        f"<style>{STYLE}</style>",
        f'<rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="10"/>',
        *_left(stores, bottom),
        _text(LEFT, 40, f"{n_heads} heads and a probe of {len(probed)} blocks", "big"),
        _text(LEFT, 62, "UA on speakers not trained on, with 95 % intervals", "small"),
        *_bars(heads, 80, "head"),
        *_bars(probed, 80 + ROW * (len(heads) + 1), "state"),
        *_chance(80, 80 + ROW * (len(heads) + len(probed) + 1)),
        *(_text(24, bottom + 20 + 20 * k, line, "small") for k, line in enumerate(said)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _left(stores: list, bottom: int) -> Iterator[str]:
    """The corpus, the encoders that ran over it, and what they left."""
    middle = (80 + bottom) / 2
    first = stores[0]
    yield from _box(24, middle - 40, 120, "speech", f"{first.n_entries} utterances", duration(first.seconds))
    yield from _box(
        310, middle - 40, 120, "cache",
        f"{sum(len(each.spec.states) for each in stores)} states", size(sum(each.n_bytes for each in stores)),
    )  # fmt: skip
    for k, each in enumerate(stores):
        y = middle - 30 + 60 * k
        yield f'<path class="line" d="M144 {middle} C 165 {middle} 160 {y} 180 {y} H 274 C 294 {y} 289 {middle} 310 {middle}"/>'
        yield _text(227, y - 8, each.spec.encoder, anchor="middle")
        yield _text(227, y + 18, "runs once", "small", anchor="middle")
    yield f'<path class="line" d="M430 {middle} H 456 m -7 -5 l 7 5 l -7 5"/>'


def _bars(rows: list[tuple[str, float, float, float]], top: int, kind: str) -> Iterator[str]:
    """A bar from chance for each name, with its interval and number."""
    start = LEFT + 118
    for k, (name, mean, low, high) in enumerate(rows):
        y = top + ROW * k + 14
        yield _text(start - 8, y + 5, name, anchor="end")
        yield f'<rect class="{kind}" x="{start}" y="{y - 6}" width="{_x(mean) - start:.1f}" height="12" rx="2"/>'
        yield f'<path class="interval" d="M{_x(low):.1f} {y} H {_x(high):.1f}"/>'
        yield _text(RIGHT + 66, y + 5, f"{mean:.3f}", anchor="end")


def _chance(top: int, bottom: int) -> Iterator[str]:
    yield f'<path class="line" stroke-dasharray="3 3" d="M{_x(CHANCE):.1f} {top} V {bottom}"/>'
    yield _text(int(_x(CHANCE)), bottom + 14, "chance", "small", anchor="middle")


def _x(score: float) -> float:
    """Where a score of 0 to 0.6 lies."""
    start = LEFT + 118
    return start + (RIGHT - start) * score / 0.6


def _score(report: sercache.Report) -> tuple[float, float, float]:
    found = report.summary["ua"]
    interval = found.seeds_interval
    assert interval is not None
    return found.seeds.mean, interval.low or 0.0, interval.high or 0.0


def _interval(row: dict[str, str]) -> tuple[float, float]:
    low = next(key for key in row if key.startswith("UA") and "low" in key)
    high = next(key for key in row if key.startswith("UA") and "high" in key)
    return float(row[low]), float(row[high])


def _box(x: int, y: float, width: int, title: str, *lines: str) -> Iterator[str]:
    yield f'<rect class="box" x="{x}" y="{y}" width="{width}" height="80" rx="6"/>'
    yield _text(x + width // 2, y + 26, title, "big", anchor="middle")
    for k, line in enumerate(lines):
        yield _text(x + width // 2, y + 46 + 18 * k, line, "small", anchor="middle")


def _text(x: int, y: float, text: str, kind: str = "", anchor: str = "start") -> str:
    chosen = f' class="{kind}"' if kind else ""
    return f'<text x="{x}" y="{y:g}"{chosen} text-anchor="{anchor}">{escape(text)}</text>'


if __name__ == "__main__":
    OUT.write_text(draw(Path(sys.argv[1] if len(sys.argv) > 1 else "demo-output")), encoding="utf-8")
