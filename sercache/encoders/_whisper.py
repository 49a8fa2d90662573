"""Whisper's encoder, a block at a time over whole windows."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from sercache.encoders._arguments import asked, taken
from sercache.encoders._checkpoint import Checkpoint
from sercache.encoders._exact import exact
from sercache.encoders._placed import Placed
from sercache.encoders._weight_files import tensors_behind, weight_files

_BEFORE = r"(?:model\.)?encoder\."
"""What the names of the encoder's tensors begin with; the decoder's stay on disk."""
_PACK_FRAMES = 1500
_PACK_FRAMES_CUDA = 12_000
_WINDOWS_CUDA = 8
"""Windows that pass a block together on CUDA; on the CPU they pass singly, which keeps them in its cache."""


def build(checkpoint: Checkpoint) -> tuple[Any, list[str]]:
    """The stock encoder in float32 with the checkpoint's weights, and the names of those it lacks."""
    from transformers import AutoConfig
    from transformers.models.whisper.modeling_whisper import WhisperEncoder

    config = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
    with torch.device("meta"):
        model = WhisperEncoder(config)
    held = tensors_behind(weight_files(checkpoint.folder), _BEFORE)
    tensors = {name: tensor.to(torch.float32) for name, tensor in held}
    missing = [name for name in model.state_dict() if name not in tensors]
    if not missing:
        model.load_state_dict(tensors, assign=True)
    return model, missing


def with_decoder(checkpoint: Checkpoint, absent: list[str]) -> tuple[Any, list[str]]:
    """The stock model in float32, and the names of the tensors that the checkpoint lacks, added to ``absent`` too."""
    from transformers import WhisperModel

    found: Any = WhisperModel.from_pretrained(
        checkpoint.folder, dtype=torch.float32, local_files_only=True, output_loading_info=True
    )
    model, report = found
    absent.extend(sorted(report["missing_keys"]))
    return model, absent


def extractor(preprocessing: Mapping[str, Any]) -> Any:
    """What makes log-mel spectra as a checkpoint's settings say."""
    from transformers import WhisperFeatureExtractor

    return WhisperFeatureExtractor(
        feature_size=preprocessing["n_mels"],
        sampling_rate=preprocessing["sampling_rate"],
        hop_length=preprocessing["hop_length"],
        n_fft=preprocessing["n_fft"],
    )


class WhisperStates:
    """A frozen Whisper encoder. Windows have one length, so that sharing a batch changes nothing."""

    max_samples: int | None
    dims: Mapping[str, int]
    states: tuple[str, ...]
    padding = False
    """Whether frames of the padding are given too."""

    def __init__(
        self,
        model: Any,
        preprocessing: Mapping[str, Any],
        placed: Placed,
        masked: bool = False,
    ) -> None:
        """``model``: the stock encoder in float32 on the CPU; it is taken over.

        ``masked``: blocks see no frame that is padding alone; what closes such a model has other frames, and is left
        out.
        """
        self.name, self.identity = placed.name, placed.identity
        device, dtype = placed.device, placed.dtype
        self.sample_rate: int = preprocessing["sampling_rate"]
        strides = model.conv1.stride[0] * model.conv2.stride[0]
        self.hop: int = preprocessing["hop_length"] * strides
        self.min_samples = 1
        self.max_samples = model.config.max_source_positions * self.hop
        blocks = [str(number) for number in range(1, len(model.layers) + 1)]
        self.states = ("input", *blocks) if masked else ("input", *blocks, "final")
        self._masked = masked
        self.dims = dict.fromkeys(self.states, model.config.d_model)
        self.pack_frames = _PACK_FRAMES_CUDA if device.type == "cuda" else _PACK_FRAMES
        self.device, self.dtype = device, dtype
        self._model = model.to(device=device, dtype=dtype)
        self._windows = _WINDOWS_CUDA if device.type == "cuda" else 1
        self._features = extractor(preprocessing)

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give: those that they reach into; with padding those of the window."""
        return self._model.config.max_source_positions if self.padding else -(-n_samples // self.hop)

    def with_padding(self) -> WhisperStates:
        """This encoder with all frames of the window, those of the padding behind those of the recording."""
        copied = copy.copy(self)
        copied.padding = True
        return copied

    @exact
    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield (state, (F, D)) in the order of ``self.states``, in the dtype of the weights.

        Raises UnknownNameError for a state that is not on offer, AudioError for a wave longer than the window.
        """
        chosen = asked(self, waves, states)
        return self._run(waves, chosen) if chosen else iter(())

    @torch.no_grad()
    def _run(self, waves: Sequence[np.ndarray], chosen: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        lengths = [self.n_frames(len(wave)) for wave in waves]
        for name, parts in taken(self._all(waves, lengths), chosen):
            rows = [row for part in parts for row in part]
            yield name, torch.cat([row[:length] for row, length in zip(rows, lengths, strict=True)])

    def _all(self, waves: Sequence[np.ndarray], lengths: Sequence[int]) -> Iterator[tuple[str, list[Tensor]]]:
        """(state, parts (B, T, D) that pass the blocks together): windows, or the frames of one wave each."""
        model = self._model
        windows = [self._input(self._log_mel(wave)) for wave in waves]
        if self._masked:
            parts = [window[:, :length] for window, length in zip(windows, lengths, strict=True)]
        else:
            parts = list(torch.cat(windows).split(self._windows))
        yield "input", parts
        for number, block in enumerate(model.layers, start=1):
            parts = [_output(block(part, None)) for part in parts]
            yield str(number), parts
        if "final" in self.states:
            yield "final", [model.layer_norm(part) for part in parts]

    def _log_mel(self, wave: np.ndarray) -> Tensor:
        """(1, mels, twice the window's frames), of the wave padded with zeros to the window."""
        found = self._features(
            np.asarray(wave, dtype=np.float32),
            sampling_rate=self.sample_rate,
            padding="max_length",
            max_length=self.max_samples,
            return_tensors="pt",
        )
        return found["input_features"].to(device=self.device, dtype=self.dtype)

    def _input(self, log_mel: Tensor) -> Tensor:
        model = self._model
        x = F.gelu(model.conv2(F.gelu(model.conv1(log_mel))))
        return x.transpose(1, 2) + model.embed_positions.weight


def _output(found: Tensor | tuple[Tensor, ...]) -> Tensor:
    return found[0] if isinstance(found, tuple) else found
