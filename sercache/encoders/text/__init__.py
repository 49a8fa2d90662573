"""Text encoders of Hugging Face transformers over the transcript of an utterance: BERT, RoBERTa and kin.

What they take is the transcript, not the recording (``modality`` is ``text``), and a frame is a word piece;
the tokens that the model wants around a text ([CLS], [SEP]) are put there and left out of the features.
States: ``input`` (of block 1, positions added), ``1`` … ``L`` (block outputs), and ``final`` for models that
close with a norm. As in Chen and Zhang (2022), who put the last block of BERT-large beside speech.

Checkpoints of sentence-transformers (LaBSE, MPNet, multilingual E5) have one more: ``sentence``, the vector that they
make of the whole text, the same in every frame, so that its mean over time is the vector itself.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from sercache.encoders import Encoder, _checkpoint, _checkpoint_family, _loading
from sercache.encoders._published import PublishedEncoder

SHORT_NAMES = {
    "bert-base-uncased": "google-bert/bert-base-uncased",
    "bert-large-uncased": "google-bert/bert-large-uncased",
    "bert-base-cased": "google-bert/bert-base-cased",
    "bert-large-cased": "google-bert/bert-large-cased",
    "distilbert-base-uncased": "distilbert/distilbert-base-uncased",
    "roberta-base": "FacebookAI/roberta-base",
    "roberta-large": "FacebookAI/roberta-large",
    "xlm-roberta-base": "FacebookAI/xlm-roberta-base",
    "xlm-roberta-large": "FacebookAI/xlm-roberta-large",
    "labse": "sentence-transformers/LaBSE",
    "all-mpnet-base-v2": "sentence-transformers/all-mpnet-base-v2",
    "all-minilm-l6-v2": "sentence-transformers/all-MiniLM-L6-v2",
    "paraphrase-multilingual-mpnet-base-v2": "sentence-transformers/paraphrase-multilingual-mpnet-base-v2",
    "multilingual-e5-base": "intfloat/multilingual-e5-base",
    "multilingual-e5-large": "intfloat/multilingual-e5-large",
}
_PREFIXES = {f"intfloat/multilingual-e5-{size}": "query: " for size in ("small", "base", "large")}
"""Hub id -> what its authors put before a text whose vector is a feature."""
_LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
_ROBERTA = {
    "model_type": "roberta",
    "vocab_size": 50_265,
    "max_position_embeddings": 514,
    "type_vocab_size": 1,
}
_XLM = {**_ROBERTA, "model_type": "xlm-roberta", "vocab_size": 250_002}
_CASED = {"model_type": "bert", "vocab_size": 28_996}
_BOOKS = "BooksCorpus and English Wikipedia, 3.3 billion words"
_160_GB = "160 GB of English text: books, Wikipedia, news, web pages, stories"
_CRAWL = "2.5 TB of text in 100 languages from CommonCrawl"
PUBLISHED = {
    "bert-base-uncased": PublishedEncoder(_BOOKS, "apache-2.0", {"model_type": "bert"}),
    "bert-large-uncased": PublishedEncoder(_BOOKS, "apache-2.0", {"model_type": "bert", **_LARGE}),
    "bert-base-cased": PublishedEncoder(_BOOKS, "apache-2.0", _CASED),
    "bert-large-cased": PublishedEncoder(_BOOKS, "apache-2.0", {**_CASED, **_LARGE}),
    "distilbert-base-uncased": PublishedEncoder(
        f"{_BOOKS}, to give the outputs of bert-base-uncased", "apache-2.0", {"model_type": "distilbert"}
    ),
    "roberta-base": PublishedEncoder(_160_GB, "mit", _ROBERTA),
    "roberta-large": PublishedEncoder(_160_GB, "mit", {**_ROBERTA, **_LARGE}),
    "xlm-roberta-base": PublishedEncoder(_CRAWL, "mit", _XLM),
    "xlm-roberta-large": PublishedEncoder(_CRAWL, "mit", {**_XLM, **_LARGE}),
    "labse": PublishedEncoder(
        "17 billion sentences and 6 billion pairs of translations in 109 languages",
        "apache-2.0",
        {"model_type": "bert", "vocab_size": 501_153},
    ),
    "all-mpnet-base-v2": PublishedEncoder(
        f"as MPNet: {_160_GB}; then 1 billion pairs of English sentences",
        "apache-2.0",
        {"model_type": "mpnet", "vocab_size": 30_527, "max_position_embeddings": 514},
    ),
    "all-minilm-l6-v2": PublishedEncoder(
        "as MiniLM; then 1 billion pairs of English sentences",
        "apache-2.0",
        {
            "model_type": "bert",
            "hidden_size": 384,
            "num_hidden_layers": 6,
            "intermediate_size": 1536,
        },
    ),
    "paraphrase-multilingual-mpnet-base-v2": PublishedEncoder(
        f"{_CRAWL}; then translations in 50 languages, to give the vectors of an English model",
        "apache-2.0",
        _XLM,
    ),
    "multilingual-e5-base": PublishedEncoder(f"{_CRAWL}; then 1 billion pairs of texts", "mit", _XLM),
    "multilingual-e5-large": PublishedEncoder(
        f"{_CRAWL}; then 1 billion pairs of texts", "mit", {**_XLM, **_LARGE}
    ),
}
MODEL_TYPES = (
    "bert",
    "roberta",
    "xlm-roberta",
    "camembert",
    "distilbert",
    "electra",
    "deberta-v2",
    "modernbert",
    "mpnet",
)

_TOKENIZER = (
    "tokenizer.json",
    "tokenizer_config.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "sentencepiece.bpe.model",
    "spm.model",
    "spiece.model",
)
_MAY_MISS = r"(^|\.)pooler\."
"""Behind the last state."""


def load(source: str, *, revision: str | None, device: str, precision: str) -> Encoder:
    """The encoder of a local folder or hub id.

    Raises EncoderError where the checkpoint cannot be had, is corrupt or of another kind, or where its
    tokenizer cannot be made.
    """
    from sercache.encoders._arguments import placement
    from sercache.encoders._placed import Placed
    from sercache.encoders.text import _sentence
    from sercache.encoders.text._encoder import TextEncoder, tokenizer

    place, dtype = placement(device, precision)
    checkpoint = _checkpoint.locate(source, revision, also=_also())
    how = _sentence.read(checkpoint.folder)
    split = tokenizer(checkpoint)
    model: Any = _loading.load_whole(checkpoint, lambda: _checkpoint_family.auto_model(checkpoint), _MAY_MISS)
    sentence = None if how is None else _sentence.load(how, model.config.hidden_size, place, dtype)
    identity = _checkpoint.with_precision(_identity(checkpoint), precision)
    return TextEncoder(model, split, Placed(source, identity, place, dtype), sentence)


def identify(source: str, *, revision: str | None) -> dict[str, Any]:
    """Identity in float32 of what ``load`` gives. Raises EncoderError."""
    return _identity(_checkpoint.locate(source, revision, also=_also()))


def _also() -> tuple[str, ...]:
    from sercache.encoders.text import _sentence

    return (*_TOKENIZER, *_sentence.FILES)


def _identity(checkpoint: _checkpoint.Checkpoint) -> dict[str, Any]:
    from sercache.encoders.text import _sentence

    preprocessing: dict[str, Any] = {
        "tokenizer_sha256": _tokenizer_sha256(checkpoint.folder),
        "specials": "left out",
    }
    if how := _sentence.read(checkpoint.folder):
        preprocessing["sentence"] = how.record
    if prefix := _PREFIXES.get(checkpoint.source):
        preprocessing["prefix"] = prefix
    record = _checkpoint.identity(checkpoint, "text", preprocessing)
    del record["resampler"]
    return {**record, "modality": "text"}


def _tokenizer_sha256(folder: Path) -> str:
    """Over the names and contents of the files that decide how text is split."""
    digest = hashlib.sha256()
    for name in _TOKENIZER:
        if (folder / name).exists():
            digest.update(f"{name} {(folder / name).stat().st_size}\n".encode())
            digest.update((folder / name).read_bytes())
    return digest.hexdigest()
