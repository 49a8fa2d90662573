"""The how-to pages as tests use them: files, commands, contracts; `python tests/howto.py` writes the contracts anew."""

from __future__ import annotations

import re
from pathlib import Path

from sercache.contracts.words import members
from sercache.datasets import CorpusReader, OwnReader
from sercache.encoders import Encoder, Exemplifies, Family, Owns, TrainsTails, Tries
from sercache.head import ABILITIES, Declared, Head, HeadFile

PAGES = Path(__file__).parents[1] / "docs" / "howto"


def files() -> dict[str, str]:
    """Text of every file that a how-to page holds, by the name in its first line."""
    found = {}
    for page in sorted(PAGES.glob("*.md")):
        for _, text in re.findall(r"```(\w+)\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
            named = re.match(r"# (\w+\.\w+)\n", text)
            if named:
                found[named[1]] = text
    return found


def write(folder: Path, *names: str) -> Path:
    """The folder with these files in it; without names, with all."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in files().items():
        if not names or name in names:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def commands(page: str) -> list[str]:
    """The lines that a page has one type, in order."""
    text = (PAGES / page).read_text(encoding="utf-8")
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [line[2:] for block in blocks for line in block.splitlines() if line.startswith("$ ")]


BEGIN, END = "<!-- contract -->\n", "<!-- end of contract: written by tests/howto.py from the protocols -->"


def contract(page: str) -> str:
    """The contract of a page's kind in Markdown, as the protocols say it."""
    if page == "head.md":
        needed = members(HeadFile)
        optional = [each for each in members(Declared).values() if each.name.upper() not in needed]
        return "\n".join([
            "The file holds", "", *_rows(HeadFile), "", _about(Head), "", *_rows(Head), "",
            "It may also hold", "", *(f"- {each.text}".replace("``", "`") for each in optional), "",
            "A head may be able to do more. Each is a protocol of `sercache.head`:", "",
            *(line for ability in ABILITIES for line in _ability(ability)),
        ])  # fmt: skip
    if page == "corpus.md":
        return "\n".join([
            _about(CorpusReader), "", *_rows(CorpusReader), "", _about(OwnReader), "", *_rows(OwnReader),
        ])  # fmt: skip
    return "\n".join([
        _about(Family), "", *_rows(Family), "", "An encoder has", "", *_rows(Encoder), "", "A family may do more:", "",
        *(line for ability in (Exemplifies, TrainsTails, Tries, Owns) for line in _ability(ability)),
    ])  # fmt: skip


def _about(protocol: type) -> str:
    """What a protocol says of itself."""
    return " ".join((protocol.__doc__ or "").split()).replace("``", "`")


def _rows(protocol: type) -> list[str]:
    return [f"- `{each.written}`: {each.text}".replace("``", "`") for each in members(protocol).values()]


def _ability(protocol: type) -> list[str]:
    """An ability and its members, indented below it."""
    about = _about(protocol).rstrip(".")
    return [
        f"- {protocol.__name__}: {about[:1].lower()}{about[1:]}.",
        *(f"  {row}" for row in _rows(protocol)),
    ]


def rewrite() -> None:
    """Write the contracts into the pages anew."""
    for name in ("head.md", "corpus.md", "encoder.md"):
        page = PAGES / name
        before, _, rest = page.read_text(encoding="utf-8").partition(BEGIN)
        page.write_text(
            f"{before}{BEGIN}\n{contract(name)}\n\n{END}{rest.partition(END)[2]}", encoding="utf-8"
        )


if __name__ == "__main__":
    rewrite()
