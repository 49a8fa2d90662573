"""What the file of a head says of it, and whether what it names exists: nothing is computed with the head here."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import fields
from types import ModuleType

from torch import nn

from sercache import catalog, encoders, states
from sercache.contracts.check import missing
from sercache.datasets import CorpusInfo
from sercache.errors import RecipeError, UnknownNameError
from sercache.head import SHAPE, HeadFile, declared, options_of
from sercache.protocols import DEVS, PROTOCOLS, brings_dev
from sercache.readings import NO_CODE, OPTION, Reading
from sercache.recipe import Recipe, Setup, inputs

_TRANSFORMER = ("conv", "projection", "input", *map(str, range(1, 25)), "final")
"""States on offer by encoders with weights, whose own are known only where the weights are."""


def holds(module: ModuleType) -> Iterator[str]:
    """Names that the file lacks, and a Head that is none."""
    yield from missing(module, catalog.NEEDED["sercache.heads"], HeadFile)
    kind = vars(module).get("Head")
    if kind is not None and not (isinstance(kind, type) and issubclass(kind, nn.Module)):
        yield f"Head is {kind!r}, expected a class that is a torch.nn.Module"
    elif kind is not None and kind.forward is nn.Module.forward:
        yield "forward is missing: Head.forward(x, mask) gives logits or numbers (B, C)"


def is_declared(module: ModuleType) -> Iterator[str]:
    """Constants of the file, and options of its Head, that are not as they have to be."""
    about = declared(module)
    for name, value, kind in (("RECIPE", about.recipe, Recipe), ("SETUP", about.setup, Setup)):
        if not isinstance(value, kind):
            yield f"{name} is {type(value).__name__}, expected a sercache.recipe.{kind.__name__}"
            return
    if not isinstance(about.source, str) or not about.source.strip() or "\n" in about.source:
        yield f"SOURCE is {about.source!r}, expected one line of text"
    if not module.__doc__:
        yield "the file has no docstring: what the head is and what its source leaves open"
    parameters = list(inspect.signature(module.Head).parameters.values())
    if tuple(each.name for each in parameters[:3]) != SHAPE:
        yield f"Head takes ({', '.join(each.name for each in parameters[:3])}, …), expected ({', '.join(SHAPE)}, …)"
    for option in parameters[3:]:
        if option.default is option.empty:
            yield f"the option {option.name} of Head has no default"
    if unknown := sorted(set(about.options) - {each.name for each in parameters[3:]}):
        yield f"OPTIONS describes {', '.join(unknown)}, which is no option of Head"
    if len(about.setup.beside) != about.inputs - 1:
        yield f"INPUTS is {about.inputs}, but SETUP has {1 + len(about.setup.beside)}: beside names the further ones"
    for setup in (about.setup, *about.setups.values()):
        if about.recipe.needs_dev and setup.dev == "none" and not brings_dev(setup.protocol):
            yield f"RECIPE needs a dev part (select={about.recipe.select}), but the set-up of {setup.dataset} has none"
    for corpus, setup in about.setups.items():
        if corpus != setup.dataset:
            yield f"SETUPS calls the set-up of {setup.dataset} {corpus}"


def reads_its_paper(module: ModuleType) -> Iterator[str]:
    """Entries of READINGS that leave something open: text, code, ours, or how the other reading is to be had."""
    about = declared(module)
    if any(not isinstance(each, Reading) for each in about.readings):
        yield "READINGS holds something else than sercache.readings.Reading"
        return
    named = {*(each.name for each in (*fields(Recipe), *fields(Setup)))}
    named |= {f"{OPTION}{name}" for name in options_of(module.Head)}
    for each in about.readings:
        for part in ("what", "text", "code", "ours"):
            if not getattr(each, part).strip() or "\n" in getattr(each, part):
                yield f"READINGS, {each.what or '?'}: {part} is {getattr(each, part)!r}, expected one line"
        if (each.code == NO_CODE) != (not about.code):
            yield f"READINGS, {each.what}: code is {each.code!r}, but CODE is {about.code!r}"
        changed = {*each.as_text, *each.as_code}
        if changed - named:
            yield f"READINGS, {each.what}: {', '.join(sorted(changed - named))} is no field and no option"
        if each.outputs_differ and not changed and not each.alone:
            yield f"READINGS, {each.what}: outputs differ, so say as_text and as_code, or why there is none (alone)"
    whats = [each.what for each in about.readings]
    if len(set(whats)) < len(whats):
        yield "READINGS names one thing twice"


def names_what_there_is(module: ModuleType) -> Iterator[str]:
    """Corpora, protocols, tasks, encoders, states and tables of papers that are named and that do not exist."""
    about = declared(module)
    for setup in (about.setup, *about.setups.values()):
        yield from _of_corpus(setup)
        for own in inputs(setup):
            yield from _of_encoder(own)
    for named in about.printed:
        yield from _of_paper(named)


def _of_paper(named: str) -> Iterator[str]:
    """A table of a paper that there is not."""
    paper, _, table = named.partition(" ")
    if paper not in catalog.names("sercache.papers"):
        yield catalog.unknown("paper (PRINTED)", paper, catalog.names("sercache.papers"))
        return
    tables = catalog.load("sercache.papers", paper).TABLES
    if table not in tables:
        yield catalog.unknown(f"table of {paper} (PRINTED)", table, list(tables))


def _of_corpus(setup: Setup) -> Iterator[str]:
    """What a set-up names of a corpus that there is not."""
    if setup.dataset not in catalog.names("sercache.datasets"):
        yield catalog.unknown("dataset", setup.dataset, catalog.names("sercache.datasets"))
        return
    info: CorpusInfo = catalog.load("sercache.datasets", setup.dataset).INFO
    kind, _, argument = setup.protocol.partition(":")
    if kind not in {known.partition(":")[0] for known in PROTOCOLS}:
        yield catalog.unknown("protocol", setup.protocol, list(PROTOCOLS))
    elif kind == "fixed" and argument not in (*info.splits, "official", "dev"):
        yield catalog.unknown(f"split of {setup.dataset}", argument, [*info.splits, "official", "dev"])
    if setup.dev.partition(":")[0] not in DEVS:
        yield catalog.unknown("dev", setup.dev, list(DEVS))
    tasks = ("avd", "shares", *info.tasks, *info.setups)
    if setup.task is not None and setup.task.partition("@")[0] not in tasks:
        yield catalog.unknown(f"task of {setup.dataset}", setup.task, tasks)


def _of_encoder(setup: Setup) -> Iterator[str]:
    """What the set-up of one input names of an encoder that there is not."""
    known = encoders.short_names()
    if setup.encoder not in known and "/" not in setup.encoder:
        yield catalog.unknown("encoder", setup.encoder, sorted(known))
        return
    on_offer = _TRANSFORMER
    if setup.encoder in known and not encoders.has_weights(known[setup.encoder][0]):
        on_offer = encoders.load(setup.encoder).states
    for selection in filter(None, (setup.states, setup.finetune_from)):
        try:
            states.select(on_offer, selection)
        except UnknownNameError as fault:
            yield f"of {setup.encoder}: {fault}"


def can_be_read(module: ModuleType) -> Iterator[str]:
    """What further inputs are called that nothing can be read from."""
    try:
        inputs(declared(module).setup)
    except RecipeError as fault:
        yield str(fault)
