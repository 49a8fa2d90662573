"""One epoch of fine-tuning an encoder's upper blocks with a head: from the cache, and from audio.

    python benchmarks/finetune.py [--encoder FOLDER] [--from-block 6] [--state 12] [--recordings 16] [--lora 8]

Without ``--encoder`` a wav2vec 2.0 Base of random weights. From audio what lies below the boundary is run frozen,
without gradients, in every epoch; from the cache its states are read, in float16. Each way has a process of its own, so
that peak memory is its own; both take equal batches of equal recordings, and the losses that they come to are compared.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

RATE = 16_000
BATCH = 4


def main() -> None:
    own = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    own.add_argument("--encoder", type=Path)
    own.add_argument("--from-block", default="6")
    own.add_argument("--state", default="12", help="what the head reads")
    own.add_argument("--recordings", type=int, default=16)
    own.add_argument("--seconds", type=float, default=3.0)
    own.add_argument("--lora", type=int)
    own.add_argument("--kept", type=Path, help=argparse.SUPPRESS)
    own.add_argument("--way", choices=["write", "cache", "audio"], help=argparse.SUPPRESS)
    options = own.parse_args()
    if options.way:
        print(json.dumps(epoch(options)))
        return
    with tempfile.TemporaryDirectory() as folder:
        given = [] if options.encoder else ["--encoder", str(base(Path(folder)))]
        given += ["--kept", str(Path(folder) / "states.npy")]
        found = {}
        for way in ("write", "audio", "cache"):
            call = [sys.executable, __file__, *sys.argv[1:], *given, "--way", way]
            found[way] = json.loads(subprocess.run(call, check=True, capture_output=True, text=True).stdout)
    assert abs(found["audio"]["loss"] / found["cache"]["loss"] - 1) < 1e-3, found
    for way in ("audio", "cache"):
        each = found[way]
        print(
            f"{way:>6}: {each['seconds']:6.1f} s of processor time an epoch, {each['peak']:5.2f} GB at its peak"
        )


def base(folder: Path) -> Path:
    """A wav2vec 2.0 Base of random weights."""
    import torch
    import transformers

    torch.manual_seed(0)
    transformers.Wav2Vec2Model(transformers.Wav2Vec2Config()).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return folder


def epoch(options: Any) -> dict[str, float]:
    """Seconds, peak memory (GB) and loss of the first epoch of one way."""
    import torch

    from sercache import clips, encoders
    from sercache.encoders import windowed
    from sercache.training import Adapting, adapt, reads_padding

    random = np.random.default_rng(0)
    n = round(options.seconds * RATE)
    waves = [0.1 * random.standard_normal(n).astype(np.float32) for _ in range(options.recordings)]
    boundary, name = options.from_block, str(options.encoder)
    tail: Any = encoders.load_tail(name, boundary, [options.state])
    torch.manual_seed(0)
    adapt(tail, Adapting(options.lora, float(options.lora or 1)))
    tail.eval()  # without dropout, so that both ways come to one loss; the work is that of training
    starts = range(0, len(waves), BATCH)
    if options.way == "cache":
        cached = np.load(options.kept, mmap_mode="r")

        def read(start: int) -> torch.Tensor:
            return torch.tensor(cached[start : start + BATCH]).float()

        return _trained(tail, starts, read, int(np.load(options.kept.with_name("real.npy"))))
    encoder = encoders.load(name)
    below = windowed(encoder, clips.parse("whole" if reads_padding(tail) else "none"))

    def encode(start: int) -> torch.Tensor:  # (B, 1, T, D)
        ((_, packed),) = below.encode(waves[start : start + BATCH], [boundary])
        return packed.unflatten(0, (-1, below.n_frames(n)))[:, None]

    if options.way == "write":
        np.save(options.kept, torch.cat([encode(start) for start in starts]).numpy().astype(np.float16))
        np.save(options.kept.with_name("real.npy"), encoder.n_frames(n))
        return {}
    return _trained(tail, starts, encode, encoder.n_frames(n))


def _trained(tail: Any, starts: range, states: Any, n_real: int) -> dict[str, float]:
    import torch

    head = torch.nn.Linear(tail.dim, 4)
    weights = [p for p in (*tail.parameters(), *head.parameters()) if p.requires_grad]
    optimiser = torch.optim.Adam(weights, lr=1e-5)
    total, begin = 0.0, time.process_time()
    for start in starts:
        x = states(start)
        mask = (torch.arange(x.shape[2]) < n_real).expand(len(x), -1)
        outputs = head(tail(x, mask)[:, 0, :n_real].mean(1))
        loss = torch.nn.functional.cross_entropy(outputs, torch.arange(start, start + len(x)) % 4)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        total += float(loss)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"seconds": time.process_time() - begin, "peak": peak, "loss": total / len(starts)}


if __name__ == "__main__":
    main()
