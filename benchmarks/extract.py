"""How fast stage one's encoder runs, and how far from the stock module, against the two usual loops.

    python benchmarks/extract.py [--model wav2vec2-base | wavlm-large] [--seconds 60] [--threads 1] [--small]
                                 [--device cuda --precision bfloat16]

On the same synthetic audio (lengths as in emotion corpora) and the same random weights:

naive    the stock module of transformers, one utterance at a time, all hidden states
padded   the stock module on random batches of 8, zero-padded, without a mask (as checkpoints with group
         normalisation were trained) or with one
packed   sercache in ``--precision``, batches of ``pack_frames`` frames, longest first

The two loops run in float32, under ``torch.inference_mode``, with as many threads. Runs alternate and the fastest
of each counts, in CPU seconds for one thread (other work on the machine does not count) and in wall seconds for
more or on CUDA. Floating-point operations are those of the naive loop, counted by torch; the GEMM peak is the best
product in ``--precision`` measured between the runs.
"""

from __future__ import annotations

import argparse
import copy
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from torch.utils.flop_counter import FlopCounterMode

from sercache.encoders._placed import Placed
from sercache.encoders.hf_speech._encoder import SpeechEncoder

RATE = 16_000
PADDED_BATCH = 8
LARGE = {
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}
SMALL = {"hidden_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 192}
MODELS: dict[str, tuple[str, dict[str, Any]]] = {
    "wav2vec2-base": ("Wav2Vec2", {}),
    "wavlm-large": ("WavLM", LARGE),
}
States = list[dict[str, torch.Tensor]]


@dataclass(frozen=True)
class Work:
    stock: Any
    encoder: SpeechEncoder
    waves: list[np.ndarray]
    masked: bool
    device: torch.device

    @property
    def blocks(self) -> list[str]:
        return [name for name in self.encoder.states if name.isdigit()]


def build(
    name: str,
    small: bool,
    device: torch.device = torch.device("cpu"),  # noqa: B008 - a constant
    dtype: torch.dtype = torch.float32,
) -> tuple[Any, SpeechEncoder]:
    """The stock module in float32 and sercache's encoder in ``dtype``, with the same weights."""
    kind, settings = MODELS[name]
    config = getattr(transformers, f"{kind}Config")(**(settings | (SMALL if small else {})))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        stock = getattr(transformers, f"{kind}Model")(config).eval()
    encoder = SpeechEncoder(
        copy.deepcopy(stock),
        {"sample_rate": RATE, "do_normalize": True},
        Placed(name, {}, device, dtype),
    )
    return stock.to(device), encoder


def make_waves(seconds: float) -> list[np.ndarray]:
    """Noise of log-normal lengths, median 3.5 s, between 0.6 and 20 s, as in IEMOCAP."""
    random = np.random.default_rng(0)
    waves: list[np.ndarray] = []
    while sum(map(len, waves)) < seconds * RATE:
        length = int(RATE * np.clip(3.5 * np.exp(0.6 * random.standard_normal()), 0.6, 20))
        waves.append(random.standard_normal(length).astype(np.float32))
    return waves


def normalised(wave: np.ndarray) -> torch.Tensor:
    return torch.from_numpy((wave - wave.mean()) / np.sqrt(wave.var() + 1e-7))


@torch.inference_mode()
def naive(work: Work, found: States | None = None) -> None:
    for wave in work.waves:
        hidden = work.stock(normalised(wave)[None].to(work.device), output_hidden_states=True).hidden_states[
            1:
        ]
        if found is not None:
            found.append(dict(zip(work.blocks, (layer[0] for layer in hidden), strict=True)))


@torch.inference_mode()
def padded(work: Work, found: States | None = None) -> None:
    order = np.random.default_rng(1).permutation(len(work.waves))
    each: dict[int, dict[str, torch.Tensor]] = {}
    for start in range(0, len(order), PADDED_BATCH):
        chosen = order[start : start + PADDED_BATCH]
        waves = [normalised(work.waves[k]) for k in chosen]
        batch = torch.nn.utils.rnn.pad_sequence(waves, batch_first=True)
        mask = torch.nn.utils.rnn.pad_sequence([torch.ones(len(w)) for w in waves], batch_first=True).long()
        hidden = work.stock(
            batch.to(work.device),
            attention_mask=mask.to(work.device) if work.masked else None,
            output_hidden_states=True,
        ).hidden_states[1:]
        if found is not None:
            for row, k in enumerate(chosen):
                n_frames = work.encoder.n_frames(len(work.waves[k]))
                layers = (layer[row, :n_frames].clone() for layer in hidden)
                each[int(k)] = dict(zip(work.blocks, layers, strict=True))
    if found is not None:
        found += [each[k] for k in sorted(each)]


def packed(work: Work, found: States | None = None) -> None:
    each: dict[int, dict[str, torch.Tensor]] = {k: {} for k in range(len(work.waves))}
    for batch in batches(work):
        n_frames = [work.encoder.n_frames(len(work.waves[k])) for k in batch]
        for name, frames in work.encoder.encode([work.waves[k] for k in batch], work.blocks):
            if found is not None:
                for k, part in zip(batch, frames.split(n_frames), strict=True):
                    each[k][name] = part.float().clone()
    if found is not None:
        found += [each[k] for k in sorted(each)]


def batches(work: Work) -> list[list[int]]:
    made: list[list[int]] = []
    room = 0
    for k in sorted(range(len(work.waves)), key=lambda k: -len(work.waves[k])):
        n_frames = work.encoder.n_frames(len(work.waves[k]))
        if not made or n_frames > room:
            made.append([])
            room = work.encoder.pack_frames
        made[-1].append(k)
        room -= n_frames
    return made


_MOST_COUNTED = 60
"""Utterances whose operations are counted, which takes a tenth of a second each; of more, some of every length."""


def count_flops(work: Work) -> float:
    """Of the naive loop. Of many utterances those of some, by seconds: within a hundredth of all of them counted."""
    waves = sorted(work.waves, key=len)
    some = waves[:: -(-len(waves) // _MOST_COUNTED)]
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():  # the counter cannot see into inference mode
        naive.__wrapped__(replace(work, waves=some))  # type: ignore[attr-defined]
    return counter.get_total_flops() * sum(map(len, waves)) / sum(map(len, some))


def gemm_rate(work: Work, dtype: torch.dtype, clock: Callable[[], float]) -> float:
    """Operations per second of the best of ten products (1000, D) x (D, I), on CUDA of a pack's frames."""
    config = work.stock.config
    n_frames = work.encoder.pack_frames if work.device.type == "cuda" else 1000
    a = torch.randn(n_frames, config.hidden_size, device=work.device, dtype=dtype)
    b = torch.randn(config.hidden_size, config.intermediate_size, device=work.device, dtype=dtype)
    seconds = []
    for _ in range(10):
        began = clock()
        a @ b
        seconds.append(clock() - began)
    return 2 * a.numel() * b.shape[1] / min(seconds)


def worst_error(got: States, expected: States, blocks: list[str]) -> tuple[float, float]:
    """Largest errors relative to the state's RMS: of a frame's value, and of a mean over time."""
    of_frame = of_mean = 0.0
    for name in blocks:
        everything = torch.cat([states[name] for states in expected])
        rms = everything.square().mean().sqrt()
        for ours, theirs in zip(got, expected, strict=True):
            difference = ours[name] - theirs[name]
            of_frame = max(of_frame, float(difference.abs().max() / rms))
            of_mean = max(of_mean, float(difference.mean(0).abs().max() / rms))
    return of_frame, of_mean


def machine() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        model = next(line.partition(": ")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        model = platform.processor()
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    return (
        f"{model}, {os.cpu_count()} CPUs, load {load:.1f} at the start; torch {torch.__version__}, "
        f"transformers {transformers.__version__}"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", choices=MODELS, default="wav2vec2-base")
    parser.add_argument("--seconds", type=float, default=60.0, help="of audio")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "float16"), default="float32")
    parser.add_argument("--small", action="store_true", help="a tiny model, to see that it runs")
    chosen = parser.parse_args()
    print(" ".join(["python", *sys.argv]))
    print(machine())
    # The stock WavLM's own call, when it is given a mask.
    warnings.filterwarnings("ignore", message="Support for mismatched key_padding_mask")
    torch.set_num_threads(chosen.threads)
    device, dtype = torch.device(chosen.device), getattr(torch, chosen.precision)
    stock, encoder = build(chosen.model, chosen.small, device, dtype)
    masked = stock.config.feat_extract_norm == "layer"
    work = Work(stock, encoder, make_waves(chosen.seconds), masked, device)
    report(work, dtype, clock_for(device, chosen.threads), chosen.repeats)


def clock_for(device: torch.device, threads: int) -> Callable[[], float]:
    """Seconds so far: of the process for one thread, of the wall for more, of the finished kernels on CUDA."""
    if device.type != "cuda":
        return time.process_time if threads == 1 else time.perf_counter

    def finished() -> float:
        torch.cuda.synchronize(device)
        return time.perf_counter()

    print(f"{torch.cuda.get_device_name(device)}, CUDA {torch.version.cuda}")
    return finished


def report(work: Work, dtype: torch.dtype, clock: Callable[[], float], repeats: int) -> None:
    seconds = sum(map(len, work.waves)) / RATE
    flops = count_flops(work)
    print(
        f"{len(work.waves)} utterances, {seconds:.0f} s; {flops / 1e9 / seconds:.1f} GFLOP per second of audio; "
        f"packs of {work.encoder.pack_frames} frames"
    )
    expected: States = []
    naive(work, expected)
    loops: dict[str, Callable[..., None]] = {"naive": naive, "padded": padded, "packed": packed}
    best = dict.fromkeys(loops, float("inf"))
    peak = 0.0
    for _ in range(repeats):
        for name, loop in loops.items():
            peak = max(peak, gemm_rate(work, dtype, clock))
            began = clock()
            loop(work)
            best[name] = min(best[name], clock() - began)
    print(f"GEMM peak {peak / 1e9:.0f} GFLOP/s in {dtype} with {torch.get_num_threads()} thread(s)")
    print("loop    x real time  x naive  of GEMM peak  worst frame  worst mean  (errors relative to RMS)")
    for name, loop in loops.items():
        got: States = []
        loop(work, got)
        of_frame, of_mean = worst_error(got, expected, work.blocks)
        print(
            f"{name:<8}{seconds / best[name]:>11.2f}{best['naive'] / best[name]:>9.2f}"
            f"{flops / best[name] / peak:>13.0%}{of_frame:>14.1e}{of_mean:>12.1e}"
        )


if __name__ == "__main__":
    main()
