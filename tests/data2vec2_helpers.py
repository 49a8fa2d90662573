"""Tiny data2vec 2.0 checkpoints in their owners' files, and the model written out once more: one wave, plain torch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

A = "modality_encoders.AUDIO."
SMALL: dict[str, Any] = {
    "depth": 2,
    "embed_dim": 24,
    "num_heads": 6,
    "mlp_ratio": 1.5,
    "norm_eps": 1e-05,
    "norm_affine": True,
    "layer_norm_first": False,
    "end_of_block_targets": False,
}
AUDIO: dict[str, Any] = {
    "prenet_depth": 2,
    "num_extra_tokens": 3,
    "use_alibi_encoder": True,
    "learned_alibi": False,
    "learned_alibi_scale": True,
    "learned_alibi_scale_per_head": True,
    "learned_alibi_scale_per_layer": False,
    "num_alibi_heads": 6,
    "extractor_mode": "layer_norm",
    "feature_encoder_spec": "[(10, 10, 5)] + [(12, 3, 2)] * 4 + [(12,2,2)] + [(14,2,2)]",
    "conv_pos_width": 35,
    "conv_pos_groups": 4,
    "conv_pos_depth": 5,
    "conv_pos_pre_ln": False,
}
VARIANTS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "emotion2vec": ({}, {}),
    "data2vec2": ({"depth": 3}, {"prenet_depth": 0, "num_extra_tokens": 0}),
    "scales-by-layer": ({"num_heads": 8}, {"learned_alibi_scale_per_layer": True, "num_alibi_heads": 5}),
    "one-scale": ({}, {"learned_alibi_scale_per_head": False}),
    "no-alibi-even-kernel": ({}, {"use_alibi_encoder": False, "conv_pos_width": 40}),
    "group-norm": ({}, {"extractor_mode": "default", "num_extra_tokens": 1}),
}
PUBLISHED = "[(512, 10, 5)] + [(512, 3, 2)] * 4 + [(512,2,2)] + [(512,2,2)]"


def settings(variant: str) -> dict[str, Any]:
    """``model_conf`` of a variant, and ``audio`` in it."""
    model, audio = VARIANTS[variant]
    return SMALL | model | {"modalities": {"audio": AUDIO | audio}}


def published(dim: int, heads: int) -> dict[str, Any]:
    """``model_conf`` of emotion2vec and emotion2vec+ as their config.yaml have it, as far as it decides a shape."""
    model = SMALL | {"depth": 8, "embed_dim": dim, "num_heads": heads, "mlp_ratio": 4.0}
    audio = AUDIO | {"prenet_depth": 4, "num_extra_tokens": 10, "num_alibi_heads": heads}
    audio |= {"feature_encoder_spec": PUBLISHED, "conv_pos_width": 95, "conv_pos_groups": 16}
    return model | {"modalities": {"audio": audio}}


def layers(spec: str) -> list[tuple[int, int, int]]:
    """The spec as fairseq reads it."""
    found = []
    for part in spec.split("+"):
        inside, _, times = part.partition("]")
        numbers = [int(n) for n in inside.replace("[", "").replace("(", "").replace(")", "").split(",")]
        found += [(numbers[0], numbers[1], numbers[2])] * int(times.replace("*", "").strip() or 1)
    return found


def shapes(conf: dict[str, Any]) -> Iterator[tuple[str, tuple[int, ...]]]:
    """Names and shapes of the tensors of a published checkpoint."""
    audio, d = conf["modalities"]["audio"], conf["embed_dim"]
    n_in = 1
    for k, (n_out, kernel, _) in enumerate(layers(audio["feature_encoder_spec"])):
        yield f"{A}local_encoder.conv_layers.{k}.0.weight", (n_out, n_in, kernel)
        norm = "2.1" if audio["extractor_mode"] == "layer_norm" else "2"
        if norm == "2.1" or k == 0:
            yield f"{A}local_encoder.conv_layers.{k}.{norm}.weight", (n_out,)
            yield f"{A}local_encoder.conv_layers.{k}.{norm}.bias", (n_out,)
        n_in = n_out
    yield from _affine(f"{A}project_features.1", n_in)
    yield from _affine(f"{A}project_features.2", d, n_in)
    kernel = max(3, audio["conv_pos_width"] // audio["conv_pos_depth"])
    for k in range(1, audio["conv_pos_depth"] + 1):
        yield from _affine(f"{A}relative_positional_encoder.{k}.0", d, d // audio["conv_pos_groups"], kernel)
    yield from _affine(f"{A}context_encoder.norm", d)
    if audio["num_extra_tokens"]:
        yield f"{A}extra_tokens", (1, audio["num_extra_tokens"], d)
    if audio["use_alibi_encoder"]:
        n = audio["prenet_depth"] + conf["depth"] if audio["learned_alibi_scale_per_layer"] else 1
        h = audio["num_alibi_heads"] if audio["learned_alibi_scale_per_head"] else 1
        yield f"{A}alibi_scale", (n, 1, h, 1, 1)
    hidden = int(d * conf["mlp_ratio"])
    for at, n in ((f"{A}context_encoder.blocks", audio["prenet_depth"]), ("blocks", conf["depth"])):
        for k in range(n):
            for name, out, *inside in (
                ("norm1", d), ("norm2", d), ("attn.qkv", 3 * d, d), ("attn.proj", d, d),
                ("mlp.fc1", hidden, d), ("mlp.fc2", d, hidden),
            ):  # fmt: skip
                yield from _affine(f"{at}.{k}.{name}", out, *inside)


def _affine(name: str, *shape: int) -> Iterator[tuple[str, tuple[int, ...]]]:
    yield f"{name}.weight", shape
    yield f"{name}.bias", shape[:1]


def weights(conf: dict[str, Any], seed: int = 0) -> dict[str, Tensor]:
    """Random ones, so large that a leak between utterances shows; some scales below 0, which count as 0."""
    random = torch.Generator().manual_seed(seed)
    found = {}
    for name, shape in shapes(conf):
        noise = torch.randn(shape, generator=random)
        if len(shape) == 1:
            found[name] = 0.3 * noise + float(name.endswith("weight"))
        elif "alibi_scale" in name or "extra_tokens" in name:
            found[name] = noise
        else:
            found[name] = 1.5 * noise / math.prod(shape[1:]) ** 0.5
    return found


def states(
    conf: dict[str, Any], w: dict[str, Tensor], wave: np.ndarray, normalize: bool = True
) -> dict[str, Tensor]:
    """(T, D) of every state of one wave, step by step as the published model takes them, a batch of one."""
    audio, d, heads = conf["modalities"]["audio"], conf["embed_dim"], conf["num_heads"]
    x = torch.tensor(wave)
    if normalize:
        x = (x - x.mean()) / (x.var(unbiased=False) + 1e-5).sqrt()
    x = x[None, None]  # (1, C, N)
    for k, (n_out, _, stride) in enumerate(layers(audio["feature_encoder_spec"])):
        at = f"{A}local_encoder.conv_layers.{k}."
        x = F.conv1d(x, w[at + "0.weight"], stride=stride)
        if audio["extractor_mode"] == "layer_norm":
            x = F.layer_norm(x.mT, (n_out,), w[at + "2.1.weight"], w[at + "2.1.bias"]).mT
        elif k == 0:
            x = F.group_norm(x, n_out, w[at + "2.weight"], w[at + "2.bias"])
        x = F.gelu(x)
    x = x.mT[0]  # (T, C)
    found = {"conv": x}
    x = F.layer_norm(x, x.shape[1:], *_of(w, f"{A}project_features.1"))
    x = F.linear(x, *_of(w, f"{A}project_features.2"))
    found["projection"] = x
    place = x.T[None]
    for k in range(1, audio["conv_pos_depth"] + 1):
        weight, bias = _of(w, f"{A}relative_positional_encoder.{k}.0")
        place = F.conv1d(place, weight, bias, padding=weight.shape[2] // 2, groups=audio["conv_pos_groups"])
        place = place[..., : len(x)]
        place = F.gelu(F.layer_norm(place.mT, (d,)).mT)
    x = x + place[0].T
    n_extra, n_frames = audio["num_extra_tokens"], len(x)
    if n_extra:
        x = torch.cat([w[f"{A}extra_tokens"][0], x])
    x = F.layer_norm(x, (d,), *_of(w, f"{A}context_encoder.norm"), conf["norm_eps"])
    found["input"] = x[n_extra:]
    blocks = [f"{A}context_encoder.blocks.{k}" for k in range(audio["prenet_depth"])]
    blocks += [f"blocks.{k}" for k in range(conf["depth"])]
    for number, at in enumerate(blocks):
        qkv = F.linear(x, *_of(w, f"{at}.attn.qkv")).reshape(len(x), 3, heads, d // heads)
        q, k, v = qkv.permute(1, 2, 0, 3)
        scores = q @ k.mT / (d // heads) ** 0.5  # (H, T, T)
        if audio["use_alibi_encoder"]:
            bias = alibi(n_frames, audio["num_alibi_heads"])
            scale = w[f"{A}alibi_scale"].clamp(min=0)
            bias = bias * (scale[number] if len(scale) > 1 else scale[0])[0]
            scores[: len(bias), n_extra:, n_extra:] += bias
        mixed = (scores.softmax(-1) @ v).permute(1, 0, 2).reshape(len(x), d)
        x = F.layer_norm(
            x + F.linear(mixed, *_of(w, f"{at}.attn.proj")), (d,), *_of(w, f"{at}.norm1"), conf["norm_eps"]
        )
        y = F.linear(F.gelu(F.linear(x, *_of(w, f"{at}.mlp.fc1"))), *_of(w, f"{at}.mlp.fc2"))
        x = F.layer_norm(x + y, (d,), *_of(w, f"{at}.norm2"), conf["norm_eps"])
        found[str(number + 1)] = x[n_extra:]
    return found


def _of(w: dict[str, Tensor], name: str) -> tuple[Tensor, Tensor]:
    return w[f"{name}.weight"], w[f"{name}.bias"]


def alibi(n_frames: int, heads: int) -> Tensor:
    """(H, T, T) as Press et al. (2022) publish it, to both sides of a query."""

    def slopes(n: int) -> list[float]:
        if math.log2(n).is_integer():
            first = 2 ** (-(2 ** -(math.log2(n) - 3)))
            return [first * first**k for k in range(n)]
        lower = 2 ** math.floor(math.log2(n))
        return slopes(lower) + slopes(2 * lower)[0::2][: n - lower]

    distance = -(torch.arange(n_frames)[:, None] - torch.arange(n_frames)).abs().float()
    return torch.tensor(slopes(heads))[:, None, None] * distance


def funasr(
    folder: Path, variant: str = "emotion2vec", *, plus: bool = True, conf: dict[str, Any] | None = None
) -> Path:
    """A folder as the hub has it: of emotion2vec+ with a prefix and a classifier, else with decoder and teacher."""
    conf = settings(variant) if conf is None else conf
    folder.mkdir(parents=True, exist_ok=True)
    model: dict[str, Any] = {("d2v_model." if plus else "") + name: t for name, t in weights(conf).items()}
    name = "model.pt" if plus else "emotion2vec_base.pt"
    if plus:
        model |= {"proj.weight": torch.zeros(9, conf["embed_dim"]), "proj.bias": torch.zeros(9)}
    else:
        model |= {
            f"{A}decoder.proj.weight": torch.zeros(2, 2),
            "_ema": {"blocks.0.norm1.weight": torch.ones(3)},
        }
    torch.save({"model": model, "args": None, "extra_state": {"epoch": 3}}, folder / name)
    write_config(folder, conf)
    files = {"init_param": name, "config": "config.yaml"}
    (folder / "configuration.json").write_text(
        json.dumps({"file_path_metas": files, "model": {"type": "funasr"}})
    )
    return folder


def write_config(
    folder: Path, conf: dict[str, Any], normalize: Any = True, model: str = "Emotion2vec"
) -> None:
    """config.yaml of FunASR."""
    root = {"model": model, "model_conf": conf | {"normalize": normalize}}
    (folder / "config.yaml").write_text("# network architecture\n" + yaml.safe_dump(root))


def fairseq(folder: Path, variant: str = "data2vec2", *, tuned: bool = False) -> Path:
    """A folder with the one file that fairseq writes; ``tuned``: after a training with CTC on top."""
    conf = settings(variant)
    folder.mkdir(parents=True, exist_ok=True)
    cfg: dict[str, Any] = {"model": {"_name": "data2vec_multi", **conf}, "task": {"normalize": True}}
    if tuned:
        cfg = {"model": {"_name": "wav2vec_ctc", "w2v_args": cfg}, "task": {"normalize": True}}
    model = {
        ("w2v_encoder.w2v_model." if tuned else "") + name: t.half() for name, t in weights(conf).items()
    }
    torch.save({"cfg": cfg, "model": model, "last_optimizer_state": None}, folder / "base_libri.pt")
    return folder
