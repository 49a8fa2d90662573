"""Tiny WeNet checkpoints, and the encoder written out once more: one utterance, no packing, plain torch."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import torch
from encoder_helpers import shake
from torch import Tensor, nn
from torch.nn import functional as F

SMALL: dict[str, Any] = {
    "output_size": 16,
    "attention_heads": 4,
    "linear_units": 24,
    "num_blocks": 3,
    "input_layer": "conv2d",
    "cnn_module_kernel": 7,
    "cnn_module_norm": "layer_norm",
    "pos_enc_layer_type": "rel_pos",
    "selfattention_layer_type": "rel_selfattn",
    "dropout_rate": 0.1,
    "normalize_before": True,
}
VARIANTS: dict[str, dict[str, Any]] = {
    "paper-era": {},
    "conv2d6": {"input_layer": "conv2d6"},
    "conv2d8": {"input_layer": "conv2d8"},
    "causal-dynamic": {
        "input_layer": "conv2d6",
        "causal": True,
        "cnn_module_kernel": 8,
        "use_dynamic_chunk": True,
    },
    "batch-norm": {"cnn_module_norm": "batch_norm"},
    "static-chunk": {"static_chunk_size": 5},
    "post-norm": {"normalize_before": False},
    "no-macaron": {"macaron_style": False, "activation_type": "relu"},
    "no-convolution": {"use_cnn_module": False},
    "old-epsilon": {"norm_eps": 1e-3},
}


class Reference(nn.Module):
    """specs of the WeNet encoder, step by step, for a batch of one; the tensors' names are WeNet's."""

    def __init__(self, conf: dict[str, Any], n_mels: int = 80) -> None:
        super().__init__()
        conf = {
            "macaron_style": True,
            "use_cnn_module": True,
            "causal": False,
            "activation_type": "swish",
        } | conf
        self.conf = conf
        d, h, kernel = conf["output_size"], conf["attention_heads"], conf["cnn_module_kernel"]
        eps = conf.get("norm_eps", 1e-5)
        shapes = {"conv2d": [(3, 2), (3, 2)], "conv2d6": [(3, 2), (5, 3)], "conv2d8": [(3, 2)] * 3}
        convs: list[nn.Module] = []
        bins = n_mels
        for i, (k, s) in enumerate(shapes[conf["input_layer"]]):
            convs += [nn.Conv2d(1 if i == 0 else d, d, k, s), nn.ReLU()]
            bins = (bins - k) // s + 1
        embed = {"conv": nn.Sequential(*convs)}
        linear = nn.Linear(d * bins, d)
        embed["out" if conf["input_layer"] == "conv2d" else "linear"] = (
            nn.Sequential(linear) if conf["input_layer"] == "conv2d" else linear
        )
        self.embed = nn.ModuleDict(embed)
        blocks = []
        for _ in range(conf["num_blocks"]):
            attention = {
                f"linear_{x}": nn.Linear(d, d, bias=x != "pos") for x in ("q", "k", "v", "out", "pos")
            }
            block = {"self_attn": nn.ModuleDict(attention), "norm_mha": nn.LayerNorm(d, eps)}
            block["self_attn"].pos_bias_u = nn.Parameter(torch.zeros(h, d // h))
            block["self_attn"].pos_bias_v = nn.Parameter(torch.zeros(h, d // h))
            for name in ["feed_forward"] + ["feed_forward_macaron"] * conf["macaron_style"]:
                pair = {"w_1": nn.Linear(d, conf["linear_units"]), "w_2": nn.Linear(conf["linear_units"], d)}
                block[name] = nn.ModuleDict(pair)
                block["norm_ff" + name.removeprefix("feed_forward")] = nn.LayerNorm(d, eps)
            if conf["use_cnn_module"]:
                block["conv_module"] = nn.ModuleDict(
                    {
                        "pointwise_conv1": nn.Conv1d(d, 2 * d, 1),
                        "depthwise_conv": nn.Conv1d(d, d, kernel, groups=d),
                        "norm": nn.LayerNorm(d)
                        if conf["cnn_module_norm"] == "layer_norm"
                        else nn.BatchNorm1d(d),
                        "pointwise_conv2": nn.Conv1d(d, d, 1),
                    }
                )
                block["norm_conv"], block["norm_final"] = nn.LayerNorm(d, eps), nn.LayerNorm(d, eps)
            blocks.append(nn.ModuleDict(block))
        self.encoders = nn.ModuleList(blocks)
        self.after_norm = nn.LayerNorm(d, eps)

    @torch.no_grad()
    def forward(self, fbank: Tensor, mean: Tensor, istd: Tensor) -> dict[str, Tensor]:
        """Filterbank (T, mels) to every state (T', D)."""
        d = self.conf["output_size"]
        x = self.embed["conv"](((fbank - mean) * istd)[None, None])  # (1, D, T', bins)
        _, c, t, f = x.shape
        project = self.embed["out"] if "out" in self.embed else self.embed["linear"]
        x = project(x.transpose(1, 2).contiguous().view(1, t, c * f)) * math.sqrt(d)
        states = {"input": x[0]}
        position, pe = torch.arange(t).float()[:, None], torch.zeros(t, d)
        div = torch.exp(torch.arange(0, d, 2).float() * -(math.log(10000.0) / d))
        pe[:, 0::2], pe[:, 1::2] = torch.sin(position * div), torch.cos(position * div)
        for i, block in enumerate(self.encoders, start=1):
            x = self._block(block, x, pe[None])
            states[str(i)] = x[0]
        if self.conf["normalize_before"]:
            states["final"] = self.after_norm(x)[0]
        return states

    def _block(self, block: Any, x: Tensor, pe: Tensor) -> Tensor:
        pre = self.conf["normalize_before"]
        scale = 0.5 if self.conf["macaron_style"] else 1.0
        act = {"swish": F.silu, "relu": F.relu}[self.conf["activation_type"]]

        def feed(name: str, y: Tensor) -> Tensor:
            return scale * block[name]["w_2"](act(block[name]["w_1"](y)))

        steps = [("norm_mha", lambda y: self._attention(block["self_attn"], y, pe))]
        if self.conf["macaron_style"]:
            steps.insert(0, ("norm_ff_macaron", lambda y: feed("feed_forward_macaron", y)))
        if self.conf["use_cnn_module"]:
            steps.append(("norm_conv", lambda y: self._convolution(block["conv_module"], y, act)))
        steps.append(("norm_ff", lambda y: feed("feed_forward", y)))
        for norm, part in steps:
            x = x + part(block[norm](x)) if pre else block[norm](x + part(x))
        return block["norm_final"](x) if self.conf["use_cnn_module"] else x

    def _attention(self, a: Any, x: Tensor, pe: Tensor) -> Tensor:
        h = self.conf["attention_heads"]
        t, d_k = x.shape[1], x.shape[2] // h
        q = a["linear_q"](x).view(1, t, h, d_k)
        k = a["linear_k"](x).view(1, t, h, d_k).transpose(1, 2)
        v = a["linear_v"](x).view(1, t, h, d_k).transpose(1, 2)
        p = a["linear_pos"](pe).view(1, t, h, d_k).transpose(1, 2)
        content = torch.matmul((q + a.pos_bias_u).transpose(1, 2), k.transpose(-2, -1))
        place = torch.matmul((q + a.pos_bias_v).transpose(1, 2), p.transpose(-2, -1))
        scores = (content + place) / math.sqrt(d_k)
        chunk = self.conf.get("static_chunk_size", 0)
        if chunk:
            for i in range(t):
                scores[:, :, i, (i // chunk + 1) * chunk :] = -math.inf
        x = torch.matmul(torch.softmax(scores, dim=-1), v)
        return a["linear_out"](x.transpose(1, 2).contiguous().view(1, t, h * d_k))

    def _convolution(self, c: Any, x: Tensor, act: Any) -> Tensor:
        kernel = self.conf["cnn_module_kernel"]
        x = x.transpose(1, 2)
        if self.conf["causal"]:
            x = F.pad(x, (kernel - 1, 0))
        x = F.glu(c["pointwise_conv1"](x), dim=1)
        if not self.conf["causal"]:
            x = F.pad(x, (kernel // 2, kernel // 2))
        x = c["depthwise_conv"](x)
        if self.conf["cnn_module_norm"] == "layer_norm":
            x = act(c["norm"](x.transpose(1, 2))).transpose(1, 2)
        else:
            x = act(c["norm"](x))
        return c["pointwise_conv2"](x).transpose(1, 2)


def statistics(seed: int = 1) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """(mean, istd, the JSON file that gives them)."""
    random = np.random.default_rng(seed)
    frames = random.normal(12, 3, (50, 80)) + np.linspace(0, 4, 80)
    record = {
        "mean_stat": frames.sum(0).tolist(),
        "var_stat": (frames**2).sum(0).tolist(),
        "frame_num": len(frames),
    }
    return (
        torch.tensor(frames.mean(0), dtype=torch.float32),
        torch.tensor(1 / frames.std(0), dtype=torch.float32),
        record,
    )


def write(
    folder: Path,
    variant: str = "paper-era",
    *,
    style: str = "newer",
    cmvn: str = "in checkpoint",
    seed: int = 0,
) -> tuple[Path, Reference]:
    """A checkpoint folder and the reference with its weights.

    ``style``: layout of train.yaml, ``newer`` or ``older``. ``cmvn``: ``in checkpoint``, ``json``, ``kaldi``.
    """
    folder.mkdir(parents=True, exist_ok=True)
    conf = SMALL | VARIANTS[variant]
    model = shake(Reference(conf), seed)
    mean, istd, record = statistics()
    tensors = {f"encoder.{name}": value for name, value in model.state_dict().items()}
    if cmvn == "in checkpoint":
        tensors |= {"encoder.global_cmvn.mean": mean, "encoder.global_cmvn.istd": istd}
    random = torch.Generator().manual_seed(seed)
    for i in range(conf["num_blocks"]):
        if style == "older":
            tensors[f"encoder.encoders.{i}.concat_linear.weight"] = torch.randn(16, 32, generator=random)
            tensors[f"encoder.encoders.{i}.concat_linear.bias"] = torch.randn(16, generator=random)
    if style == "newer":
        tensors["encoder.embed.pos_enc.pe"] = torch.zeros(1, 5000, 16)
    tensors["ctc.ctc_lo.weight"] = torch.randn(7, 16, generator=random)
    tensors["ctc.ctc_lo.bias"] = torch.randn(7, generator=random)
    tensors["decoder.left_decoder.embed.0.weight"] = torch.randn(7, 16, generator=random)
    torch.save(tensors, folder / "final.pt")
    (folder / "train.yaml").write_text(_yaml(conf, style, cmvn != "kaldi"))
    units = ["<blank>", "<unk>", "▁a", "b", "▁c", "d", "<sos/eos>"]
    (folder / "units.txt").write_text(
        "".join(f"{unit} {k}\n" for k, unit in enumerate(units)), encoding="utf-8"
    )
    if cmvn == "kaldi":
        words = [*record["mean_stat"], record["frame_num"], *record["var_stat"]]
        (folder / "global_cmvn").write_text(" [ " + " ".join(map(repr, words)) + " 0 ]\n")
    else:
        (folder / "global_cmvn").write_text(json.dumps(record))
    return folder, model


def _yaml(conf: dict[str, Any], style: str, is_json: bool) -> str:
    import yaml

    if style == "newer":
        root = {
            "encoder": "conformer",
            "cmvn": "global_cmvn",
            "cmvn_conf": {"cmvn_file": "exp/conformer/global_cmvn", "is_json_cmvn": is_json},
            "tokenizer": "bpe",
            "model": "asr_model",
            "ctc": "ctc",
            "dataset_conf": {
                "resample_conf": {"resample_rate": 16000},
                "fbank_conf": {"num_mel_bins": 80, "frame_shift": 10, "frame_length": 25, "dither": 1.0},
            },
        }
    else:
        root = {
            "encoder": "conformer",
            "cmvn_file": "/export/data/train_960/global_cmvn",
            "is_json_cmvn": is_json,
            "decoder": "bitransformer",
            "model_conf": {"ctc_weight": 0.3},
            "collate_conf": {
                "spec_aug": True,
                "feature_extraction_conf": {
                    "feature_type": "fbank",
                    "mel_bins": 80,
                    "frame_shift": 10,
                    "frame_length": 25,
                    "using_pitch": False,
                },
            },
        }
    # The order is said because opensmile's oyaml changes the default once it is imported.
    whole = root | {"encoder_conf": conf, "input_dim": 80, "output_dim": 7}
    return yaml.safe_dump(whole, sort_keys=False)
