"""Recognisers into a file of transcripts: CTC, Whisper and WeNet with tiny random weights; error rates."""

from __future__ import annotations

import csv
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import encoder_helpers as tiny
import numpy as np
import pytest
import soundfile
import text_helpers as texts
import torch
import transformers
import wenet_helpers as wenet
from conftest import Outcome
from test_encoders_features import kaldi_fbank

from sercache import transcription, transcripts
from sercache.datasets import Utterance
from sercache.errors import EncoderError, MissingExtraError, SettingsError

LETTERS = ["<pad>", "<s>", "</s>", "<unk>", "|", "A", "B", "C", "D", "E", "F"]


@pytest.fixture(scope="module")
def ctc(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("ctc") / "tiny-ctc"
    model = tiny.shake(transformers.Wav2Vec2ForCTC(tiny.tiny_config("wav2vec2-base")))
    with torch.no_grad():  # centred, or one letter would win every frame
        model.lm_head.bias -= model(torch.tensor(tiny.noise(16_000))[None]).logits[0].mean(0)
    model.save_pretrained(folder)
    (folder / "vocab.json").write_text(json.dumps({letter: k for k, letter in enumerate(LETTERS)}))
    transformers.Wav2Vec2CTCTokenizer(str(folder / "vocab.json")).save_pretrained(folder)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tiny.tiny_whisper(tmp_path_factory.mktemp("whisper") / "tiny-whisper")
    texts.tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def utterances(tmp_path: Path) -> list[Utterance]:
    found = []
    for k in range(5):
        path = tmp_path / f"u{k}.wav"
        soundfile.write(path, tiny.noise(12_000 + 1_000 * k, seed=k), 16_000)
        found.append(Utterance(f"u{k}", path, "joy", "s", transcript="a bad cab"))
    return found


def best_labels(folder: Path, wave: np.ndarray) -> list[int]:
    model = transformers.Wav2Vec2ForCTC.from_pretrained(folder)
    values = (wave - wave.mean()) / np.sqrt(wave.var() + 1e-7)
    with torch.no_grad():
        return model(torch.tensor(values[None], dtype=torch.float32)).logits[0].argmax(-1).tolist()


def test_ctc_is_the_likeliest_label_without_repetitions_and_blanks(ctc: Path) -> None:
    recogniser = transcription.load(str(ctc))
    wave = tiny.noise(16_000)
    letters = [LETTERS[k] for k, _ in itertools.groupby(best_labels(ctc, wave)) if k > 3]
    expected = " ".join("".join(letters).replace("|", " ").split())
    assert len(expected) > 3
    assert recogniser.recognise(wave, "") == expected


def test_wenet_ctc_joins_its_units(tmp_path: Path) -> None:
    folder, model = wenet.write(tmp_path / "m")
    recogniser = transcription.load(str(folder))
    wave = tiny.noise(40_000)
    mean, istd, _ = wenet.statistics()
    x = model(torch.tensor(kaldi_fbank(wave), dtype=torch.float32), mean, istd)["final"]
    layer = torch.load(folder / "final.pt", weights_only=True)
    best = (x @ layer["ctc.ctc_lo.weight"].T + layer["ctc.ctc_lo.bias"]).argmax(-1).tolist()
    units = ["", "", " a", "b", " c", "d", ""]
    expected = "".join(units[k] for k, _ in itertools.groupby(best)).strip()
    assert len(expected) > 3
    assert recogniser.recognise(wave, "en") == expected


def test_whisper_writes_what_the_stock_model_generates(whisper: Path, utterances: list[Utterance]) -> None:
    recogniser = transcription.load(str(whisper))
    assert recogniser.max_seconds == 2
    model = transformers.WhisperForConditionalGeneration.from_pretrained(whisper)
    wave = tiny.noise(16_000)
    features = transformers.WhisperFeatureExtractor.from_pretrained(whisper)(
        wave, sampling_rate=16_000, return_tensors="pt"
    )
    ids = model.generate(features["input_features"], num_beams=1, do_sample=False)[0]
    assert recogniser.recognise(wave, "en") == texts.tokenizer().decode(ids, skip_special_tokens=True)


def test_a_run_goes_on_where_it_was_cut_off(ctc: Path, utterances: list[Utterance], tmp_path: Path) -> None:
    recogniser = transcription.load(str(ctc))
    whole = tmp_path / "whole.csv"
    assert transcription.transcribe(utterances, recogniser, whole).n_recognised == 5
    part = tmp_path / "part.csv"
    transcription.transcribe(utterances[:3], recogniser, part)
    content = part.read_bytes()
    part.write_bytes(content[:-4])  # as if the power had gone while the third line was written
    result = transcription.transcribe(utterances, recogniser, part)
    assert (result.n_recognised, result.n_there) == (3, 2)
    assert part.read_bytes() == whole.read_bytes()
    assert list(transcripts.read(part)) == [u.id for u in utterances]


def test_what_was_recognised_before_an_interruption_is_kept(
    ctc: Path, utterances: list[Utterance], tmp_path: Path
) -> None:
    recogniser = transcription.load(str(ctc))
    out = tmp_path / "t.tsv"

    def stop(utterance: Utterance) -> None:
        if utterance.id == "u2":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        transcription.transcribe(utterances, recogniser, out, progress=stop)
    assert list(transcripts.read(out)) == ["u0", "u1", "u2"]


def test_files_of_two_recognisers_are_not_mixed(
    ctc: Path, utterances: list[Utterance], tmp_path: Path
) -> None:
    out = tmp_path / "t.csv"
    transcription.transcribe(utterances[:1], transcription.load(str(ctc)), out)
    other = transcription.load(str(wenet.write(tmp_path / "wenet")[0]))
    with pytest.raises(SettingsError, match="was not written by wenet"):
        transcription.transcribe(utterances, other, out)
    by_hand = tmp_path / "mine.csv"
    transcripts.append(by_hand, [("u0", "hello")])
    with pytest.raises(SettingsError, match="was not written by"):
        transcription.transcribe(utterances, other, by_hand)
    assert transcripts.read(by_hand) == {"u0": "hello"}


def test_recordings_that_cannot_be_recognised_whole_are_listed(whisper: Path, tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.wav", tiny.noise(40_000), 16_000)
    soundfile.write(tmp_path / "fine.wav", tiny.noise(30_000), 16_000)
    named = ["long", "absent", "fine"]
    utterances = [Utterance(each, tmp_path / f"{each}.wav", "joy", "s") for each in named]
    out = tmp_path / "t.csv"
    result = transcription.transcribe(utterances, transcription.load(str(whisper)), out)
    assert result.n_recognised == 1
    assert [item.what for item in result.skipped] == ["long", "absent"]
    assert "2.5 s is longer than the 2 s" in result.skipped[0].reason


def test_error_rates_are_those_counted_by_hand() -> None:
    pytest.importorskip("jiwer")
    references = {"a": "The cat sat.", "b": "[LAUGHTER] Don't go!", "c": "[LAUGHTER]", "d": "unheard"}
    found = {"a": "the cat", "b": "dont go", "c": "ha"}
    rates = transcription.error_rates(references, found)
    assert rates.n_utterances == 2
    assert rates.wer == pytest.approx(2 / 5)  # one word missing, one wrong, of five
    assert rates.cer == pytest.approx((4 + 1) / (11 + 8))  # " sat" and the apostrophe
    with pytest.raises(SettingsError, match="no utterance has both"):
        transcription.error_rates({"c": "[LAUGHTER]"}, found)


def test_error_rates_without_jiwer_say_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "jiwer", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'sercache\[asr\]'"):
        transcription.error_rates({"a": "x"}, {"a": "x"})


def test_models_that_recognise_nothing_are_refused(tmp_path: Path) -> None:
    folder = tiny.save(tiny.tiny_model("wav2vec2-base"), tmp_path / "m")
    with pytest.raises(EncoderError, match="Wav2Vec2Model, which writes no transcripts"):
        transcription.load(str(folder))
    wenet_folder, _ = wenet.write(tmp_path / "w")
    (wenet_folder / "units.txt").write_text("<blank> 0\na 1\n")
    with pytest.raises(EncoderError, match="no CTC layer of the 2 units"):
        transcription.load(str(wenet_folder))
    (wenet_folder / "units.txt").unlink()
    with pytest.raises(EncoderError, match=r"units\.txt cannot be read"):
        transcription.load(str(wenet_folder))


def test_recognised_words_reach_a_text_store(
    sercache: Callable[..., Outcome], ctc: Path, tmp_path: Path
) -> None:
    pytest.importorskip("jiwer")
    root = tmp_path / "corpus"
    root.mkdir()
    rows: list[list[Any]] = [["id", "path", "label", "speaker", "transcript"]]
    for k in range(3):
        soundfile.write(root / f"u{k}.wav", tiny.noise(14_000, seed=k), 16_000)
        rows.append([f"u{k}", f"u{k}.wav", ["joy", "anger"][k % 2], "s", "a bad cab"])
    with (root / "manifest.csv").open("w", newline="") as file:
        csv.writer(file).writerows(rows)
    out = tmp_path / "heard.csv"
    where = ["--dataset", "manifest", "--root", root]
    code, shown, err = sercache("transcribe", "--model", ctc, *where, "--out", out)
    assert code == 0, err
    assert "3 utterances recognised" in shown
    assert "WER" in shown
    assert "CER" in shown
    assert "over 3 utterances" in shown
    bert = texts.save("bert", tmp_path / "tiny-bert")
    code, shown, _ = sercache("extract", "--encoder", bert, *where, "--transcripts", out)
    assert "word pieces of text" in shown
