"""How much memory stage one's encoder takes above its weights, against the stock module.

    python benchmarks/memory.py [--model wav2vec2-base | wavlm-large] [--seconds 20] [--device cpu] [--small]

On the same noise and the same random weights:

stock    the module of transformers on one recording, ``output_hidden_states=True``
ours     sercache on the same recording, every state, one at a time
batch    the stock module on 8 recordings that last as long together, zero-padded, as peers run it
pack     sercache on the same 8 recordings

Each runs in a process of its own: on the CPU the peak of its resident memory less what was resident before the
first wave (weights, libraries), on CUDA what torch allocated. A short recording first sets up the libraries.
"""

from __future__ import annotations

import argparse
import ctypes
import gc
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parent))
import extract  # the models and the loops of the other benchmark

LOOPS = ("stock", "ours", "batch", "pack")


def waves_of(loop: str, seconds: float) -> list[np.ndarray]:
    """One recording of that many seconds, or eight between a quarter and the whole of twice the mean."""
    random = np.random.default_rng(0)
    shares = np.linspace(0.25, 1.75, 8) / 8 if loop in ("batch", "pack") else np.ones(1)
    return [random.standard_normal(int(s * seconds * extract.RATE)).astype(np.float32) for s in shares]


def measure(loop: str, chosen: argparse.Namespace) -> float:
    """MiB above the weights."""
    device = torch.device(chosen.device)
    stock, encoder = extract.build(chosen.model, chosen.small, device)
    if loop in ("ours", "pack"):
        del stock  # its copy is the encoder's

        def run(waves: list[np.ndarray]) -> None:
            for _, packed in encoder.encode(waves):
                packed.float().mean(0)
    else:
        del encoder

        def run(waves: list[np.ndarray]) -> None:
            padded = torch.nn.utils.rnn.pad_sequence([extract.normalised(w) for w in waves], batch_first=True)
            with torch.inference_mode():
                found = stock(padded.to(device), output_hidden_states=True).hidden_states
                for hidden in found:
                    hidden.mean(1)

    run([np.ones(extract.RATE // 2, np.float32)])
    return peak(lambda: run(waves_of(loop, chosen.seconds)), device)


def peak(job: Callable[[], None], device: torch.device) -> float:
    """MiB that ``job`` takes at most, above what is taken before it."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        job()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    gc.collect()
    clear = Path("/proc/self/clear_refs")
    if clear.exists():  # Linux: memory that is free goes back to the system, and the peak so far is forgotten
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # glibc's
        if trim is not None:
            trim(0)
        clear.write_text("5", encoding="ascii")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    job()
    taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    return taken / (2**20 if sys.platform == "darwin" else 2**10)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", choices=extract.MODELS, default="wav2vec2-base")
    parser.add_argument("--seconds", type=float, default=20.0, help="of audio")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--small", action="store_true", help="a tiny model, to see that it runs")
    parser.add_argument("--loop", choices=LOOPS, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.loop:
        print(measure(chosen.loop, chosen))
        return
    print(" ".join(["python", *sys.argv]))
    print(extract.machine())
    found = {}
    for loop in LOOPS:
        command = [sys.executable, "-W", "ignore", *sys.argv, "--loop", loop]
        found[loop] = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    print(f"{chosen.model}, {chosen.seconds:g} s, MiB above the weights")
    for stock, ours in (("stock", "ours"), ("batch", "pack")):
        ratio = found[ours] / found[stock]
        print(f"{stock:<6}{found[stock]:8.0f}   {ours:<5}{found[ours]:8.0f}   {ratio:.0%}")


if __name__ == "__main__":
    main()
