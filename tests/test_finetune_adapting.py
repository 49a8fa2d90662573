"""Encoder blocks that are trained through LoRA, and with layer drop."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import conformer_helpers as conformers
import numpy as np
import pytest
import torch
from array_view import ArrayView
from encoder_helpers import error, noise, save, tiny_model, tiny_whisper

from sercache import clips, encoders
from sercache.encoders import windowed
from sercache.errors import RecipeError
from sercache.evaluation.experiment import all_settings
from sercache.heads import mlp, superb
from sercache.recipe import Recipe
from sercache.trained_on import TrainedOn
from sercache.training import Adapting, adapt, build, finetuned, fit, merge
from sercache.training.adapting import LowRank

LORA = Adapting(rank=3, alpha=6.0)
KINDS = (
    "wav2vec2-base", "hubert-large", "wavlm-base", "data2vec-audio", "conformer-rel-pos", "conformer-rope",
    "w2v-bert", "w2v-bert-relative", "parakeet", "whisper",
)  # fmt: skip


def checkpoint(kind: str, folder: Path) -> str:
    if kind == "whisper":
        return str(tiny_whisper(folder))
    if kind in conformers.CONFIGS:
        return str(conformers.save(conformers.model(kind), folder))
    return str(save(tiny_model(kind), folder))


def trained_a_bit(tail: torch.nn.Module) -> None:
    """Weights as after some updates: the products are no longer zero."""
    draws = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for part in tail.modules():
            if isinstance(part, LowRank):
                part.up.weight.normal_(std=0.2, generator=draws)


@pytest.mark.parametrize("kind", KINDS)
def test_what_lora_gives_from_the_cache_is_what_the_exported_encoder_gives_from_audio(
    kind: str, tmp_path: Path
) -> None:
    folder = checkpoint(kind, tmp_path / "before")
    encoder = encoders.load(folder)
    last = encoder.states[-1]
    clip = clips.parse("whole" if kind == "whisper" else "none")
    cached = windowed(encoder, clip)
    waves = [noise(n) for n in (6000, 3300, 9000)]
    ((_, packed),) = cached.encode(waves, ["1"])
    stored, real = ([each.n_frames(len(wave)) for wave in waves] for each in (cached, encoder))
    x = torch.nn.utils.rnn.pad_sequence(packed.split(stored), batch_first=True)[:, None]
    mask = torch.arange(x.shape[2]) < torch.tensor(real)[:, None]
    plain = encoders.load_tail(folder, "1", [last])
    tail = copy.deepcopy(plain)
    adapt(tail, LORA)
    with torch.no_grad():  # training begins at the checkpoint
        assert torch.equal(tail.eval()(x, mask), plain.eval()(x, mask))
    trained_a_bit(tail)
    tail(x, mask).square().mean().backward()
    trained = {name for name, p in tail.named_parameters() if p.requires_grad}
    assert {name for name, p in tail.named_parameters() if p.grad is not None and p.grad.any()} == trained
    assert {name.split(".")[-2] for name in trained} == {"down", "up"}
    assert tail.state_dict().keys() == trained
    # What is saved is small, and is all that another copy needs.
    again = encoders.load_tail(folder, "1", [last])
    adapt(again, LORA)
    again.load_state_dict(tail.state_dict())
    with torch.no_grad():
        got = tail(x, mask)
        assert torch.equal(again.eval()(x, mask), got)
    with pytest.raises(RuntimeError, match=r"Missing key\(s\).*down"):
        again.load_state_dict({})
    merge(again)
    encoders.export(folder, tmp_path / "after", again, TrainedOn("", (), (), None))
    after = encoders.load(str(tmp_path / "after"))
    for k, wave in enumerate(waves):
        ((_, alone),) = after.encode([wave], [last])
        # Merged weights are rounded once more than the products beside them.
        assert error(got[k, 0, : real[k]], alone) < 4e-5


def tail_of(kind: str = "wavlm-base") -> Any:
    from sercache.encoders.hf_speech._tail import SpeechTail

    return SpeechTail(tiny_model(kind), "1", ["2", "3"])


VIEW = ArrayView([np.random.default_rng(k).normal(size=(1, 6 + k, 32)) for k in range(4)], np.arange(4) % 2)


def test_a_seed_decides_the_head_first_so_that_it_is_that_of_full_fine_tuning() -> None:
    tail = tail_of()
    heads = [
        build(finetuned(superb.Head, [tail], [True], how), VIEW, 2, seed=seed)
        for how, seed in ((Adapting(), 0), (LORA, 0), (LORA, 0), (LORA, 1))
    ]
    assert all(torch.equal(a, b) for a, b in zip(*(h.head.parameters() for h in heads[:2]), strict=True))
    states = [head.state_dict() for head in heads]
    assert all(torch.equal(value, states[2][name]) for name, value in states[1].items())
    assert any(not torch.equal(value, states[3][name]) for name, value in states[1].items() if "down" in name)
    n = sum(value.numel() for name, value in states[1].items() if name.startswith("tail."))
    assert heads[1].notes[-1].startswith(f"{n:,} parameters of the encoder are trained")
    assert heads[1].notes[-1].endswith("as products of rank 3 beside frozen weights")
    assert 5 * n < sum(p.numel() for p in heads[0].tail_of(0).parameters())


def test_layers_that_a_product_would_not_be_smaller_than_stay_frozen() -> None:
    tail = tail_of()
    adapt(tail, Adapting(rank=15))
    adapted = {name for name, part in tail.named_modules() if isinstance(part, LowRank)}
    assert adapted
    assert not any("gru_rel_pos" in name or name.startswith("table") for name in adapted)
    with pytest.raises(RecipeError, match="lora_rank 24 is no less than training every weight"):
        adapt(tail_of(), Adapting(rank=24))


def test_layer_drop_leaves_blocks_out_in_training_alone() -> None:
    tail = tail_of()
    x, mask = VIEW.batch(np.arange(4))
    expected = tail.eval()(x, mask)
    state = torch.random.get_rng_state()
    adapt(tail, Adapting())
    tail(x, mask)
    assert torch.equal(state, torch.random.get_rng_state()), "nothing is drawn where nothing is dropped"
    adapt(tail, Adapting(layer_drop=0.5))
    assert torch.equal(tail(x, mask), expected)
    for part in tail.train().modules():  # so that layer drop alone tells two passes apart
        if isinstance(part, torch.nn.Dropout):
            part.p = 0.0
        elif hasattr(part, "dropout") and isinstance(part.dropout, float):
            part.dropout = 0.0
    first, n_dropped = x[:, 0] * mask[..., None], np.zeros(2)
    for seed in range(60):
        torch.manual_seed(seed)
        two, three = (tail(x, mask) * mask[:, None, :, None]).unbind(1)
        n_dropped += [torch.equal(two, first), torch.equal(three, two)]
        torch.manual_seed(seed)
        assert torch.equal(tail(x, mask)[:, 1] * mask[..., None], three)
    # 60 draws at one half: 30 ± 5.5 standard deviations of 3.9.
    assert all(9 <= n <= 51 for n in n_dropped)


def test_a_tail_of_another_family_says_whether_it_drops_blocks() -> None:
    with pytest.raises(RecipeError, match="Linear leaves no block out"):
        adapt(torch.nn.Linear(2, 2), Adapting(layer_drop=0.1))


@pytest.mark.parametrize("how", [LORA, Adapting(layer_drop=0.5)], ids=["lora", "layer drop"])
def test_a_training_is_decided_by_its_seed(how: Adapting) -> None:
    recipe = Recipe(max_epochs=2, batch_size=2, select="last-epoch", lr=1e-2)
    kind = finetuned(superb.Head, [tail_of()], [True], how)
    states = [
        fit(build(kind, VIEW, 2, seed=0), VIEW, None, recipe, seed=seed).head.state_dict()
        for seed in (0, 0, 1)
    ]
    assert all(torch.equal(value, states[1][name]) for name, value in states[0].items())
    assert not all(torch.equal(value, states[2][name]) for name, value in states[0].items())


def test_settings_that_came_later_are_no_part_of_earlier_experiments() -> None:
    later = {"lora_rank", "lora_alpha", "layer_drop"}
    assert not later & all_settings(mlp.Head, Recipe()).keys()
    assert later <= all_settings(mlp.Head, Recipe(lora_rank=8, lora_alpha=16, layer_drop=0.1)).keys()
    with pytest.raises(RecipeError, match="lora_alpha goes with lora_rank"):
        Recipe(lora_alpha=3.0)
    with pytest.raises(RecipeError, match="layer_drop must lie in"):
        Recipe(layer_drop=1.0)
