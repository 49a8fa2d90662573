"""The tower of a checkpoint, and the Encoder of towers that hear chunks."""

from __future__ import annotations

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
from sercache.encoders._whisper import extractor
from sercache.errors import EncoderError

_PACK_FRAMES = 1000
_PACK_FRAMES_CUDA = 16_000
_LEAST = 1
"""Samples: the spectra of a shorter recording are those of silence behind it."""


def build(checkpoint: Checkpoint) -> tuple[Any, list[str]]:
    """The stock tower in float32 with the checkpoint's weights, and the names of those it lacks."""
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(checkpoint.folder, local_files_only=True)
    for name in ("thinker_config", "audio_config"):
        config = getattr(config, name, config)
    files = weight_files(checkpoint.folder, checkpoint.tensors)
    tensors = dict(tensors_behind(files, checkpoint.tensors))
    model, report = _kind(config).from_pretrained(
        None, config=config, state_dict=tensors, dtype=torch.float32, output_loading_info=True
    )
    return model, sorted(report["missing_keys"])


def size(config: Mapping[str, Any]) -> tuple[int, int, int]:
    """(blocks, D, parameters) of the tower in a configuration, laid out without memory for its weights."""
    from transformers import AutoConfig

    for name in ("thinker_config", "audio_config"):
        config = config.get(name, config)
    known: Any = AutoConfig.for_model(**config)
    with torch.device("meta"):
        model = _kind(known)(known)
    return known.encoder_layers, known.d_model, sum(each.numel() for each in model.parameters())


def _kind(config: Any) -> Any:
    """The class of a tower."""
    from transformers.models.audioflamingo3 import modeling_audioflamingo3
    from transformers.models.qwen2_5_omni import modeling_qwen2_5_omni
    from transformers.models.qwen2_audio import modeling_qwen2_audio
    from transformers.models.voxtral import modeling_voxtral

    known = {
        "audioflamingo3_encoder": modeling_audioflamingo3.AudioFlamingo3Encoder,
        "qwen2_5_omni_audio_encoder": modeling_qwen2_5_omni.Qwen2_5OmniAudioEncoder,
        "qwen2_audio_encoder": modeling_qwen2_audio.Qwen2AudioEncoder,
        "voxtral_encoder": modeling_voxtral.VoxtralEncoder,
    }
    if config.model_type not in known:
        raise EncoderError(
            f"the audio tower is of model_type {config.model_type!r}, expected one of {', '.join(sorted(known))}"
        )
    return known[config.model_type]


class ChunkedStates:
    """A frozen tower that hears chunks, laid one after another: dense layers over all, attention within each."""

    max_samples: int | None = None
    dims: Mapping[str, int]
    states: tuple[str, ...]

    def __init__(
        self,
        model: Any,
        preprocessing: Mapping[str, Any],
        placed: Placed,
    ) -> None:
        """``model``: the stock tower in float32 on the CPU; it is taken over."""
        self.name, self.identity = placed.name, placed.identity
        device, dtype = placed.device, placed.dtype
        self.sample_rate: int = preprocessing["sampling_rate"]
        self._spectra_hop: int = preprocessing["hop_length"]
        self.hop = 2 * self._spectra_hop
        self.min_samples = _LEAST
        self.states = ("input", *(str(number) for number in range(1, len(model.layers) + 1)))
        self.dims = dict.fromkeys(self.states, model.config.d_model)
        self.pack_frames = _PACK_FRAMES_CUDA if device.type == "cuda" else _PACK_FRAMES
        self.device, self.dtype = device, dtype
        self._chunk = 2 * model.n_window  # spectra
        self._positions = model.positional_embedding.positional_embedding.to(device=device, dtype=dtype)
        self._model = model.to(device=device, dtype=dtype)
        self._features, self._n_fft = extractor(preprocessing), preprocessing["n_fft"]

    def n_frames(self, n_samples: int) -> int:
        """Frames T that ``n_samples`` give: those that they reach into."""
        return -(-n_samples // self.hop)

    @exact
    def encode(
        self, waves: Sequence[np.ndarray], states: Sequence[str] | None = None
    ) -> Iterator[tuple[str, Tensor]]:
        """Yield (state, (F, D)) in the order of ``self.states``, in the dtype of the weights.

        Raises UnknownNameError for a state that is not on offer.
        """
        chosen = asked(self, waves, states)
        return self._run(waves, chosen) if chosen else iter(())

    @torch.no_grad()
    def _run(self, waves: Sequence[np.ndarray], chosen: Sequence[str]) -> Iterator[tuple[str, Tensor]]:
        yield from taken(self._all(waves), chosen)

    def _all(self, waves: Sequence[np.ndarray]) -> Iterator[tuple[str, Tensor]]:
        """(state, (F, D))."""
        spectra = [self._log_mel(wave) for wave in waves]
        chunks = [self._input(chunk) for each in spectra for chunk in each.split(self._chunk, dim=1)]
        lengths = torch.tensor([0, *(len(chunk) for chunk in chunks)])
        longest, ends = int(lengths.max()), lengths.cumsum(0).to(device=self.device, dtype=torch.int32)
        x = torch.cat(chunks)
        yield "input", x
        for number, block in enumerate(self._model.layers, start=1):
            x = block(x, cu_seqlens=ends, max_seqlen=longest)[0]
            yield str(number), x

    def _log_mel(self, wave: np.ndarray) -> Tensor:
        """(mels, spectra) of the wave with silence behind it, as far as the wave reaches."""
        silence = np.zeros(self._n_fft, dtype=np.float32)
        found = self._features(
            np.concatenate([np.asarray(wave, dtype=np.float32), silence]),
            sampling_rate=self.sample_rate,
            padding="do_not_pad",
            truncation=False,
            return_tensors="pt",
        )
        spectra = found["input_features"][0, :, : -(-len(wave) // self._spectra_hop)]
        return spectra.to(device=self.device, dtype=self.dtype)

    def _input(self, chunk: Tensor) -> Tensor:
        """(T, D) of the spectra of a chunk (mels, up to two windows)."""
        x = F.gelu(self._model.conv2(F.gelu(self._model.conv1(chunk[None]))))[0].T
        return x + self._positions[: len(x)]
