"""Tiny text encoders with large random weights, and a tokenizer of a few words."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers
from encoder_helpers import shake
from safetensors.torch import save_file

_SMALL = {
    "vocab_size": 40,
    "hidden_size": 16,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 24,
    "max_position_embeddings": 20,
    "pad_token_id": 0,
}
# name: (config class, settings, word pieces that fit between the specials)
CONFIGS: dict[str, tuple[str, dict[str, Any], int]] = {
    "bert": ("BertConfig", {}, 18),
    "roberta": ("RobertaConfig", {"pad_token_id": 1}, 16),
    "xlm-roberta": ("XLMRobertaConfig", {"pad_token_id": 1}, 16),
    "distilbert": (
        "DistilBertConfig",
        {"dim": 16, "n_layers": 3, "n_heads": 4, "hidden_dim": 24},
        18,
    ),
    "electra": ("ElectraConfig", {"embedding_size": 8}, 18),
    "deberta-v2": (
        "DebertaV2Config",
        {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False},
        18,
    ),
    "mpnet": ("MPNetConfig", {"pad_token_id": 1}, 16),
    "modernbert": ("ModernBertConfig", {"local_attention": 6, "global_attn_every_n_layers": 2}, 18),
}
WORDS = [
    "[PAD]",
    "[CLS]",
    "[SEP]",
    "[UNK]",
    "kids",
    "are",
    "talk",
    "##ing",
    "by",
    "the",
    "door",
    "dogs",
    "sit",
    ".",
]


def tokenizer() -> Any:
    """Splits words into pieces and puts [CLS] and [SEP] around them."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    pieces = Tokenizer(models.WordPiece({word: k for k, word in enumerate(WORDS)}, unk_token="[UNK]"))
    pieces.normalizer = normalizers.Lowercase()
    pieces.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    pieces.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=pieces, unk_token="[UNK]", pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )


def model(name: str, seed: int = 0) -> Any:
    kind, settings, _ = CONFIGS[name]
    config = getattr(transformers, kind)(**(_SMALL | settings))
    return shake(transformers.AutoModel.from_config(config), seed)


def save(name: str, folder: Path, seed: int = 0) -> Path:
    """A checkpoint folder as the hub has it."""
    model(name, seed).save_pretrained(folder)
    tokenizer().save_pretrained(folder)
    return folder


def save_sentences(folder: Path, pooling: str = "mean", *, dense: int = 0, normalize: bool = True) -> Path:
    """A checkpoint of sentence-transformers; LaBSE has the pooling ``cls`` and a layer behind it."""
    save("bert", folder)
    steps = [("Transformer", ""), ("Pooling", "1_Pooling")]
    steps += [("Dense", "2_Dense")] * bool(dense) + [("Normalize", "3_Normalize")] * normalize
    modules = [
        {"idx": k, "name": str(k), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for k, (kind, path) in enumerate(steps)
    ]
    (folder / "modules.json").write_text(json.dumps(modules))
    modes = {"cls_token": pooling == "cls", "mean_tokens": pooling == "mean", "max_tokens": pooling == "max"}
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(
        json.dumps(
            {"word_embedding_dimension": 16} | {f"pooling_mode_{name}": on for name, on in modes.items()}
        )
    )
    if dense:
        (folder / "2_Dense").mkdir()
        (folder / "2_Dense" / "config.json").write_text(
            json.dumps({"activation_function": "torch.nn.modules.activation.Tanh"})
        )
        layer = {f"linear.{name}": x for name, x in shake(torch.nn.Linear(16, dense), 5).state_dict().items()}
        save_file(layer, folder / "2_Dense" / "model.safetensors")
    return folder


def sentence(text: str, pooling: str, *, dense: int, normalize: bool) -> torch.Tensor:
    """(D',): the vector of a text, by the stock module alone and the layers of ``save_sentences``."""
    ids = tokenizer()(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        tokens = model("bert")(input_ids=ids, attention_mask=torch.ones_like(ids)).last_hidden_state[0]
        vector = {"mean": tokens.mean(0), "cls": tokens[0], "max": tokens.max(0).values}[pooling]
        if dense:
            vector = torch.tanh(shake(torch.nn.Linear(16, dense), 5)(vector))
    return vector / vector.norm() if normalize else vector


def stock_states(model: Any, text: str) -> dict[str, torch.Tensor]:
    """(T, D) of every state of one text by the stock module alone, specials cut off."""
    ids = tokenizer()(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        output = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
    states = {"input": output.hidden_states[0]}
    states |= {str(number): x for number, x in enumerate(output.hidden_states[1:], start=1)}
    return {name: x[0, 1:-1] for name, x in states.items()} | {"last": output.last_hidden_state[0, 1:-1]}
