"""A small WavLM with fixed random weights, to try the whole line without a download.

Random convolutions and attention still carry prosody, so that heads learn something; nothing that is
measured with it says anything about a trained encoder.
"""

from __future__ import annotations

from typing import Any

from sercache.audio import RESAMPLER
from sercache.encoders import Encoder
from sercache.encoders._published import PublishedEncoder
from sercache.errors import EncoderError

SHORT_NAMES = {"demo-wavlm": "a small WavLM with random weights, not pretrained"}
MODEL_TYPES: tuple[str, ...] = ()
NOTE = "demo-wavlm has random weights, not pretrained ones: it shows how things work, not how well"

_SEED = 20_220_617
_CONFIG: dict[str, Any] = {
    "hidden_size": 192,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "intermediate_size": 768,
    "conv_dim": (64, 64, 128, 128, 192, 192, 192),
    "num_conv_pos_embeddings": 64,
    "num_conv_pos_embedding_groups": 8,
    "num_buckets": 64,
    "max_bucket_distance": 200,
    "do_stable_layer_norm": True,
    "feat_extract_norm": "layer",
    "mask_time_prob": 0.0,
}
"""Shaped as WavLM-Large, and small enough for about 80 x real time on one core."""


PUBLISHED = {
    "demo-wavlm": PublishedEncoder(
        "nothing: random weights", "apache-2.0, as all of sercache", {"model_type": "wavlm", **_CONFIG}
    )
}


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder. Raises EncoderError for a revision."""
    from sercache.encoders._arguments import placement
    from sercache.encoders._checkpoint import with_precision
    from sercache.encoders._placed import Placed
    from sercache.encoders.hf_speech._encoder import SpeechEncoder

    place, dtype = placement(device, precision)
    model = _model(revision)
    preprocessing = {"sample_rate": 16_000, "do_normalize": True}
    identity = with_precision(_identity(model), precision)
    return SpeechEncoder(model, preprocessing, Placed(source, identity, place, dtype))


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity: made from the weights, which take milliseconds to draw. Raises EncoderError for a revision."""
    return _identity(_model(revision))


def _model(revision: str | None) -> Any:
    """The stock module with weights drawn by NumPy, the same on every machine and with every torch."""
    import torch
    from transformers import WavLMConfig, WavLMModel

    if revision is not None:
        raise EncoderError(f"demo-wavlm is made on the spot and has no --revision, got {revision}")
    with torch.random.fork_rng(devices=[]):
        model = WavLMModel(WavLMConfig(**_CONFIG)).eval().requires_grad_(False)
    _draw(model)
    return model


def _draw(model: Any) -> None:
    """Fill every tensor: norms and gates with 1, biases with 0, the rest so that variance is kept."""
    import numpy as np
    import torch

    random = np.random.Generator(np.random.PCG64(_SEED))
    tensors = model.state_dict()
    for name, tensor in sorted(tensors.items()):
        if tensor.dim() == 1 or name.endswith(("gru_rel_pos_const", "original0")):
            values = np.full(tensor.shape, float(not name.endswith("bias")))
        else:
            # 2 / fan-in before a GELU, 1 / fan-in elsewhere; a table of distances is looked up, not summed.
            fan_in = 1 if name.endswith("rel_attn_embed.weight") else tensor[0].numel()
            gain = 2.0 if "conv" in name or "intermediate" in name else 1.0
            values = random.standard_normal(tensor.shape) * (gain / fan_in) ** 0.5
        tensor.copy_(torch.from_numpy(values.astype(np.float32)))
    weights = model.encoder.pos_conv_embed.conv.parametrizations.weight
    # In float64, so that the last bits do not depend on the order in which a processor sums.
    weights.original0.copy_(weights.original1.double().square().sum(dim=(0, 1), keepdim=True).sqrt())


def _identity(model: Any) -> dict[str, Any]:
    import hashlib

    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.numpy().astype("<f4").tobytes())
    return {
        "family": "demo",
        "model_type": "wavlm",
        "source": f"random weights, seed {_SEED}",
        "revision": None,
        "weights_sha256": digest.hexdigest(),
        "preprocessing": {"sample_rate": 16_000, "do_normalize": True, "from": "sercache.encoders.demo"},
        "resampler": RESAMPLER,
    }
