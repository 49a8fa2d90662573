"""What lies above a cached state: forward from the boundary == forward from audio, alone or padded."""

from __future__ import annotations

from pathlib import Path

import conformer_helpers as conformers
import pytest
import torch
from encoder_helpers import CONFIGS, error, noise, save, stock_states, tiny_model

from sercache import encoders
from sercache.encoders.hf_speech._tail import SpeechTail
from sercache.errors import EncoderError, UnknownNameError
from sercache.trained_on import TrainedOn

LENGTHS = (6000, 3300, 9000)  # samples
BOUNDARIES = ("conv", "projection", "input", "1", "2")


def padded(parts: list[torch.Tensor], filler: float) -> tuple[torch.Tensor, torch.Tensor]:
    """(B, 1, T, D) and mask (B, T), with ``filler`` in the padding."""
    longest = max(map(len, parts))
    x = torch.full((len(parts), 1, longest, parts[0].shape[1]), filler)
    mask = torch.zeros(len(parts), longest, dtype=torch.bool)
    for k, part in enumerate(parts):
        x[k, 0, : len(part)], mask[k, : len(part)] = part, True
    return x, mask


@pytest.mark.parametrize("name", CONFIGS)
@torch.no_grad()
def test_from_any_boundary_as_from_audio(name: str) -> None:
    model = tiny_model(name)
    stock = [stock_states(model, noise(n)) for n in LENGTHS]
    names = list(stock[0])
    for boundary in [each for each in BOUNDARIES if each in names[:-1]]:
        above = names[names.index(boundary) + 1 :]
        tail = SpeechTail(model, boundary, above).eval()
        got = tail(*padded([states[boundary] for states in stock], filler=1e3))
        for k, states in enumerate(stock):
            for layer, state in enumerate(above):
                assert error(got[k, layer, : len(states[state])], states[state]) < 2e-5, (boundary, state)


@pytest.mark.parametrize("name", conformers.CONFIGS)
def test_conformers_from_any_boundary_as_from_audio(name: str, tmp_path: Path) -> None:
    model = conformers.model(name)
    folder = str(conformers.save(model, tmp_path))
    stock = [conformers.stock_states(model, noise(n)) for n in LENGTHS]
    names = list(stock[0])
    before = "input" if "input" in names else "projection"
    for boundary in (before, "1"):
        above = names[names.index(boundary) + 1 :]
        tail = encoders.load_tail(folder, boundary, above)
        x, mask = padded([states[boundary] for states in stock], filler=1e3)
        with torch.no_grad():
            got = tail.eval()(x, mask)
        for k, states in enumerate(stock):
            for layer, state in enumerate(above):
                assert error(got[k, layer, : len(states[state])], states[state]) < 2e-5, (boundary, state)
        tail.train()(x, mask).square().mean().backward()
        assert [n for n, p in tail.blocks.named_parameters() if p.grad is None] == []
        encoders.export(folder, tmp_path / boundary, tail, TrainedOn("", (), (), None))
        again = encoders.load_tail(str(tmp_path / boundary), boundary, above)
        assert all(torch.equal(a, b) for a, b in zip(tail.parameters(), again.parameters(), strict=True))


def test_trains_what_lies_above_and_nothing_else() -> None:
    model = tiny_model("wavlm-base")
    tail = SpeechTail(model, "1", ["2"])
    x, mask = padded([stock_states(model, noise(n))["1"] for n in LENGTHS], filler=0.0)
    tail.train()(x, mask).square().mean().backward()
    assert sorted({name.split(".")[0] for name, _ in tail.named_parameters()}) == ["blocks", "table"]
    assert all(p.grad is not None and p.grad.any() for p in tail.blocks.parameters())
    assert all(p.grad is None for p in tail.table.parameters())
    assert list(tail.blocks) == ["2"]
    assert all(p.grad is None for p in model.parameters())


def test_refuses_what_does_not_lie_above() -> None:
    model = tiny_model("wav2vec2-base")
    with pytest.raises(UnknownNameError, match="state 1 does not lie above 2"):
        SpeechTail(model, "2", ["1"])
    with pytest.raises(UnknownNameError, match="state to fine-tune from"):
        SpeechTail(model, "3", ["3"])


def test_loads_from_a_checkpoint(tmp_path: Path) -> None:
    model = tiny_model("hubert-large")
    tail = encoders.load_tail(str(save(model, tmp_path)), "conv", ["3", "final"])
    assert (tail.dim, tail.states) == (32, ("3", "final"))
    assert all(p.requires_grad for p in tail.parameters())
    assert torch.equal(tail.norm.weight, model.encoder.layer_norm.weight)
    with pytest.raises(EncoderError, match=r"logmel .* cannot be trained from a cached state.*hf-speech"):
        encoders.load_tail("logmel", "conv", ["1"])
