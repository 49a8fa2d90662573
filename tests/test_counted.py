"""What a pack asks of a card, counted without one: the widest tensors are not copied, utterances are no launches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import encoder_helpers as tiny
import pytest
import torch


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
    import counts

    return counts


def taken(
    counts: Any, name: str, n_utterances: int, *, fused: bool, dtype: torch.dtype = torch.bfloat16
) -> Any:
    encoder = counts.encoder_on_meta(tiny.tiny_config(name), dtype, fused=fused)
    n_samples = 96_000 // n_utterances // encoder.hop * encoder.hop + 80
    return encoder, counts.parts(encoder, [tiny.noise(n_samples)] * n_utterances, fused=fused)


@pytest.mark.parametrize("name", ["wavlm-large", "hubert-large"])
def test_with_kernels_a_card_is_launched_as_often_for_many_utterances_as_for_few(
    counts: Any, name: str
) -> None:
    few, many = (taken(counts, name, n, fused=True)[1] for n in (3, 30))
    of_blocks = ("a block", "pooling a state") if "wavlm" in name else ("pooling a state",)
    for part in ("front end", "positions", *of_blocks):
        assert few[part].launches == many[part].launches, part


def test_the_first_layer_of_a_front_end_is_scaled_in_its_own_memory(counts: Any) -> None:
    """It has 64 rows a frame in published checkpoints, of which scale and shift of a wave are no copy."""
    encoder, found = taken(counts, "wav2vec2-base", 4, fused=False, dtype=torch.float32)
    n_frames = 4 * encoder.n_frames(24_080)
    first, last = (4 * width for width in (tiny.tiny_config("wav2vec2-base").conv_dim[k] for k in (0, -1)))
    front = found["front end"]
    rows = 64 * n_frames * first  # bytes of the first layer, about
    # Read once and written once, beside scale and shift of a frame each; samples between utterances are rows too.
    assert front.n_bytes["addcmul"] <= 1.1 * 2 * rows * (1 + 2 / 64)
    # The frames that are kept, and scale and shift of each frame of the first layer.
    assert front.n_bytes["index"] <= 1.2 * (2 * n_frames * last + 4 * n_frames * first) + 4096


def test_waves_reach_the_card_in_one_piece(counts: Any) -> None:
    _, found = taken(counts, "wavlm-large", 30, fused=True)
    assert "constant_pad_nd" not in found["front end"].launches
    assert "cat" not in found["front end"].launches


def test_pooling_in_a_kernel_reads_twice_and_lays_nothing_out(counts: Any) -> None:
    (encoder, plain), (_, fused) = (taken(counts, "wavlm-large", 6, fused=each) for each in (False, True))
    frames = 2 * 6 * encoder.n_frames(16_080) * encoder.dims["1"]
    means = 8 * 6 * encoder.dims["1"]
    of_plain, of_kernel = (sum(each["pooling a state"].n_bytes.values()) for each in (plain, fused))
    assert of_kernel <= 2 * frames + 4 * means
    assert of_plain > 10 * of_kernel
