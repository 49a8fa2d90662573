"""The kernels of sercache/kernels on a card against the plain way in torch: milliseconds, in one run.

    python benchmarks/fused.py              on a machine with a CUDA card (Ampere or newer), under half a minute
    python benchmarks/fused.py --rehearse   in tiny sizes on the CPU, plain ways alone: its figures mean nothing

A pack of wavlm-large in bfloat16 with random weights, as stage one makes it.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial

import bare
import counts
import extract
import numpy as np
import pipeline
import torch
import torch.nn.functional as F
from turns import Row, measured

from sercache import kernels
from sercache.encoders.hf_speech import _attention, _convolutions
from sercache.extraction import pooling

REPEATS = 20


def milliseconds(act: Callable[[], object], device: torch.device) -> float:
    """Median over REPEATS, each waited for; kernels are compiled and chosen before."""

    def finish() -> None:
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    for _ in range(3):
        act()
    finish()
    taken = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        act()
        finish()
        taken.append(time.perf_counter() - began)
    return 1e3 * float(np.median(taken))


def against(plain: float, fused: Callable[[], float], why_not: str | None) -> str:
    return f"plain {plain:.3f} ms; " + (
        f"no kernel: {why_not}" if why_not is not None else f"kernel {fused():.3f} ms"
    )


def attention(model: extract.SpeechEncoder, x: torch.Tensor, lengths: list[int]) -> str:
    """Of one block, with its four products, which are timed alone as well."""
    module = model._forward.model.encoder.layers[0].attention
    products = (module.q_proj, module.k_proj, module.v_proj, module.out_proj)
    alone = milliseconds(lambda: [F.linear(x, each.weight, each.bias) for each in products], x.device)

    def through(fused: bool) -> float:
        mix = _attention.over(module, lengths, x, fused=fused)
        return milliseconds(lambda: module.out_proj(mix(module, x)), x.device)

    return f"products alone {alone:.3f} ms; " + against(
        through(False), partial(through, True), _attention.why_not_fused(module, x.device)
    )


def pooled(x: torch.Tensor, lengths: list[int]) -> str:
    pool = pooling.Pool(np.cumsum([0, *lengths]), x.device)
    why_not = pooling.why_plain(x.device, x.dtype)
    return against(
        milliseconds(lambda: pool._plain(x), x.device),
        lambda: milliseconds(lambda: pool(x), x.device),
        why_not,
    )


def normalised(model: extract.SpeechEncoder, n_rows: int, device: torch.device) -> str:
    """In memory that stays; the rate counts each number read once and written once."""
    module = model._forward.model.feature_extractor.conv_layers[1]
    layer = _convolutions._layer(module)
    norm = module.layer_norm
    x = torch.randn(n_rows, len(norm.weight), device=device, dtype=norm.weight.dtype)
    plain = milliseconds(lambda: _convolutions.activate(norm(x), layer.activation), device)

    def fused() -> float:
        return milliseconds(lambda: kernels.normalised_gelu_(x, norm.weight, norm.bias, norm.eps), device)

    said = against(plain, fused, _convolutions._why_not_fused(layer))
    copied, other = x.clone(), x.clone()
    copying = milliseconds(lambda: copied.copy_(other), device)
    return f"{said}; a copy of the same {copying:.3f} ms"


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rehearse", action="store_true", help="tiny sizes on the CPU, to see that it runs")
    chosen = parser.parse_args()
    bare.stand_in()
    if not chosen.rehearse and not torch.cuda.is_available():
        sys.exit("no CUDA card here: nothing is measured. --rehearse runs the plain ways on the CPU")
    device = torch.device("cpu" if chosen.rehearse else "cuda")
    _, model = extract.build("wavlm-large", chosen.rehearse, device, torch.bfloat16)
    waves = counts.pack_of(model, 2.0 if chosen.rehearse else 320.0)
    lengths = [model.n_frames(len(wave)) for wave in waves]
    dim = model._forward.model.config.hidden_size
    draws = torch.Generator().manual_seed(0)
    x = torch.randn(sum(lengths), dim, generator=draws).to(device, torch.bfloat16)
    print(" ".join(["python", *sys.argv]))
    print(pipeline.machine(device.type))
    print(f"wavlm-large bfloat16, {len(lengths)} utterances, {len(x)} frames")
    print("\n| measured | got | bar |\n|---|---|---|")
    rows: list[Row] = [
        (
            "WavLM's attention of one block, its four products included",
            "0.2 ms more than the products",
            partial(attention, model, x, lengths),
        ),
        ("pooling one state", "0.1 ms", partial(pooled, x, lengths)),
        (
            "LayerNorm and GELU of the front end",
            "80 % of the rate of a copy",
            partial(normalised, model, 8 * len(x), device),
        ),
    ]
    failed = 0
    for name, bar, measure in rows:
        got = measured(measure, 60)
        failed += got.startswith("failed")
        print(f"| {name} | {got} | {bar} |", flush=True)
    if failed:
        sys.exit(f"{failed} rows failed")


if __name__ == "__main__":
    main()
