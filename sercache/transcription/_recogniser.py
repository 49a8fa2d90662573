"""Speech recognisers: Whisper and kin, CTC models of transformers, WeNet's CTC; greedy, one utterance at a time."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from sercache import encoders
from sercache.encoders import Checkpoint, wenet
from sercache.errors import EncoderError, MissingExtraError
from sercache.settings import expanded

if TYPE_CHECKING:
    import torch

_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.json",
    "merges.txt",
    "normalizer.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "generation_config.json",
    "sentencepiece.bpe.model",
    "tokenizer.model",
)
_SPECIAL = ("<blank>", "<unk>", "<sos>", "<eos>", "<sos/eos>")


class Recogniser(Protocol):
    """A frozen model that writes down what is said."""

    name: str
    identity: Mapping[str, Any]
    """What decides the words, as JSON values."""
    sample_rate: int
    """Hz."""
    min_samples: int
    max_seconds: float | None
    """Longest recording that is taken whole; None: no limit but memory."""

    def recognise(self, wave: np.ndarray, language: str) -> str:
        """What is said in a wave (N,) float32; ``language`` (BCP 47, or empty) helps models of several."""
        ...


def load(source: str, *, revision: str | None = None, device: str = "cpu") -> Recogniser:
    """The recogniser in a local folder or under a hub id.

    Raises EncoderError where it cannot be had, is corrupt, or recognises no speech.
    """
    place, _ = encoders.placement(device, "float32")
    folder = expanded(source)
    if folder.is_dir() and wenet.owns(folder):
        return _WenetCtc(folder, revision, device)
    checkpoint = encoders.locate_checkpoint(source, revision, also=_FILES)
    kinds = [str(each) for each in checkpoint.config.get("architectures") or ()]
    if any(kind.endswith("ForCTC") for kind in kinds):
        return _Ctc(checkpoint, place)
    if any(kind.endswith("ForConditionalGeneration") for kind in kinds):
        return _Generating(checkpoint, place)
    raise EncoderError(
        f"{source} is {' '.join(kinds) or checkpoint.model_type or 'of no known kind'}, which writes no transcripts; "
        "expected one fine-tuned for CTC, Whisper, or a WeNet folder"
    )


def _made(checkpoint: Checkpoint, kind: str) -> Any:
    """An object of transformers' ``kind`` (AutoTokenizer, …) of the checkpoint. Raises EncoderError."""
    import transformers

    try:
        return getattr(transformers, kind).from_pretrained(checkpoint.folder, local_files_only=True)
    except Exception as fault:  # transformers raises whatever it likes
        encoders.pass_on(fault, checkpoint.folder)
        if line := encoders.missing(fault):
            raise MissingExtraError(f"{kind} of {checkpoint.folder} needs {line}") from fault
        reason = " ".join(str(fault).split())[:200] or type(fault).__name__
        raise EncoderError(f"{kind} of {checkpoint.folder} cannot be made ({reason})") from fault


def _model(checkpoint: Checkpoint, kind: str, device: torch.device) -> Any:
    import torch
    import transformers

    def build() -> tuple[Any, list[str]]:
        model, report = getattr(transformers, kind).from_pretrained(
            checkpoint.folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
        )
        return model, sorted(report["missing_keys"])

    return encoders.load_checkpoint(checkpoint, build, r"masked_spec_embed$").to(device)


class _Ctc:
    """A CTC model: the likeliest label of each frame, repetitions and blanks taken out."""

    max_seconds: float | None = None

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self.name = checkpoint.source
        self.identity: Mapping[str, Any] = encoders.checkpoint_identity(
            checkpoint, "ctc", {"decoding": "greedy"}
        )
        self._extract, self._tokenizer = (
            _made(checkpoint, "AutoFeatureExtractor"),
            _made(checkpoint, "AutoTokenizer"),
        )
        self.sample_rate = int(self._extract.sampling_rate)
        self.min_samples = self.sample_rate // 10
        self._model, self._device = _model(checkpoint, "AutoModelForCTC", device), device

    def recognise(self, wave: np.ndarray, language: str) -> str:
        """What is said in a wave (N,) float32."""
        import torch

        features = self._extract(wave, sampling_rate=self.sample_rate, return_tensors="pt")
        with torch.no_grad():
            labels = self._model(**features.to(self._device)).logits[0].argmax(-1)
        # With skip_special_tokens, blanks would go before repetitions are joined: "hello" as "helo".
        text = str(self._tokenizer.decode(labels))
        for token in self._tokenizer.all_special_tokens:
            text = text.replace(token, "")
        return text


class _Generating:
    """An encoder with a decoder that writes the likeliest word piece at each step, such as Whisper."""

    min_samples = 1

    def __init__(self, checkpoint: Checkpoint, device: torch.device) -> None:
        self.name = checkpoint.source
        self.identity: Mapping[str, Any] = encoders.checkpoint_identity(
            checkpoint, "generating", {"decoding": "greedy"}
        )
        self._extract, self._tokenizer = (
            _made(checkpoint, "AutoFeatureExtractor"),
            _made(checkpoint, "AutoTokenizer"),
        )
        self.sample_rate = int(self._extract.sampling_rate)
        self.max_seconds: float | None = getattr(self._extract, "chunk_length", None)
        self._model, self._device = _model(checkpoint, "AutoModelForSpeechSeq2Seq", device), device

    def recognise(self, wave: np.ndarray, language: str) -> str:
        """What is said in a wave (N,) float32, in ``language`` where the model knows it by name."""
        import torch

        features = self._extract(wave, sampling_rate=self.sample_rate, return_tensors="pt").to(self._device)
        spoken = language.split("-")[0]
        known = getattr(self._model.generation_config, "lang_to_id", None) or {}
        options = {"language": spoken, "task": "transcribe"} if f"<|{spoken}|>" in known else {}
        with torch.no_grad():
            ids = self._model.generate(**features, num_beams=1, do_sample=False, **options)
        return str(self._tokenizer.decode(ids[0], skip_special_tokens=True))


class _WenetCtc:
    """The CTC layer of a WeNet checkpoint over its encoder."""

    max_seconds: float | None = None

    def __init__(self, folder: Path, revision: str | None, device: str) -> None:
        self._encoder = wenet.load(str(folder), revision=revision, device=device, precision="float32")
        self.name = folder.resolve().name
        self.sample_rate, self.min_samples = self._encoder.sample_rate, self._encoder.min_samples
        self._units = _units(folder / "units.txt")
        weight, bias = wenet.ctc_layer(folder, len(self._units))
        self._weight, self._bias = weight.to(device), bias.to(device)
        self.identity: Mapping[str, Any] = {
            **self._encoder.identity,
            "family": "wenet-ctc",
            "units": self._units,
        }

    def recognise(self, wave: np.ndarray, language: str) -> str:
        """What is said in a wave (N,) float32."""
        ((_, x),) = self._encoder.encode([wave], self._encoder.states[-1:])
        best = (x @ self._weight.T + self._bias).argmax(-1).tolist()
        units = [self._units[label] for label, _ in itertools.groupby(best)]
        return "".join(unit for unit in units if unit not in _SPECIAL).replace("▁", " ").strip()


def _units(path: Path) -> list[str]:
    """Units by label. Raises EncoderError."""
    try:
        pairs = [line.rsplit(maxsplit=1) for line in path.read_text(encoding="utf-8").splitlines()]
        units = {int(label): unit for unit, label in pairs}
        return [units[label] for label in range(len(units))]
    except (OSError, ValueError, KeyError) as fault:
        encoders.pass_on(fault, path)
        raise EncoderError(f"{path} cannot be read as units of a WeNet checkpoint ({fault!r})") from fault
