"""What the name of an encoder means: a short name, a file or folder of the user's, a hub id; and its family."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType

from sercache import catalog, given, settings
from sercache.encoders import _checkpoint
from sercache.encoders._family import Owns, OwnsOnHub, Tries
from sercache.errors import ContractError, EncoderError, UnknownNameError

ROOM = "sercache.encoders"


def is_local(name: str) -> bool:
    """Whether a name is the path of something of the user's: a checkpoint's folder, or a file that computes."""
    return settings.expanded(name).is_dir() or catalog.is_file(name.partition(":")[0])


def absolute(name: str) -> str:
    """What ``load`` takes for the same encoder from any folder: paths are made absolute."""
    file, colon, short = name.partition(":")
    if catalog.is_file(file):
        return f"{catalog.absolute(file)}{colon}{short}"
    folder = settings.expanded(name)
    return str(folder.absolute()) if folder.is_dir() else name


def short_names() -> dict[str, tuple[str, str]]:
    """Short name -> (family, where it comes from), over all families.

    Raises ContractError where a package from outside brings a short name that there is already.
    """
    found: dict[str, tuple[str, str]] = {}
    for family, module in families().items():
        for short, source in module.SHORT_NAMES.items():
            if short in found:
                raise ContractError(
                    f"{short} is an encoder of {found[short][0]} and of {family}, expected one: uninstall the package "
                    f"that brings {family}, or have its encoder renamed"
                )
            found[short] = family, source
    return found


def aliases() -> dict[str, str]:
    """What other tools call an encoder -> its short name, over all families."""
    return {
        alias: short
        for module in families().values()
        for alias, short in vars(module).get("ALIASES", {}).items()
    }


def own_name(name: str) -> str:
    """The short name of an encoder that another tool calls ``name``; any other name as it is.

    What the user calls so, in the configuration or as a folder, goes before.
    """
    if "_" not in name or is_local(name) or name in settings.load().encoders:
        return name
    return aliases().get(name, name)


def has_weights(family: str) -> bool:
    """Whether the encoders of a family are checkpoints, and not computed from the sound alone."""
    return is_checkpoints(catalog.load(ROOM, family))


def is_checkpoints(family: ModuleType) -> bool:
    """Whether a family loads checkpoints, so that its short names alone give nothing to try."""
    return bool(family.MODEL_TYPES) or isinstance(family, Owns)


def named(name: str) -> dict[str, tuple[str, str]]:
    """Of ``short_names`` that of one encoder, also of a file of the user's.

    Raises UnknownNameError with the nearest names; ContractError for a file that cannot be loaded.
    """
    if catalog.is_file(name.partition(":")[0]):
        family, _, short = resolve(name, None)
        return {short: (catalog.shown(name.partition(":")[0]), family.SHORT_NAMES[short])}
    known, name = short_names(), own_name(name)
    if name not in known:
        raise UnknownNameError(catalog.unknown("encoder", name, sorted(known)))
    return {name: known[name]}


def families() -> dict[str, ModuleType]:
    """All families by name, sercache's own first: nothing from outside takes the place of one of these."""
    own = catalog.own_names(ROOM)
    others = [name for name in catalog.names(ROOM) if name not in own]
    return {name: catalog.load(ROOM, name) for name in (*own, *others)}


def resolve(name: str, revision: str | None) -> tuple[ModuleType, str, str]:
    """(family, source for its ``load``, name for people)."""
    file, colon, short = name.partition(":")
    if catalog.is_file(file):
        return _of_file(file, short if colon else None)
    known, name = families(), own_name(name)
    if folder_of := settings.load().encoders.get(name):
        with given.named_by_user([folder_of]):  # by the user's own configuration
            family, source, _ = resolve(folder_of, revision)
        return family, source, name
    for family in known.values():
        if name in family.SHORT_NAMES:
            return family, family.SHORT_NAMES[name] if family.MODEL_TYPES else name, name
    folder = settings.expanded(name)
    if folder.is_dir():
        owners = (each for each in known.values() if isinstance(each, Owns) and each.owns(folder))
        family = next(owners, None) or _family_of(name, None, known)
        return family, str(folder), folder.resolve().name
    if folder.is_file():
        raise EncoderError(f"{name} is a file; give the folder that holds config.json and the weights")
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise EncoderError(f"{name}: there is no such folder; give one with config.json and weights")
    if name.count("/") == 1:
        # Of one that has a short name it is known which of its files are read, whether they are here or not.
        for family in known.values():
            if name in family.SHORT_NAMES.values():
                return family, name, name
        return _family_of(name, revision, known), name, name
    raise UnknownNameError(catalog.unknown("encoder", name, sorted(short_names())))


def _of_file(file: str, short: str | None) -> tuple[ModuleType, str, str]:
    """As ``resolve``, of a file of the user's; ``short``: which of its encoders."""
    family = catalog.load(ROOM, file)
    own = family.SHORT_NAMES
    if taken := sorted(set(own) & set(short_names())):
        raise ContractError(f"{file} calls an encoder {taken[0]}, which there is already; call it otherwise")
    if short is None and len(own) != 1:
        ways = " or ".join(f"{file}:{each}" for each in sorted(own))
        raise UnknownNameError(
            f"{file} has {len(own)} encoders, expected one to be named: {ways or 'it has none'}"
        )
    chosen = next(iter(own)) if short is None else short
    if chosen not in own:
        raise UnknownNameError(catalog.unknown(f"encoder of {file}", chosen, sorted(own)))
    return family, own[chosen] if family.MODEL_TYPES else chosen, chosen


def _family_of(source: str, revision: str | None, known: Mapping[str, ModuleType]) -> ModuleType:
    """The family that loads the ``model_type`` of a checkpoint, or owns what a hub id holds.

    Raises EncoderError where none does.
    """
    on_hub = [each for each in known.values() if isinstance(each, OwnsOnHub)]
    if on_hub and not settings.expanded(source).is_dir():
        marks = [name for each in on_hub for name in each.HUB_CONFIGS]
        folder = _checkpoint.fetched(source, revision, [*marks, _checkpoint.CONFIG])[0]
        if owner := next((each for each in on_hub if each.owns(folder)), None):
            return owner
    checkpoint = _checkpoint.locate(source, revision, weights=False)
    found = checkpoint.model_type
    for family in known.values():
        if found in family.MODEL_TYPES:
            return family
    for family in known.values():
        if found and isinstance(family, Tries) and family.takes(checkpoint):
            return family
    types = sorted(model_type for family in known.values() for model_type in family.MODEL_TYPES)
    raise EncoderError(
        f"{source} is of model_type {found or 'none'!r}, expected one of {', '.join(types)}, or another with a feature "
        "extractor for audio"
    )
