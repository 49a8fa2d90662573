"""Kernels for graphics cards: how they are called, on any machine; what they compute and compile to, where Triton is.

``pip install triton`` and ``make test-kernels`` are all that the latter takes: its interpreter runs a kernel on a CPU,
and its compiler needs no card. bfloat16 is left to the compiler, for the interpreter multiplies its bits as integers.
"""

from __future__ import annotations

import copy
import itertools
import os
from collections.abc import Callable, Iterator
from typing import Any

import encoder_helpers as tiny
import numpy as np
import pytest
import torch
from mock_card import DEVICE, card
from test_encoders_hf_speech import BOUND, LENGTHS, compare, speech_encoder

from sercache import kernels
from sercache.encoders.hf_speech import _attention, _groups
from sercache.encoders.hf_speech._packed import Packed
from sercache.extraction import pooling
from sercache.kernels import _attention as attention_kernel
from sercache.kernels import _gating as gating_kernel
from sercache.kernels import _normalising as normalising_kernel
from sercache.kernels import _pooling as pooling_kernel

GATED = [name for name, (kind, _) in tiny.CONFIGS.items() if "WavLM" in kind]


class StandIn:
    """Is started as a kernel is, and computes by ``program`` what the kernel computes, from the same arguments."""

    def __init__(self, program: Callable[..., None]) -> None:
        self.program, self.grids = program, list[tuple[int, ...]]()

    def __getitem__(self, grid: tuple[int, ...]) -> Callable[..., None]:
        self.grids.append(grid)
        return self.program


def attend(
    query: Any,
    key: Any,
    value: Any,
    gate: Any,
    table: Any,
    out: Any,
    tiles: Any,
    n_tiles: int,
    *rest: Any,
    **_: Any,
) -> None:
    scale, row, reach, n_features = rest
    assert row == query.stride(0) == key.stride(0) == value.stride(0) == out.stride(0)
    assert n_features == query.stride(1) == query.shape[2]
    assert gate.dtype == table.dtype == torch.float32
    assert gate.is_contiguous()
    assert table.is_contiguous()
    assert tiles.is_contiguous()
    for start, stop, first in zip(*(tiles[k].tolist() for k in range(3)), strict=True):
        queries = slice(first, min(first + kernels._QUERIES, stop))
        q, k, v = (
            x[rows].transpose(0, 1).float()
            for x, rows in ((query, queries), (key, slice(start, stop)), (value, slice(start, stop)))
        )
        ahead = torch.arange(start, stop)[None] - torch.arange(queries.start, queries.stop)[:, None]
        bias = table[:, (ahead.clamp(-reach, reach) + reach).to(table.device)]
        scores = q @ k.mT * scale + gate[queries].T[..., None] * bias
        out[queries] = (scores.softmax(-1) @ v).transpose(0, 1).to(out.dtype)


def gate(x: Any, weight: Any, bias: Any, strength: Any, out: Any, *numbers: int, **_: Any) -> None:
    n_rows, n_heads, n_features, *of = numbers
    assert x.is_contiguous()
    assert tuple(of) == weight.stride()
    assert x.numel() == n_rows * n_features
    assert out.shape == (n_rows // n_heads, n_heads)
    of_pairs = torch.nn.functional.linear(x.float(), weight.float(), bias.float())
    keep, scale = of_pairs.view(n_rows, 2, 4).sum(-1).sigmoid().unbind(-1)
    power = strength.float().repeat(n_rows // n_heads)
    out.copy_((keep * (scale * power - 1) + 2).view(out.shape))


def pool(packed: Any, bounds: Any, mean: Any, variance: Any, row: int, dim: int, **_: Any) -> None:
    assert (row, dim) == (packed.stride(0), packed.shape[1])
    assert bounds.dtype == torch.int32
    for k, (a, b) in enumerate(itertools.pairwise(bounds.tolist())):
        part = packed[a:b].double()
        mean[k], variance[k] = part.mean(0), part.var(0, correction=0)


def normalise_gelu(x: Any, weight: Any, bias: Any, n_rows: int, dim: int, eps: float, **_: Any) -> None:
    assert x.is_contiguous()
    assert x.shape == (n_rows, dim)
    normal = torch.nn.functional.layer_norm(x.float(), (dim,), weight.float(), bias.float(), eps)
    x.copy_(torch.nn.functional.gelu(normal))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[StandIn]]:
    """A machine where kernels run: their stand-ins."""
    found = [StandIn(attend), StandIn(pool), StandIn(normalise_gelu), StandIn(gate)]
    monkeypatch.setattr(attention_kernel, "attend", found[0])
    monkeypatch.setattr(pooling_kernel, "pool", found[1])
    monkeypatch.setattr(normalising_kernel, "normalise_gelu", found[2])
    monkeypatch.setattr(gating_kernel, "gate", found[3])
    monkeypatch.setattr(kernels, "missing", lambda device: None)
    pooling.why_plain.cache_clear()
    yield found
    pooling.why_plain.cache_clear()


def fused(monkeypatch: pytest.MonkeyPatch, name: str, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """A stock module, and its encoder as on a card, its attention in one kernel."""
    monkeypatch.setattr(_groups, "side_by_side", lambda x: True)
    monkeypatch.setattr(_attention, "Gated", None)
    model = tiny.tiny_model(name)
    monkeypatch.setattr(Packed, "fused", True)
    return model, speech_encoder(model, dtype=dtype)


@pytest.mark.parametrize("name", GATED)
def test_attention_in_one_kernel_is_that_of_the_stock_module_alone(
    name: str, started: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encoder = fused(monkeypatch, name)
    assert encoder.why_stock is None
    worst = compare(encoder, model, [tiny.noise(n, n) for n in LENGTHS])
    assert max(worst.values()) <= BOUND, worst
    assert {grid[1] for grid in started[0].grids} == {model.config.num_attention_heads}


def test_keys_beyond_the_last_bucket_have_its_bias(
    started: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encoder = fused(monkeypatch, "other-front-layer")
    assert encoder.n_frames(20_000) > 4 * model.config.max_bucket_distance
    worst = compare(encoder, model, [tiny.noise(20_000), tiny.noise(200)])
    assert max(worst.values()) <= BOUND, worst


def test_in_bfloat16_it_errs_no_more_than_the_stock_module(
    started: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, encoder = fused(monkeypatch, "wavlm-large", torch.bfloat16)
    waves = [tiny.noise(n, n) for n in LENGTHS]
    exact = [tiny.stock_states(model, wave) for wave in waves]
    rough = [tiny.stock_states(model.bfloat16(), wave) for wave in waves]
    for state, packed in tiny.encode(encoder, waves).items():
        expected, stock = (torch.cat([found[state] for found in each]) for each in (exact, rough))
        ours, theirs = ((x.float() - expected).square().mean().sqrt() for x in (packed, stock))
        assert ours <= 1.5 * theirs, state


def test_kernels_find_all_they_need_on_the_card(
    started: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    model, _ = fused(monkeypatch, "wavlm-base")
    waves = [tiny.noise(n, n) for n in LENGTHS]
    bounds = np.cumsum([0, *(speech_encoder(model).n_frames(n) for n in LENGTHS)])
    with card():
        encoder = speech_encoder(model, device=DEVICE)
        for state, packed in encoder.encode(waves):
            pooled = pooling.Pool(bounds, DEVICE)(packed)
            for found, whole in zip(pooled, ("mean", "std"), strict=True):
                options = {} if whole == "mean" else {"correction": 0}
                parts = packed.cpu().double().split(np.diff(bounds).tolist())
                expected = torch.stack([getattr(part, whole)(0, **options) for part in parts])
                np.testing.assert_allclose(found.cpu().numpy(), expected.numpy(), rtol=1e-9, atol=1e-12)
            assert packed.device == DEVICE, state
    assert started[0].grids
    assert len(started[1].grids) > len(encoder.states)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["hubert-large", "wavlm-large", "other-front-layer"])
def test_normalised_and_activated_in_one_kernel_the_front_end_is_the_stock_one(
    name: str, dtype: torch.dtype, started: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_groups, "side_by_side", lambda x: True)
    model, waves = tiny.tiny_model(name), [tiny.noise(n, n) for n in LENGTHS]
    encoder = speech_encoder(model, dtype=dtype)
    assert encoder._forward.front.fuse() is None  # type: ignore[union-attr]
    (found,) = tiny.encode(encoder, waves, ["conv"]).values()
    assert len(started[2].grids) > len(model.config.conv_dim)
    exact, rough = (
        torch.cat([tiny.stock_states(stock, wave)["conv"] for wave in waves]).float()
        for stock in (model, copy.deepcopy(model).to(dtype))
    )
    if dtype == torch.float32:
        assert tiny.error(found, exact) <= BOUND
    else:
        assert tiny.error(found.float(), exact) <= 1.5 * tiny.error(rough, exact)


def test_a_front_end_with_other_parts_is_left_as_it_is(started: list[StandIn]) -> None:
    for name in ("wav2vec2-base", "other-front-group"):
        front = Packed(tiny.tiny_model(name)).front
        assert front.fuse() is None
        assert not any(layer.fused for layer in front.layers)


@pytest.mark.parametrize("lengths", [[1], [64, 1, 65], [200, 33, 128]])
def test_tiles_hold_each_frame_once_and_keep_to_their_utterance(lengths: list[int]) -> None:
    rows = [
        range(first, min(first + kernels._QUERIES, stop))
        for _, stop, first in kernels.tiles(lengths).T.tolist()
    ]
    assert [*itertools.chain(*rows)] == [*range(sum(lengths))]
    ends = [*itertools.accumulate(lengths)]
    assert {stop for _, stop, _ in kernels.tiles(lengths).T.tolist()} == set(ends)
    assert {stop - start for start, stop, _ in kernels.tiles(lengths).T.tolist()} == set(lengths)


def why_not(monkeypatch: pytest.MonkeyPatch) -> str | None:
    monkeypatch.setattr(_groups, "side_by_side", lambda x: True)
    first = tiny.tiny_model("wavlm-base").encoder.layers[0].attention.bfloat16()
    return _attention.why_not_fused(first, torch.device("cpu"))


def test_a_kernel_is_taken_where_it_agrees(started: list[StandIn], monkeypatch: pytest.MonkeyPatch) -> None:
    assert why_not(monkeypatch) is None


def test_a_kernel_that_differs_or_fails_is_not_taken(
    started: list[StandIn], monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_bias(*args: Any, **named: Any) -> None:
        attend(*args[:3], torch.zeros_like(args[3]), *args[4:], **named)

    def failing(*args: Any, **named: Any) -> None:
        raise RuntimeError("out of resource: shared memory\nmore of it")

    for program, words in (
        (without_bias, "the kernel errs by"),
        (failing, "RuntimeError: out of resource: shared"),
    ):
        monkeypatch.setattr(attention_kernel, "attend", StandIn(program))
        assert words in str(why_not(monkeypatch))
    front = Packed(tiny.tiny_model("wavlm-large")).front
    for program in (lambda *_, **named: None, failing):
        monkeypatch.setattr(normalising_kernel, "normalise_gelu", StandIn(program))
        assert front.fuse() is not None
        assert not any(layer.fused for layer in front.layers)
    monkeypatch.setattr(pooling_kernel, "pool", StandIn(failing))
    with card():
        assert pooling.why_plain(DEVICE, torch.float16) == "RuntimeError: out of resource: shared memory"
        packed = torch.randn(5, 3).to(DEVICE)
        mean, _ = pooling.Pool(np.array([0, 2, 5]), DEVICE)(packed)
        assert tiny.error(mean.cpu()[1], packed.cpu()[2:].double().mean(0)) < 1e-12


def test_an_encoder_says_why_it_goes_on_without(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "missing", lambda device: "this build of torch came without Triton")
    packed = Packed(tiny.tiny_model("wavlm-large").bfloat16())
    assert packed.fuse(torch.device("cuda")) == [
        f"{what}: this build of torch came without Triton"
        for what in (
            "the front end normalises and activates in two passes",
            "attention runs in padded groups",
        )
    ]
    assert not packed.fused
    assert not any(layer.fused for layer in packed.front.layers)
    assert packed.fuse(torch.device("cpu")) == []
    assert Packed(tiny.tiny_model("hubert-base").bfloat16()).fuse(torch.device("cuda")) == []


INTERPRETED = pytest.mark.skipif(
    attention_kernel.tl is None or os.environ.get("TRITON_INTERPRET") != "1",
    reason="make test-kernels runs kernels in Triton's interpreter",
)


@INTERPRETED
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_kernel_of_attention_computes_attention(dtype: torch.dtype) -> None:
    draws = torch.Generator().manual_seed(0)
    lengths, n_heads, n_features, reach = [1, 70, 33, 150], 3, 20, 40
    shape = (sum(lengths), n_heads, n_features)
    query, key, value = (torch.randn(shape, generator=draws).to(dtype) for _ in range(3))
    gate = torch.randn(shape[:2], generator=draws) + 2
    table = 2 * torch.randn(n_heads, 2 * reach + 1, generator=draws)
    found, expected = torch.full_like(query, float("nan")), torch.empty(shape)
    of = kernels.tiles(lengths)
    rest = (gate, table)
    numbers = (of, of.shape[1], n_features**-0.5, n_heads * n_features, reach, n_features)
    attention_kernel.attend[(of.shape[1], n_heads)](
        query, key, value, *rest, found, *numbers, HEAD=32, QUERIES=64, KEYS=32
    )
    attend(query, key, value, *rest, expected, *numbers)
    # Shares are rounded to the precision before the second product, and the result once more.
    bound = BOUND if dtype == torch.float32 else 4 * torch.finfo(dtype).eps
    assert tiny.error(found, expected) <= bound


@INTERPRETED
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_kernel_of_gates_gates(dtype: torch.dtype) -> None:
    draws = torch.Generator().manual_seed(0)
    n_frames, n_heads, n_features = 71, 3, 20
    shapes = ((n_frames, n_heads, n_features), (8, n_features), (8,), (n_heads,))
    x, weight, bias, strength = (torch.randn(shape, generator=draws).to(dtype) for shape in shapes)
    found, expected = torch.full((n_frames, n_heads), float("nan")), torch.empty(n_frames, n_heads)
    weight = weight.T.contiguous().T  # as packed encoders lay it out
    numbers = (n_frames * n_heads, n_heads, n_features, *weight.stride())
    gating_kernel.gate[(7,)](x, weight, bias, strength, found, *numbers, ROWS=32, HEAD=32)
    gate(x, weight, bias, strength, expected, *numbers)
    assert tiny.error(found, expected) <= BOUND


@INTERPRETED
def test_the_kernel_of_pooling_pools() -> None:
    lengths, dim = [1, 70, 33, 150], 100
    packed = (torch.randn(sum(lengths), dim + 4) + 5).half()[:, :dim]
    bounds = torch.tensor([0, *itertools.accumulate(lengths)], dtype=torch.int32)
    found, expected = torch.full((2, 2, 4, dim), float("nan"), dtype=torch.float64)
    numbers = (packed.stride(0), dim)
    pooling_kernel.pool[(4, 2)](packed, bounds, *found, *numbers, COLUMNS=64, FRAMES=32)
    pool(packed, bounds, *expected, *numbers)
    assert float((found - expected).abs().max()) < 1e-12


@INTERPRETED
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_the_kernel_that_normalises_does(dtype: torch.dtype) -> None:
    draws = torch.Generator().manual_seed(0)
    x, weight, bias = (torch.randn(shape, generator=draws).to(dtype) for shape in ((70, 100), (100,), (100,)))
    found, expected = x.clone(), x.clone().float()
    numbers = (70, 100, 1e-5)
    normalising_kernel.normalise_gelu[(3,)](found, weight, bias, *numbers, ROWS=32, COLUMNS=128)
    normalise_gelu(expected, weight, bias, *numbers)
    # A dozen roundings in float32, and one to the precision of the result.
    assert tiny.error(found, expected) <= (BOUND if dtype == torch.float32 else 4 * torch.finfo(dtype).eps)


@pytest.mark.skipif(
    os.environ.get("TRITON_INTERPRET") == "1", reason="nothing is compiled in the interpreter"
)
@pytest.mark.slow
@pytest.mark.parametrize("capability", [80, 90])
@pytest.mark.parametrize("kind", ["bf16", "fp16", "fp32"])
def test_kernels_compile_for_cards(capability: int, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRITON_DEFAULT_FP_FUSION", "1")  # as up to 3.9 where it is unset, which 3.9 warns of
    triton = pytest.importorskip("triton", reason="make test-kernels compiles kernels for cards")
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    target = GPUTarget("cuda", capability, 32)
    of_kind = dict.fromkeys(
        ("query", "key", "value", "out", "packed", "x", "weight", "bias", "strength"), f"*{kind}"
    )
    others = {
        "gate": "*fp32",
        "table": "*fp32",
        "tiles": "*i32",
        "bounds": "*i32",
        "scale": "fp32",
        "eps": "fp32",
    }
    others |= {"mean": "*fp64", "variance": "*fp64"}
    sizes = {"HEAD": 64, "QUERIES": kernels._QUERIES, "KEYS": kernels._KEYS}
    sizes |= {"COLUMNS": kernels._COLUMNS, "FRAMES": kernels._FRAMES, "ROWS": 2}
    attention = [] if kind == "fp32" else [attention_kernel.attend]  # float32 goes the plain way
    for kernel in (*attention, pooling_kernel.pool, normalising_kernel.normalise_gelu, gating_kernel.gate):
        signature = {
            name: "constexpr" if name.isupper() else (of_kind | others).get(name, "i32")
            for name in kernel.arg_names
        }
        if "ROWS" in signature:
            sizes["COLUMNS"] = 512
        if kernel is gating_kernel.gate:
            signature["out"] = "*fp32"
        chosen = {name: size for name, size in sizes.items() if name in signature}
        built = triton.compile(ASTSource(kernel, signature, chosen), target=target)
        assert built.asm["cubin"]
        assert "tf32" not in built.asm["ptx"]
        assert built.metadata.shared <= 48 * 2**10
