"""Pages on corpora, encoders and heads, made of what their files say of themselves."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Sequence

from sercache import catalog
from sercache import encoders as encoder_room
from sercache.datasets import CorpusInfo
from sercache.head import is_solved
from sercache.published import described_options, text_and_code
from sercache.recipe import Recipe


def corpora() -> str:
    """Where each corpus comes from, under which licence, how large it is, and how it is judged."""
    names = catalog.names("sercache.datasets")
    known: dict[str, CorpusInfo] = {name: catalog.load("sercache.datasets", name).INFO for name in names}
    published = {name: about for name, about in known.items() if not about.own}
    heading = ("name", "language", "speakers", "hours", "classes", "licence")
    lines = [
        "# Corpora",
        "",
        "sercache downloads no corpus: licences are between you and the owner. Once a copy is on your disk, `--root`",
        "names its folder and `sercache doctor` says whether it is complete and whole. This page is made of the files in",
        "`sercache/datasets/`, as `sercache datasets` is; what is marked *not confirmed* there was not confirmed by us",
        "either.",
        "",
        *table(heading, [_in_the_list(name, about) for name, about in published.items()]),
        "",
        "**What must not be tested on what.** A corpus that an encoder was tuned on is no test of it:",
        "[what it must not be tested on](encoders.md#what-it-must-not-be-tested-on). A corpus that a head was trained on is",
        "none either: sercache compares names, releases and the digests of the recordings, and refuses or says so. Corpora",
        "that are cut from one source share speakers whatever they are called; [the method](method.md#leaks) says what is",
        "checked and what cannot be.",
        "",
    ]
    for name, about in published.items():
        lines += _corpus(name, about, 2)
    lines += [
        "## Corpora of your own",
        "",
        "[Your own corpus](howto/table.md) begins with a table, `manifest`.",
        "",
    ]
    for name in sorted(known.keys() - published.keys()):
        lines += _corpus(name, known[name], 3)
    return "\n".join(lines)


def _in_the_list(name: str, about: CorpusInfo) -> tuple[object, ...]:
    n = len(set(about.tasks[about.default_task].values())) or "–"
    of_size = (dash(about.n_speakers), dash(about.hours), n)
    return f"[{name}](#{name})", about.language, *of_size, cell(about.licence)


def _corpus(name: str, about: CorpusInfo, level: int) -> Iterator[str]:
    yield from (f"{'#' * level} {name}", "", cell(about.title), "")
    size = [
        f"{about.n_speakers} speakers" if about.n_speakers else "",
        f"{about.hours:g} hours" if about.hours else "",
        f"{sum(about.expected_counts.values()):,} labelled utterances" if about.expected_counts else "",
    ]
    may = "may not be passed on, nor features made of it" if about.restricted else ""
    facts = {
        "language": about.language,
        "size": ", ".join(filter(None, size)),
        "licence": "; ".join(filter(None, (about.licence, may))),
        "identifier of the licence": about.licence_id,
        "from": about.access,
        "protocol by default": f"`{about.default_protocol}`",
    }
    yield from (f"- {what}: {text if '`' in text else cell(text)}" for what, text in facts.items() if text)
    for task, labels in about.tasks.items():
        classes = sorted(set(labels.values()))
        if classes and len(classes) <= 12:
            yield f"- `--task {task}`{' (default)' if task == about.default_task else ''}: {', '.join(classes)}"
    for what, named in (("folds", about.folds), ("fixed", about.splits)):
        for each in named:
            yield f"- `--protocol {what}:{each}`"
    if about.official:
        yield f"- `--protocol fixed:official`: {cell(about.official)}"
    for subset, part in about.subsets.items():
        yield f"- `--task TASK@{subset}`: {cell(part.description)}"
    yield from (f"- {cell(note)}" for note in about.notes)
    for encoder, told in trained_on(name):
        yield f"- [trained on](encoders.md#what-it-must-not-be-tested-on): `{encoder}`, {cell(told)}"
    yield from ("", "What `--root` is to name:", "", "```text")
    yield from (textwrap.dedent(about.tree).strip("\n").splitlines())
    yield from ("```", "")


def encoders() -> str:
    """What each short name stands for: where it comes from, size, licence, and what it was trained on."""
    families: dict[str, list[encoder_room.EncoderCard]] = {}
    for name in sorted(encoder_room.short_names()):
        found = encoder_room.card(name)
        families.setdefault(found.family, []).append(found)
    lines = [
        "# Encoders",
        "",
        "A short name, a Hugging Face id, or a folder on your disk: `--encoder wavlm-large`,",
        "`--encoder microsoft/wavlm-large`, `--encoder path/to/folder`. transformers fetches a checkpoint when it is first",
        "used; `--revision` holds it at a commit, and the sha256 of its weights is part of what names a store. What stands",
        "here of training data and licences is what the authors say; `sercache encoders NAME` shows the same.",
        "",
        "## What it must not be tested on",
        "",
        "An encoder that was *tuned* on a corpus with its labels is no test of it: it has seen the answers, often of the",
        "speakers that you would test. Pretraining on its audio without labels is a smaller leak. Of the corpora that",
        "sercache reads these are known, and a note under each number says so (`leak of labels`, `leak of audio`):",
        "",
        *(
            f"- [{corpus}](corpora.md#{corpus}): `{name}` ({cell(told)})"
            for corpus in catalog.names("sercache.datasets")
            for name, told in trained_on(corpus)
        ),
        "",
        "An encoder that `sercache export` wrote carries the record of its recordings (`trained_on.json`): later commands",
        "refuse to call what it says of them a test. Of checkpoints that are not named here you have to look.",
        "",
    ]
    for family, cards in sorted(families.items(), key=lambda each: -len(each[1])):
        lines += [f"## {family}", ""]
        about = inspect.getdoc(catalog.load(encoder_room.ROOM, family)) or ""
        lines += [prose(about.split("\n\n")[0]), ""]
        lines += [f"- {what}: {cell(text)}" for what, text in encoder_room.remarks(family).items()]
        heading = ("name", "from", "blocks", "size", "trained on", "licence")
        lines += ["", *table(heading, [_of_card(each) for each in cards]), ""]
    return "\n".join(lines)


def _of_card(found: encoder_room.EncoderCard) -> tuple[object, ...]:
    """A row of the table of a family; its own licence is said above it where all have it."""
    blocks = f"{found.n_blocks} of {found.dim}" if found.n_blocks else dash(found.dim)
    size = f"{found.n_parameters / 1e6:,.0f} M" if found.n_parameters else "–"
    family_licence = encoder_room.remarks(found.family).get("licence")
    licence = "see above" if found.licence and found.licence == family_licence else found.licence or "–"
    return (
        f"`{found.name}`",
        _source(found.source),
        blocks,
        size,
        cell(found.trained_on) or "–",
        cell(licence),
    )


def trained_on(corpus: str) -> list[tuple[str, str]]:
    """Short names of encoders that were trained on a corpus, and what of it each knows."""
    found = [
        (name, "; ".join(each.how for each in encoder_room.seen_corpora(name, {}) if each.corpus == corpus))
        for name in sorted(encoder_room.short_names())
    ]
    return [(name, how) for name, how in found if how]


def _source(source: str) -> str:
    is_id = source.count("/") == 1 and " " not in source
    return f"[{source}](https://huggingface.co/{source})" if is_id else cell(source)


def heads() -> str:
    """Where each head comes from, what it was published with, and its options."""
    lines = [
        "# Heads",
        "",
        "Every head is a file in `heads/`. What it was published with is the default of `sercache train`, which says every",
        "difference. `sercache heads NAME` shows the same; [a head of your own](howto/head.md) is one file.",
        "",
    ]
    for name in catalog.names("sercache.heads"):
        module = catalog.load("sercache.heads", name)
        setup = module.SETUP
        lines += [f"## {name}", "", cell(module.SOURCE), ""]
        lines += [
            prose(part) + "\n"
            for part in inspect.cleandoc(module.__doc__ or "").split("\n\n")
            if part.strip()
        ]
        facts = [
            ("encoder", setup.encoder),
            ("corpus", setup.dataset),
            ("states", setup.states),
            ("reads", "sequences" if setup.frames else "means over time"),
            ("clip rule", setup.clip),
            ("normalisation", setup.normalise),
            ("protocol", f"{setup.protocol}, dev {setup.dev}"),
        ]
        if is_solved(module.Head):
            facts.append(("recipe", "none: solved, not trained"))
        else:
            plain = Recipe()
            facts += [
                (f"`--set {field}`", value)
                for field, value in vars(module.RECIPE).items()
                if value != getattr(plain, field) or field in ("lr", "batch_size", "max_epochs")
            ]
        lines += [*table(("what", "published with"), [(what, cell(str(value))) for what, value in facts]), ""]
        options = [
            (f"`--option {option}`", cell(str(each.default)), cell(each.takes), cell(each.meaning))
            for option, each in described_options(module).items()
        ]
        if options:
            lines += [*table(("option", "default", "takes", "what"), options), ""]
        if text_and_code([name]) is not None:
            lines += ["Where text, code and this file differ: [six papers](papers.md).", ""]
    return "\n".join(lines)


def table(heading: Sequence[str], rows: Sequence[Sequence[object]]) -> list[str]:
    """A table in Markdown."""
    return [
        f"| {' | '.join(heading)} |",
        f"|{'---|' * len(heading)}",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
    ]


def cell(text: str) -> str:
    """Text as it stands, in a page or a table: what would be markup is not."""
    for sign, written in (("&", "&amp;"), ("<", "&lt;"), ("|", "&#124;"), ("*", "\\*"), ("\n", " ")):
        text = text.replace(sign, written)
    return text


def prose(text: str) -> str:
    """A paragraph of a docstring as Markdown."""
    parts = " ".join(text.split()).replace("``", "`").split("`")
    return "`".join(part if place % 2 else cell(part) for place, part in enumerate(parts))


def dash(value: object) -> object:
    """A number, or that it is not known."""
    return "–" if value is None else value
