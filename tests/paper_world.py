"""All that the papers' tables need, small: corpora in their real layout, checkpoints under their real names."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import text_helpers
import transformers
import wenet_helpers
from corpus_trees import TREES, msp_improv_block, write_text, write_wav
from encoder_helpers import save, shake, tiny_config

CORPORA = (
    "iemocap", "ravdess", "esd", "emodb", "aesdd", "mesd", "msp-podcast", "msp-improv", "hume-prosody", "voxceleb1",
)  # fmt: skip
CHECKPOINTS = {
    "microsoft/wavlm-large": ("wavlm-large", 24),
    "facebook/hubert-base-ls960": ("hubert-base", 12),
    "facebook/hubert-large-ll60k": ("hubert-large", 24),
    "facebook/wav2vec2-base": ("wav2vec2-base", 12),
    "facebook/wav2vec2-base-960h": ("wav2vec2-base", 12),
    "facebook/wav2vec2-large-lv60": ("wav2vec2-large", 24),
}
"""Hub id -> tiny configuration and number of blocks."""


@dataclass
class Hears:
    """A recogniser whose words follow from the sound; it takes nothing longer than ``max_seconds``."""

    name: str
    max_seconds: float | None = None
    sample_rate = 16_000
    min_samples = 1
    n_heard: int = 0

    @property
    def identity(self) -> dict[str, str]:
        return {"recogniser": self.name}

    def recognise(self, wave: np.ndarray, language: str | None) -> str:
        self.n_heard += 1
        words = ("kids", "are", "talking", "by", "the", "door", "dogs", "sit")
        return " ".join(words[k] for k in {zlib.crc32(wave.tobytes()) % 8, len(self.name) % 8, len(wave) % 8})


def make_corpora(folder: Path) -> dict[str, Path]:
    """Corpus -> root, every recording with sound of its own (equal ones would be computed once)."""
    roots = {}
    for name in CORPORA:
        build = _msp_improv if name == "msp-improv" else TREES[name]
        roots[name] = build(folder / name)
    give_voices(folder)
    return roots


def give_voices(folder: Path) -> None:
    """Put sound of its own into every recording: equal ones would be computed once and copied."""
    for path in folder.rglob("*.wav"):
        if not path.name.startswith("."):
            chance = np.random.default_rng(zlib.crc32(path.name.encode()))
            soundfile.write(path, chance.normal(0, 0.1, int(16000 * chance.uniform(0.2, 0.5))), 16000)


def _msp_improv(root: Path) -> Path:
    """Twelve speakers in six sessions, each with the four emotions."""
    blocks = []
    for session, sex, label in product(range(1, 7), "FM", "AHSN"):
        sentence, speaker = f"S01{label}", f"{sex}{session:02d}"
        clip = f"{sentence}-{speaker}-P-{sex}{'MF'[sex == 'M']}01"
        write_wav(root / "Audio" / f"session{session}" / sentence / "P" / f"MSP-IMPROV-{clip}.wav")
        blocks.append(msp_improv_block(clip, label))
    write_text(root / "Evalution.txt", "".join(blocks))
    return root


def make_short(folder: Path) -> Path:
    """A wav2vec 2.0 of one block, for what trains it."""
    config: Any = tiny_config("wav2vec2-base")
    config.num_hidden_layers = 1
    return save(shake(transformers.AutoModel.from_config(config)), folder)


def make_wenet(folder: Path, seed: int = 0) -> Path:
    """A WeNet checkpoint of twelve blocks."""
    wenet_helpers.VARIANTS["twelve blocks"] = {"num_blocks": 12}
    try:
        return wenet_helpers.write(folder, "twelve blocks", seed=seed)[0]
    finally:
        del wenet_helpers.VARIANTS["twelve blocks"]


def make_hub(home: Path) -> Path:
    """A local hub cache as huggingface_hub lays it out, with tiny checkpoints under the real ids."""
    text_helpers.save("bert", _snapshot(home, "google-bert/bert-large-uncased", 99))
    for number, (hub_id, (kind, n_blocks)) in enumerate(CHECKPOINTS.items()):
        config: Any = tiny_config(kind)
        config.num_hidden_layers = n_blocks
        model = shake(transformers.AutoModel.from_config(config), number)
        save(model, _snapshot(home, hub_id, number + 1))
    return home


def _snapshot(home: Path, hub_id: str, number: int) -> Path:
    """The folder of a checkpoint's newest commit."""
    commit = f"{number:040x}"
    folder = home / "hub" / f"models--{hub_id.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(commit)
    return folder / "snapshots" / commit
