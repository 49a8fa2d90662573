"""What one pack asks of a card, counted without one: launches, bytes and operations, and the time at its two ceilings.

    python benchmarks/counts.py [--model wav2vec2-base | wavlm-large | whisper-small] [--precision bfloat16] [--fused]
                                [--seconds 320] [--bandwidth 3.35] [--products 640]

Nothing is computed: tensors say that they lie on ``meta``, and every operation on them is noted. An operation reads its
arguments and writes its result once; views are free. Products take the longer of their two times, all else the time of
its bytes. ``--bandwidth`` is in TB/s, ``--products`` in TFLOP/s: what one H100 is said to give, and gave for a product.
``--fused``: with the kernels of sercache.kernels.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import extract
import numpy as np
import torch
import transformers
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import flop_registry
from transformers.models.whisper.modeling_whisper import WhisperEncoder

from sercache import kernels
from sercache.encoders._placed import Placed
from sercache.encoders._whisper import _WINDOWS_CUDA, WhisperStates
from sercache.encoders.hf_speech import _convolutions, _groups
from sercache.encoders.hf_speech._encoder import SpeechEncoder
from sercache.encoders.hf_speech._packed import Packed
from sercache.extraction import pooling

META = torch.device("meta")
WHISPERS: dict[str, dict[str, Any]] = {
    "whisper-small": {
        "d_model": 768,
        "encoder_layers": 12,
        "encoder_attention_heads": 12,
        "encoder_ffn_dim": 3072,
    }
}
"""Encoders of published sizes; windows of 30 s, whatever lies in them."""
FREE = ("_unsafe_view", "detach", "lift_fresh", "empty", "empty_like", "empty_strided", "new_empty")
"""Operations that touch no number, beside those that give a view."""


@dataclass
class Counted:
    """Of some operations."""

    launches: Counter[str] = field(default_factory=Counter)
    n_bytes: Counter[str] = field(default_factory=Counter)
    flops: Counter[str] = field(default_factory=Counter)

    def add(self, name: str, tensors: list[Tensor], flops: int = 0) -> None:
        self.launches[name] += 1
        self.n_bytes[name] += sum(each.numel() * each.element_size() for each in tensors)
        self.flops[name] += flops

    def seconds(self, bandwidth: float, products: float) -> float:
        """At so many bytes and operations a second."""
        return sum(max(n / bandwidth, self.flops[name] / products) for name, n in self.n_bytes.items())


class Count(TorchDispatchMode):
    """Notes what is done on ``meta`` while it is on."""

    def __init__(self) -> None:
        super().__init__()
        self.counted = Counted()

    def taken(self) -> Counted:
        """What was noted since the last time."""
        found, self.counted = self.counted, Counted()
        return found

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        given = {
            key: each for key, each in (kwargs or {}).items() if key != "out"
        }  # written once, as ``out`` here
        tensors = [each for each in tree_leaves((args, given, out)) if isinstance(each, Tensor)]
        name = str(func).removeprefix("aten.").rpartition(".")[0]
        if any(each.device == META for each in tensors) and not func.is_view and name not in FREE:
            of = flop_registry.get(getattr(torch.ops.aten, name.removesuffix("_"), None))
            flops = 0 if of is None else of(*args, **(kwargs or {}), out_val=out)
            self.counted.add(name, tensors, flops)
        return out


def scaled_dot_product(count: Count, query: Tensor, key: Tensor, value: Tensor, **named: Any) -> Tensor:
    """torch's attention as one kernel, as it is on a card."""
    mask = named.get("attn_mask")
    flops = 4 * query.numel() * key.shape[-2]
    out = torch.empty_like(query)
    count.counted.add("attention", [query, key, value, out, *([] if mask is None else [mask])], flops)
    return out


def gated_attention(
    count: Count, query: Tensor, key: Tensor, value: Tensor, gate: Tensor, *rest: Any
) -> Tensor:
    """Our own kernel: whole tiles of queries and keys count."""
    _, tiles, _ = rest
    out, flops = torch.empty_like(query), 0
    for start, stop, _ in tiles.T.tolist():
        n_keys = -(-(stop - start) // kernels._KEYS) * kernels._KEYS
        flops += 4 * kernels._QUERIES * n_keys * query.shape[1] * query.shape[2]
    count.counted.add("gated attention", [query, key, value, gate, out], flops)
    return out


def gates(count: Count, x: Tensor, weight: Tensor, *_: Any) -> Tensor:
    """Our own kernel of the gate."""
    out = x.new_empty(x.shape[:2], dtype=torch.float32)
    count.counted.add("gates", [x, out], 2 * x.numel() * len(weight) // 4)
    return out


def pooled(count: Count, packed: Tensor, bounds: Tensor) -> tuple[Tensor, Tensor]:
    """Our own kernel, which reads twice."""
    n_utterances = len(bounds) - 1
    mean, variance = packed.new_empty((2, n_utterances, packed.shape[1]), dtype=torch.float64).unbind()
    count.counted.add("pooling", [packed, packed, mean, variance])
    return mean, variance


def normalised_gelu_(count: Count, x: Tensor, *_: Any) -> Tensor:
    """Our own kernel, in place."""
    count.counted.add("normalise and GELU", [x, x])
    return x


@contextmanager
def counting(fused: bool) -> Iterator[Count]:
    count = Count()

    def bound(function: Any) -> Any:
        return lambda *args, **named: function(count, *args, **named)

    def stay(x: Tensor, device: torch.device) -> Tensor:
        return x if fused and x.dtype == torch.int32 else x.to(device)  # tiles are read here

    with (
        mock.patch.object(torch.nn.functional, "scaled_dot_product_attention", bound(scaled_dot_product)),
        mock.patch.object(kernels, "gated_attention", bound(gated_attention)),
        mock.patch.object(kernels, "gates", bound(gates)),
        mock.patch.object(kernels, "pooled", bound(pooled)),
        mock.patch.object(kernels, "normalised_gelu_", bound(normalised_gelu_)),
        mock.patch.object(pooling, "why_plain", return_value=None if fused else "not asked for"),
        mock.patch.object(_groups, "moved", stay),
        count,
    ):
        yield count


def encoder_on_meta(config: Any, dtype: torch.dtype, *, fused: bool) -> SpeechEncoder:
    """An encoder without numbers, in packs as on CUDA."""
    with META:
        model = transformers.AutoModel.from_config(config).eval()
    with mock.patch.object(SpeechEncoder, "_disagreement", return_value=None):
        encoder = SpeechEncoder(
            model.to_empty(device="cpu"),
            {"sample_rate": extract.RATE, "do_normalize": True},
            Placed("counted", {}, META, dtype),
        )
    forward = encoder._forward
    assert isinstance(forward, Packed)
    gated = hasattr(model.encoder.layers[0].attention, "rel_attn_embed")
    forward.fused = fused and gated and dtype != torch.float32
    if fused:
        with mock.patch.object(_convolutions, "_why_not_fused", return_value=None):
            forward.front.fuse()
    return encoder


def whisper_on_meta(config: Any, dtype: torch.dtype) -> WhisperStates:
    """Whisper's encoder without numbers; its log-mel spectrogram is computed on the CPU, as it always is."""
    with META:
        model = WhisperEncoder(config).eval()
    preprocessing = {
        "sampling_rate": extract.RATE,
        "hop_length": 160,
        "n_mels": config.num_mel_bins,
        "n_fft": 400,
    }
    encoder = WhisperStates(model, preprocessing, Placed("counted", {}, META, dtype))
    encoder._windows = _WINDOWS_CUDA
    return encoder


def parts(
    encoder: SpeechEncoder | WhisperStates, waves: list[np.ndarray], *, fused: bool
) -> dict[str, Counted]:
    """Of the front end, of what lies between it and the blocks, of one block, and of pooling one state."""
    with counting(fused) as count:
        bounds = np.cumsum([0, *(encoder.n_frames(len(wave)) for wave in waves)])
        found = {}
        names = {"conv": "front end", "input": "positions", "1": "first block", "2": "a block"}
        if "conv" not in encoder.states:
            names = {"input": "front end", "1": "first block", "2": "a block"}
        states = encoder.encode(waves, list(names))
        last = None
        for state, packed in states:
            found[names[state]], last = count.taken(), packed
        pool = pooling.Pool(bounds, META)
        count.taken()
        pool(last)
        found["pooling a state"] = count.taken()
    return found


def pack_of(encoder: SpeechEncoder | WhisperStates, seconds: float, frames: int = 16_000) -> list[np.ndarray]:
    """A pack from the middle of a corpus of four times as many seconds, sorted by length."""
    waves = sorted(extract.make_waves(4 * seconds), key=len, reverse=True)
    pack, room = [], frames
    for wave in waves[len(waves) // 4 :]:
        room -= encoder.n_frames(len(wave))
        if room < 0:
            break
        pack.append(wave)
    return pack


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--model", choices=(*extract.MODELS, *WHISPERS), default="wavlm-large")
    parser.add_argument("--precision", choices=("float32", "bfloat16", "float16"), default="bfloat16")
    parser.add_argument("--fused", action="store_true", help="with our own kernels")
    parser.add_argument("--seconds", type=float, default=320.0, help="of audio in the pack, about")
    parser.add_argument("--bandwidth", type=float, default=3.35, help="TB/s")
    parser.add_argument("--products", type=float, default=640.0, help="TFLOP/s")
    parser.add_argument("--most", type=int, default=0, help="operations to list of each part")
    chosen = parser.parse_args()
    dtype = getattr(torch, chosen.precision)
    encoder: SpeechEncoder | WhisperStates
    if chosen.model in WHISPERS:
        config = transformers.WhisperConfig(**WHISPERS[chosen.model])
        encoder = whisper_on_meta(config, dtype)
    else:
        kind, settings = extract.MODELS[chosen.model]
        config = getattr(transformers, f"{kind}Config")(**settings)
        encoder = encoder_on_meta(config, dtype, fused=chosen.fused)
    pack = pack_of(encoder, chosen.seconds)
    print(" ".join(["python", *sys.argv]))
    n_frames = sum(encoder.n_frames(len(wave)) for wave in pack)
    print(f"{len(pack)} utterances, {sum(map(len, pack)) / extract.RATE:.0f} s, {n_frames} frames")
    report(parts(encoder, pack, fused=chosen.fused), config.num_hidden_layers, chosen)


def report(found: dict[str, Counted], n_blocks: int, chosen: argparse.Namespace) -> None:
    bandwidth, products = chosen.bandwidth * 1e12, chosen.products * 1e12
    print(f"{'':18}{'launches':>9}{'GB':>9}{'TFLOP':>9}{'ms':>9}{'products alone, ms':>21}")
    total = alone = launches = 0.0
    for name, counted in found.items():
        times = {"a block": n_blocks - 1, "pooling a state": n_blocks}.get(name, 1)
        ms, flops = 1e3 * counted.seconds(bandwidth, products), sum(counted.flops.values())
        total += times * ms
        alone += times * 1e3 * flops / products
        launches += times * sum(counted.launches.values())
        print(
            f"{name:18}{sum(counted.launches.values()):9}{sum(counted.n_bytes.values()) / 1e9:9.2f}{flops / 1e12:9.3f}"
            f"{ms:9.2f}{1e3 * flops / products:21.2f}"
        )
        for operation, n_bytes in counted.n_bytes.most_common(chosen.most):
            print(f"    {operation:24}{counted.launches[operation]:5}{n_bytes / 1e9:9.2f}")
    print(
        f"all {n_blocks} blocks, pooled: {launches:.0f} launches, {total:.1f} ms at the ceilings; products alone "
        f"{alone:.1f} ms, {alone / total:.0%} of it"
    )


if __name__ == "__main__":
    main()
