"""What is known of an encoder without its weights: size, licence, and what it was trained on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sercache import settings
from sercache.encoders import _checkpoint
from sercache.encoders._family import KnowsSizes
from sercache.encoders._faults import pass_on
from sercache.encoders._loading import quiet
from sercache.encoders._names import is_checkpoints, named, resolve
from sercache.encoders._seen import seen_corpora
from sercache.errors import EncoderError, MissingExtraError
from sercache.trained_on import SeenCorpus

_BYTES = 4
"""Of a parameter: encoders compute in float32."""


@dataclass(frozen=True)
class EncoderCard:
    """What one asks of an encoder before taking it; None and empty where it is not known without its files."""

    name: str
    source: str
    """Hub id, folder, or what computes it."""
    family: str
    n_blocks: int | None = None
    dim: int | None = None
    n_parameters: int | None = None
    """Of what runs here: of an encoder with a decoder, the encoder alone."""
    n_bytes: int | None = None
    """Of these in float32."""
    trained_on: str = ""
    licence: str = ""
    note: str = ""
    aliases: tuple[str, ...] = ()
    """What other tools call it."""
    seen: tuple[SeenCorpus, ...] = ()
    """Corpora of emotional speech that it was trained on."""


def card(name: str) -> EncoderCard:
    """The card of a short name, a file of the user's or a checkpoint's folder; nothing is downloaded.

    Sizes are those of the architecture, laid out without memory for its weights. Raises UnknownNameError, EncoderError.
    """
    folder = settings.expanded(settings.load().encoders.get(name, name))
    if folder.is_dir():
        family, _, shown = resolve(name, None)
        about, told = (shown, str(folder), _file_name(family)), None
    else:
        [(shown, (family_name, source))] = named(name).items()
        family, _, _ = resolve(name, None)
        about, told = (shown, source, family_name), vars(family).get("PUBLISHED", {}).get(shown)
    bare = EncoderCard(
        *about,
        trained_on=told.trained_on if told else "",
        licence=(told.licence if told else "") or str(vars(family).get("LICENCE", "")),
        note=str(vars(family).get("NOTE", "")),
        aliases=tuple(alias for alias, short in vars(family).get("ALIASES", {}).items() if short == shown),
        seen=seen_corpora(shown, {"source": about[1]}),
    )
    if folder.is_dir() and (folder / "config.json").is_file():
        config = _checkpoint.locate(str(folder), None, weights=False).config
        try:
            return _of(family, bare, config)
        except Exception as fault:  # transformers raises whatever it likes
            pass_on(fault, folder)
            said = " ".join(str(fault).split())[:300]
            raise EncoderError(
                f"{folder / 'config.json'} describes no model ({said}); get the file again"
            ) from fault
    if told and told.config:
        return _of(family, bare, told.config)
    if is_checkpoints(family):
        return bare
    try:
        encoder = family.load(shown, revision=None, device="cpu", precision="float32")
    except MissingExtraError:
        return bare
    return replace(bare, dim=max(encoder.dims.values()))


def _file_name(family: Any) -> str:
    return str(family.__name__).rpartition(".")[2].replace("_", "-")


def _of(family: Any, bare: EncoderCard, config: Mapping[str, Any]) -> EncoderCard:
    """The card with the size of what a configuration describes, of transformers or the family's own."""
    if isinstance(family, KnowsSizes):
        return _with_size(bare, *family.size(dict(config)))
    return _sized(bare, config)


def _sized(bare: EncoderCard, config: Mapping[str, Any]) -> EncoderCard:
    """The card with the size of the encoder that a configuration of transformers describes."""
    import torch
    from transformers import AutoConfig, AutoModel

    own = config.get("encoder_config", config) if "parakeet" in str(config["model_type"]) else config
    known = AutoConfig.for_model(**own)
    with torch.device("meta"), quiet():
        model: Any = AutoModel.from_config(known)
    module = model.get_encoder() if known.is_encoder_decoder else model
    n = sum(each.numel() for name, each in module.named_parameters() if not name.startswith("pooler."))
    return _with_size(bare, known.num_hidden_layers, known.hidden_size, n)


def _with_size(bare: EncoderCard, n_blocks: int, dim: int, n: int) -> EncoderCard:
    return replace(bare, n_blocks=n_blocks, dim=dim, n_parameters=n, n_bytes=_BYTES * n)
