"""What lies above a cached state: forward from the boundary == forward from audio, alone or padded."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import conformer_helpers as conformers
import numpy as np
import pytest
import torch
from encoder_helpers import CONFIGS, error, noise, save, stock_states, tiny_model, tiny_whisper
from safetensors.torch import load_file

import sercache
from sercache import audio, clips, encoders
from sercache.encoders import Encoder, windowed
from sercache.encoders.hf_speech._tail import SpeechTail
from sercache.errors import EncoderError, SettingsError, UnknownNameError
from sercache.experiment import extract
from sercache.experiment.extract_options import ExtractOptions
from sercache.trained_on import TrainedOn
from sercache.views import open_view

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
    for boundary in names[: names.index("1") + 1]:
        above = names[names.index(boundary) + 1 :]
        tail = encoders.load_tail(folder, boundary, above)
        x, mask = padded([states[boundary] for states in stock], filler=1e3)
        with torch.no_grad():
            got = tail.eval()(x, mask)
        for k, states in enumerate(stock):
            for layer, state in enumerate(above):
                assert error(got[k, layer, : len(states[state])], states[state]) < 2e-5, (boundary, state)
        tail.train()(x, mask).square().mean().backward()
        assert [n for n, p in tail.named_parameters() if p.grad is None and not n.startswith("embed")] == []
        encoders.export(folder, tmp_path / boundary, tail, TrainedOn("", (), (), None))
        again = encoders.load_tail(str(tmp_path / boundary), boundary, above)
        assert all(torch.equal(a, b) for a, b in zip(tail.parameters(), again.parameters(), strict=True))


def in_company(encoder: Encoder, waves: list[np.ndarray], boundary: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Whole windows (B, 1, T, D) as a cache of clip rule ``whole`` holds them, and which frames are recordings."""
    windows = windowed(encoder, clips.parse("whole"))
    ((_, packed),) = windows.encode(waves, [boundary])
    x = packed.unflatten(0, (len(waves), -1))[:, None]
    return x, torch.arange(x.shape[2]) < torch.tensor([encoder.n_frames(len(wave)) for wave in waves])[
        :, None
    ]


@pytest.mark.parametrize("boundary", ["input", "1"])
def test_whisper_from_a_whole_window_as_from_audio(boundary: str, tmp_path: Path) -> None:
    folder = str(tiny_whisper(tmp_path / "whisper"))
    encoder = encoders.load(folder)
    waves = [noise(n) for n in (15_000, 1, 32_000)]
    above = list(encoder.states[encoder.states.index(boundary) + 1 :])
    x, mask = in_company(encoder, waves, boundary)
    tail = encoders.load_tail(folder, boundary, above)
    with torch.no_grad():
        got = tail.eval()(x, mask)
        without_silence = tail(x[:1, :, :47], mask[:1, :47])
    for k, wave in enumerate(waves):
        for layer, (state, alone) in enumerate(encoder.encode([wave], above)):
            assert error(got[k, layer][mask[k]], alone) < 2e-5, state
            # Why the padding is kept: the recording's frames alone give others.
            assert k or error(without_silence[0, layer], alone) > 1e-3
    tail.train()(x, mask).square().mean().backward()
    assert [name for name, p in tail.named_parameters() if p.grad is None] == []
    with torch.no_grad():
        for p in tail.parameters():
            p.mul_(1.1)
    encoders.export(folder, tmp_path / "out", tail, TrainedOn("", (), (), None))
    again, before = (encoders.load_tail(str(tmp_path / each), "input", above) for each in ("out", "whisper"))
    own = dict(tail.named_parameters())
    below = dict(before.named_parameters())
    assert all(torch.equal(p, own.get(name, below[name])) for name, p in again.named_parameters())
    stock = load_file(tmp_path / "whisper" / "model.safetensors")
    written = load_file(tmp_path / "out" / "model.safetensors")
    decoder = [name for name in stock if "decoder." in name]
    assert decoder
    assert all(torch.equal(written[name.removeprefix("model.")], stock[name]) for name in decoder)


def test_only_encoders_with_windows_have_padding_to_keep(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"logmel takes recordings as long as they are.*leave whole out"):
        encoders.load("logmel", clip="whole")


def test_means_over_padding_are_refused_before_anything_is_read() -> None:
    asked = ExtractOptions(encoder="whisper-tiny", dataset="emodb", clip="split:20+whole", pooled_only=True)
    with pytest.raises(
        SettingsError, match=r"means, and those of --clip split:20\+whole .* leave one of the two out"
    ):
        extract.run(asked)


@pytest.mark.real_data
@pytest.mark.slow
def test_the_real_whisper_from_its_cache_as_from_speech(tmp_path: Path) -> None:
    """Through a store: three recordings of EMO-DB, from two boundaries."""
    root = os.environ.get("SERCACHE_REAL_DATA")
    if not root:
        pytest.skip("SERCACHE_REAL_DATA names no folder with whisper-tiny-en and emodb")
    name = str(Path(root) / "whisper-tiny-en")
    encoder = encoders.load(name)
    files = [
        Path(shutil.copy(each, tmp_path)) for each in sorted((Path(root) / "emodb").rglob("*.wav"))[::150]
    ]
    rows = "".join(f"u{k},{file.name},a,s{k}\n" for k, file in enumerate(files))
    (tmp_path / "list.csv").write_text(f"id,path,label,speaker\n{rows}")
    options = {"cache": tmp_path / "cache", "states": "input,3", "clip": "whole", "dtype": "float32"}
    store = sercache.extract(name, "manifest", root=tmp_path / "list.csv", **options)
    waves = {f"u{k}": audio.read(file, 16_000) for k, file in enumerate(files)}
    for boundary, above in (("input", ["1", "final"]), ("3", ["4"])):
        view = open_view(store, dict.fromkeys(waves, 0), states=boundary, frames=True)
        x, mask = view.batch(range(len(waves)))
        assert x.shape[2] == 1500
        with torch.no_grad():
            tail = encoders.load_tail(name, boundary, above).eval()
            got, singly = tail(x, mask), tail(x[:1], mask[:1])
        assert error(singly[0], got[0]) < 2e-5
        for k, wave in enumerate(waves.values()):
            for layer, (state, alone) in enumerate(encoder.encode([wave], above)):
                assert error(got[k, layer][mask[k]], alone) < 2e-5, (boundary, state)


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
