"""What the line around the encoder costs: from WAV files to a committed store, against the encoder alone.

    python benchmarks/pipeline.py [--model wav2vec2-base | wavlm-large] [--rate 16000 48000] [--pooled-only]
    python benchmarks/pipeline.py --device cuda --precision bfloat16 --model wavlm-large --pooled-only
    python benchmarks/pipeline.py --device cuda --precision bfloat16 --model wavlm-large --full

WAV files of noise (lengths as in emotion corpora) and a checkpoint with random weights are made in a
temporary folder. On the same audio, in turn, and the best of each counts:

alone    the encoder on waves in memory, in the plan's batches; states are given up as they come
line     everything of ``sercache extract``: headers, plan, decode, resample, encode, pool, write, commit

``--full`` compares the bytes of a store with full sequences to the disk's own sequential rate: one file of
as many bytes, written in one go and flushed, beside the store.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import transformers

from sercache import encoders, extraction, stores
from sercache.datasets import Corpus, manifest
from sercache.encoders import Encoder
from sercache.extraction import Extraction, decode
from sercache.extraction.stages import Busy

MODELS = {
    "wav2vec2-base": ("Wav2Vec2", {}),
    "wavlm-large": (
        "WavLM",
        {
            "hidden_size": 1024,
            "num_hidden_layers": 24,
            "num_attention_heads": 16,
            "intermediate_size": 4096,
            "feat_extract_norm": "layer",
            "do_stable_layer_norm": True,
        },
    ),
}
SMALL = {"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 192}
BLOCK = 16 * 2**20  # bytes of a write


@dataclass(frozen=True)
class Work:
    encoder: Encoder
    corpus: Corpus
    folder: Path
    """Stores are made here."""
    frames: bool
    workers: int | None


def checkpoint(name: str, folder: Path, small: bool) -> Path:
    kind, settings = MODELS[name]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        config = getattr(transformers, f"{kind}Config")(**(settings | (SMALL if small else {})))
        getattr(transformers, f"{kind}Model")(config).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


def recordings(folder: Path, seconds: float, rate: int) -> tuple[Corpus, float]:
    """Noise of log-normal lengths, median 3.5 s, between 0.6 and 20 s, as 16-bit WAV; and its seconds."""
    folder.mkdir()
    random = np.random.default_rng(0)
    rows, total = ["id,path,label"], 0.0
    while total < seconds:
        length = float(np.clip(3.5 * np.exp(0.6 * random.standard_normal()), 0.6, 20))
        name = f"{len(rows):06d}.wav"
        soundfile.write(folder / name, random.normal(0, 0.1, int(length * rate)), rate, subtype="PCM_16")
        rows.append(f"u{len(rows)},{name},ab")
        total += length
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    return manifest.read(folder / "list.csv"), total


def planned(work: Work, folder: Path) -> extraction.Plan:
    spec = extraction.feature_spec(work.encoder, work.corpus, frames=work.frames)
    return extraction.make_plan(work.encoder, work.corpus.utterances, spec, folder)


def line(work: Work) -> tuple[Extraction, int]:
    """One extraction from files to a committed store, which is removed; its bytes."""
    with tempfile.TemporaryDirectory(dir=work.folder) as folder:
        path = Path(folder) / "store"
        plan = planned(work, path)
        decoders, n_writers = extraction.threads(work.encoder, plan.spec)
        writer, *beside = (stores.create(path, plan.spec) for _ in range(n_writers))
        result = extraction.extract(
            plan, work.encoder, writer, stores.open(path), beside=beside, workers=work.workers or decoders
        )
        assert result.n_encoded == len(work.corpus.utterances), result.skipped
        return result, stores.open(path).n_bytes()


def alone(work: Work) -> Callable[[], None]:
    """The encoder over the plan's batches, decoded beforehand."""
    plan = planned(work, work.folder)
    batches = [
        [item.wave for item in batch if isinstance(item, decode.Decoded)]
        for batch in decode.ahead(plan.batches, decode.decoder(work.encoder, Busy()), work.workers or 2)
    ]

    def run() -> None:
        for waves in batches:
            for _ in work.encoder.encode(waves, plan.spec.states):
                pass
        if extraction.device_of(work.encoder).type == "cuda":
            torch.cuda.synchronize()

    return run


@dataclass(frozen=True)
class Taken:
    wall: float
    cpu: float
    """Seconds of all threads of the process: what other work on the machine does not move."""


def timed(function: Callable) -> tuple[Taken, Any]:
    began, cpu = time.perf_counter(), time.process_time()
    found = function()
    return Taken(time.perf_counter() - began, time.process_time() - cpu), found


def compare(work: Work, seconds: float, repeats: int) -> None:
    """Encoder alone and line in turn; the line's time counts from the first header to the last commit."""
    by_itself = alone(work)
    taken: dict[str, list[Taken]] = {"alone": [], "line": []}
    fastest, n_bytes = None, 0
    for _ in range(repeats):
        taken["alone"].append(timed(by_itself)[0])
        last, (result, n_bytes) = timed(partial(line, work))
        if not taken["line"] or last.wall < min(each.wall for each in taken["line"]):
            fastest = result
        taken["line"].append(last)
    wall = {name: min(each.wall for each in runs) for name, runs in taken.items()}
    cpu = {name: min(each.cpu for each in runs) for name, runs in taken.items()}
    for name in taken:
        print(
            f"{name:<6}{wall[name]:>9.2f} s{seconds / wall[name]:>10.1f} x real time{cpu[name]:>9.2f} CPU s"
        )
    kind = "full sequences in float16" if work.frames else "means and deviations"
    print(
        f"the line gives {wall['alone'] / wall['line']:.0%} of the encoder alone by the clock, "
        f"{cpu['alone'] / cpu['line']:.0%} by CPU seconds ({kind}, {n_bytes / 1e6:.0f} MB)"
    )
    if fastest is not None:
        print(f"limit: {fastest.load}")


def against_disk(work: Work, seconds: float, repeats: int) -> None:
    """Bytes of the store per second of the line, and of one file of as many bytes."""
    best = disk = 0.0
    load, n_bytes = "", 0
    for _ in range(repeats):
        taken, (result, n_bytes) = timed(partial(line, work))
        if n_bytes / taken.wall > best:
            best, load = n_bytes / taken.wall, str(result.load)
        disk = max(disk, n_bytes / timed(partial(write, work.folder / "plain", n_bytes))[0].wall)
        (work.folder / "plain").unlink()
    print(
        f"line  {best / 1e6:>8.0f} MB/s, {seconds * best / n_bytes:.0f} x real time, {n_bytes / 1e9:.2f} GB"
    )
    print(f"disk  {disk / 1e6:>8.0f} MB/s, one file written in one go and flushed")
    print(f"the line writes at {best / disk:.0%} of the disk's rate")
    print(f"limit: {load}")


def write(path: Path, n_bytes: int) -> None:
    block = np.random.default_rng(0).bytes(BLOCK)
    with path.open("wb", buffering=0) as file:
        for _ in range(-(-n_bytes // BLOCK)):
            file.write(block)
        os.fsync(file.fileno())


def machine(device: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(": ")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    card = f", {torch.cuda.get_device_name(device)}" if device.startswith("cuda") else ""
    return (
        f"{model}, {os.cpu_count()} CPUs{card}, load {load:.1f} at the start, {torch.get_num_threads()} threads; "
        f"torch {torch.__version__}, transformers {transformers.__version__}"
    )


def main() -> None:
    # As the command line does: threads that wait, sleep.
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", choices=MODELS, default="wav2vec2-base")
    parser.add_argument("--seconds", type=float, help="of audio  [default: 120; with CUDA 3600]")
    parser.add_argument("--rate", type=int, nargs="+", default=[16_000, 48_000], help="of the files, Hz")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=["float32", "bfloat16", "float16"], default="float32")
    parser.add_argument("--pooled-only", action="store_true")
    parser.add_argument("--full", action="store_true", help="full sequences against the disk's own rate")
    parser.add_argument("--threads", type=int, help="of torch  [default: torch's]")
    parser.add_argument(
        "--workers", type=int, help="that decode  [default: 2; with CUDA all cores, at most 16]"
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--folder", type=Path, help="where to write  [default: the system's temporary folder]"
    )
    parser.add_argument("--small", action="store_true", help="a tiny model, to see that it runs")
    run(parser.parse_args())


def run(chosen: argparse.Namespace) -> None:
    on_cuda = chosen.device.startswith("cuda")
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    transformers.utils.logging.disable_progress_bar()
    print(" ".join(["python", *sys.argv]))
    print(machine(chosen.device))
    folder = Path(tempfile.mkdtemp(dir=chosen.folder))
    try:
        source = checkpoint(chosen.model, folder / chosen.model, chosen.small)
        encoder = encoders.load(str(source), device=chosen.device, precision=chosen.precision)
        for rate in chosen.rate:
            wanted = chosen.seconds or (3600.0 if on_cuda else 120.0)
            corpus, seconds = recordings(folder / str(rate), wanted, rate)
            n = len(corpus.utterances)
            print(
                f"\n{chosen.model} in {chosen.precision} on {chosen.device}: {n} files of {rate} Hz, {seconds:.0f} s"
            )
            work = Work(encoder, corpus, folder, chosen.full or not chosen.pooled_only, chosen.workers)
            (against_disk if chosen.full else compare)(work, seconds, chosen.repeats)
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
