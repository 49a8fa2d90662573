"""What one card gives against its limits: encoder, line around it, disk, training; one table in under six minutes.

    python benchmarks/gpu.py              on a machine with a CUDA card
    python benchmarks/gpu.py --exact      every family against the CPU, all of its cases, and nothing else
    python benchmarks/gpu.py --rows TEXT  the rows whose name has one of the texts in it
    python benchmarks/gpu.py --rehearse   everything once in tiny sizes on the CPU: its figures mean nothing

Installs nothing and needs no network: weights and recordings are random. Each row stands by itself: one that fails or
runs out of time says so, and the others go on. The sizes are those of the other benchmarks, whose functions these are.
It ends with the families that may be entered as equal to the CPU (sercache/encoders/_devices.py).
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

os.environ["OMP_WAIT_POLICY"] = os.environ.get("OMP_WAIT_POLICY", "passive")

import bare
import exactness
import extract
import pipeline
import start_to_end
import torch
import train
import training_cost
import transformers
from exactness import Apart
from published_sizes import CASES
from random_cache import recipe_of
from turns import Row, measured

from sercache import catalog, encoders
from sercache.training import build


@dataclass(frozen=True)
class Amounts:
    """How much of everything: of a card, or of a rehearsal."""

    device: str
    precision: str
    small: bool
    pack_seconds: float
    """Of audio in one pack."""
    run_seconds: float
    """Of audio in a long run of packs, and in the files of a line."""
    n_items: int
    n_sequences: int
    """Items of heads that read sequences."""
    repeats: int
    hours: float
    """Of the corpus that is extracted from the command line, in ``n_turns`` files."""
    n_turns: int


CARD = Amounts(
    "cuda", "bfloat16", False, 300.0, 1800.0, 2000, 400, 2, start_to_end.HOURS, start_to_end.N_TURNS
)
REHEARSAL = Amounts("cpu", "float32", True, 2.0, 4.0, 16, 2, 1, 4 / 3600, 3)


def rows(sizes: Amounts, folder: Path) -> list[Row]:
    """In the order of what is worth most, should the time run out."""
    found: list[Row] = [
        (
            f"wavlm-large {sizes.precision}, encoder alone, {sizes.pack_seconds:.0f} s in one pack",
            "35 % of GEMM, moonshot 50 %",
            partial(one_pack, sizes),
        ),
        ("the same, long run of packs", "35 % of GEMM, moonshot 50 %", partial(long_run, sizes)),
    ]
    for rate in (16_000, 48_000):
        name = f"line from files, means only, {rate // 1000} kHz"
        found.append((name, "90 % of the encoder alone at 10 h", partial(line_of_means, sizes, folder, rate)))
    found += [
        ("line, full sequences float16", "80 % of the disk's rate", partial(line_of_frames, sizes, folder)),
        (
            f"{sizes.hours:.1f} h from the command line, means, start-up included",
            "45 s for IEMOCAP's 12 h",
            partial(command_line, sizes, folder),
        ),
        ("wav2vec2-base float32", "70 % of the fp32 GEMM rate", partial(base_in_float32, sizes)),
        ("layer-attention, s per epoch", "", partial(of_peers_one_and_many, sizes, "layer-attention")),
    ]
    heads = {"superb": "3 x one", "linear": "3 x one", "weighted-dense": "6 x one", "cta-rnn": ""}
    # At its published size the last takes minutes on a CPU.
    for name in list(heads)[: -1 if sizes.small else None]:
        bar = heads[name]
        found.append((f"{name}, 25 members against one", bar, partial(of_members, sizes, name)))
    for name in training_cost.of_papers():
        found.append((f"{name}, published size", "", partial(cost, sizes, folder, name)))
    return found


def rows_of_exactness(sizes: Amounts, folder: Path, compared: list[Apart], whole: bool) -> list[Row]:
    """A row for each family; what is compared is noted. One case of each, the first, unless ``whole``."""
    found: list[Row] = []
    for family in dict.fromkeys(case.family for case in CASES.values()):
        names = [name for name, case in CASES.items() if case.family == family][: None if whole else 1]
        act = partial(exactness.of_family, names, folder, sizes.device, small=sizes.small, found=compared)
        found.append((f"float32 against the CPU: {family}", f"{exactness.BOUND:g} of RMS", act))
    return found


def command_line(sizes: Amounts, folder: Path) -> str:
    source = folder / "wavlm-large"
    if not source.exists():
        pipeline.checkpoint("wavlm-large", source, sizes.small)
    place = Path(tempfile.mkdtemp(dir=folder))
    listed, seconds = start_to_end.recordings(place / "wav", sizes.hours, sizes.n_turns)
    taken = start_to_end.extract(listed, str(source), place / "cache", sizes.device, sizes.precision)
    shutil.rmtree(place)
    return (
        f"{taken.seconds:.1f} s, {seconds / taken.seconds:,.0f} x real time over {sizes.n_turns} files; with nothing "
        f"left to do {taken.start:.1f} s"
    )


def cost(sizes: Amounts, folder: Path, name: str) -> str:
    return str(training_cost.measure(name, folder, sizes.device, small=sizes.small))


def work_of(sizes: Amounts, model: str, precision: str, seconds: float) -> extract.Work:
    device = torch.device(sizes.device)
    stock, encoder = extract.build(model, sizes.small, device, getattr(torch, precision))
    masked = stock.config.feat_extract_norm == "layer"
    return extract.Work(stock, encoder, extract.make_waves(seconds), masked, device)


def share(work: extract.Work, precision: str, run: Callable[[], object], repeats: int) -> str:
    """Times real time of the best of some runs, and how much of the products' rate measured beside it that is."""
    clock, dtype = clock_of(work.device), getattr(torch, precision)
    run()  # kernels are chosen
    peak, best = 0.0, float("inf")
    for _ in range(repeats + 1):
        peak = max(peak, extract.gemm_rate(work, dtype, clock))
        began = clock()
        run()
        best = min(best, clock() - began)
    seconds, flops = sum(map(len, work.waves)) / extract.RATE, extract.count_flops(work)
    return f"{seconds / best:,.0f} x real time, {flops / best / peak:.0%} of {peak / 1e12:.1f} TFLOP/s"


def clock_of(device: torch.device) -> Callable[[], float]:
    """Seconds of the wall, once the device has finished."""

    def finished() -> float:
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter()

    return finished


def one_pack(sizes: Amounts) -> str:
    work = work_of(sizes, "wavlm-large", sizes.precision, sizes.pack_seconds)

    def run() -> None:
        for _ in work.encoder.encode(work.waves, work.blocks):
            pass

    return share(work, sizes.precision, run, sizes.repeats)


def long_run(sizes: Amounts) -> str:
    work = work_of(sizes, "wavlm-large", sizes.precision, sizes.run_seconds)
    return share(work, sizes.precision, partial(extract.packed, work), sizes.repeats)


def base_in_float32(sizes: Amounts) -> str:
    work = work_of(sizes, "wav2vec2-base", "float32", sizes.pack_seconds)
    clock = clock_of(work.device)
    found = share(work, "float32", partial(extract.packed, work), sizes.repeats)
    naive, ours = (min(seconds_of(partial(loop, work), clock) for _ in range(2)) for loop in LOOPS)
    return f"{found}; {naive / ours:.1f} x naive"


LOOPS = (extract.naive, extract.packed)


def seconds_of(act: Callable[[], object], clock: Callable[[], float]) -> float:
    began = clock()
    act()
    return clock() - began


def line_work(sizes: Amounts, folder: Path, rate: int, *, frames: bool) -> tuple[pipeline.Work, float]:
    source = folder / "wavlm-large"
    if not source.exists():
        pipeline.checkpoint("wavlm-large", source, sizes.small)
    encoder = encoders.load(str(source), device=sizes.device, precision=sizes.precision)
    place = Path(tempfile.mkdtemp(dir=folder))
    corpus, seconds = pipeline.recordings(place / "wav", sizes.run_seconds, rate)
    return pipeline.Work(encoder, corpus, place, frames, None), seconds


def line_of_means(sizes: Amounts, folder: Path, rate: int) -> str:
    work, seconds = line_work(sizes, folder, rate, frames=False)
    alone = pipeline.alone(work)
    alone()
    taken = [
        (pipeline.timed(alone)[0].wall, *pipeline.timed(partial(pipeline.line, work)))
        for _ in range(sizes.repeats)
    ]
    by_itself = min(each[0] for each in taken)
    line, (result, _) = min(((each[1].wall, each[2]) for each in taken), key=lambda each: each[0])
    return (
        f"{by_itself / line:.0%} of the encoder alone, {seconds / line:,.0f} x real time over {seconds / 60:.1f} min; "
        f"limit: {result.load}"
    )


def line_of_frames(sizes: Amounts, folder: Path) -> str:
    work, _ = line_work(sizes, folder, 16_000, frames=True)
    taken, (result, n_bytes) = pipeline.timed(partial(pipeline.line, work))
    disk = pipeline.timed(partial(pipeline.write, work.folder / "plain", n_bytes))[0].wall
    (work.folder / "plain").unlink()
    return (
        f"{n_bytes / taken.wall / 1e6:,.0f} MB/s, {disk / taken.wall:.0%} of the disk; limit: {result.load}"
    )


def options_of(sizes: Amounts, name: str) -> Namespace:
    """As the benchmark of training takes them."""
    frames = catalog.load("sercache.heads", name).SETUP.frames
    n_items = sizes.n_sequences if frames else sizes.n_items
    return Namespace(
        items=n_items, repeats=sizes.repeats, epochs=2, alone=2, device=sizes.device, share_order=False
    )


def of_members(sizes: Amounts, name: str) -> str:
    options, recipe = options_of(sizes, name), recipe_of(name)
    view = train.cache_of(name, options).view()
    head = build(catalog.load("sercache.heads", name).Head, view, 4, 0)
    one = train.seconds_of_ours(head, view, recipe, sizes.device, sizes.repeats)
    faster, _, many, way = train.seconds_of_many(head, view, recipe, options, options.epochs)
    return (
        f"{train.FOLDS * train.SEEDS / faster:.1f} x one ({way}); s per epoch: one {one:.3f}, one of 25 {many:.3f}, "
        f"{options.items} items"
    )


def of_peers_one_and_many(sizes: Amounts, name: str) -> str:
    peers = train.peers_apart(name, options_of(sizes, name))
    return f"peers {peers:.2f}; {of_members(sizes, name)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes on the CPU, to see that it runs")
    parser.add_argument(
        "--exact", action="store_true", help="every case of every family against the CPU alone"
    )
    parser.add_argument(
        "--rows", action="append", metavar="TEXT", help="rows with TEXT in their name alone; may repeat"
    )
    parser.add_argument("--minutes", type=float, default=5.5, help="for everything  [default: 5.5]")
    parser.add_argument("--folder", type=Path, help="where to write  [default: the temporary folder]")
    chosen = parser.parse_args()
    bare.stand_in()
    if not chosen.rehearse and not torch.cuda.is_available():
        sys.exit(
            "no CUDA card here: nothing is measured. --rehearse runs it all in tiny sizes on the CPU, "
            "to see that it works"
        )
    sizes, ends = REHEARSAL if chosen.rehearse else CARD, time.monotonic() + 60 * chosen.minutes
    transformers.utils.logging.disable_progress_bar()
    print(" ".join(["python", *sys.argv]))
    print(pipeline.machine(sizes.device))
    print("a rehearsal: these figures mean nothing\n" if chosen.rehearse else "")
    print("| measured | got | bar |\n|---|---|---|", flush=True)
    n_failed, compared = 0, list[Apart]()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        table = [] if chosen.exact else rows(sizes, Path(folder))
        table += rows_of_exactness(sizes, Path(folder), compared, chosen.exact)
        table = [row for row in table if any(text in row[0] for text in chosen.rows or [""])]
        if not table:
            sys.exit(
                f"no row has {' or '.join(map(repr, chosen.rows))} in its name; without --rows all are measured"
            )
        for number, (name, bar, measure) in enumerate(table):
            # A fifth of what is left, or an even share: no row keeps the others from their turn.
            left = ends - time.monotonic()
            got = measured(measure, max(left / 5, left / (len(table) - number)))
            n_failed += got.startswith("failed")
            print(f"| {name} | {got} | {bar} |", flush=True)
            if sizes.device == "cuda":
                torch.cuda.empty_cache()
    if not chosen.rehearse:
        for each in exactness.to_enter(compared, exactness.card_of(sizes.device)):
            print(f"to enter in sercache/encoders/_devices.py: {each}")
    if n_failed:
        sys.exit(f"{n_failed} rows failed")


if __name__ == "__main__":
    main()
