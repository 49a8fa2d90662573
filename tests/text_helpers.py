"""Tiny text encoders with large random weights, and a tokenizer of a few words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import transformers
from encoder_helpers import shake

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


def stock_states(model: Any, text: str) -> dict[str, torch.Tensor]:
    """(T, D) of every state of one text by the stock module alone, specials cut off."""
    ids = tokenizer()(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        output = model(input_ids=ids, attention_mask=torch.ones_like(ids), output_hidden_states=True)
    states = {"input": output.hidden_states[0]}
    states |= {str(number): x for number, x in enumerate(output.hidden_states[1:], start=1)}
    return {name: x[0, 1:-1] for name, x in states.items()} | {"last": output.last_hidden_state[0, 1:-1]}
