"""The documentation as a site: what its pages have one type is run or marked, and it builds without a warning."""

from __future__ import annotations

import importlib
import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import unquote, urlsplit

import howto
import pytest
import test_howto
from conftest import _check_command

from sercache import catalog, cli, encoders
from sercache.encoders import EncoderCard

TOP = Path(__file__).parents[1]
DOCS = TOP / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *(TOP / name for name in ("README.md", "CONTRIBUTING.md"))]
RUN = {
    ("howto/cluster.md", "sh"): "test_slurm.py",
    ("howto/sharing.md", "sh"): "test_hub.py",
    ("howto/sharing.md", "python"): "test_hub.py",
    ("howto/objects.md", "console"): "test_objects_written.py",
    ("howto/disk.md", "console"): "test_upkeep.py",
    ("howto/corpus.md", "toml"): "test_howto.py",
    ("howto/head.md", "toml"): "test_howto.py",
    ("howto/encoder.md", "toml"): "test_howto.py",
    ("README.md", "python"): "test_docs.py",
    ("python.md", "python"): "test_docs.py",
    ("store.md", "python"): "test_site.py",
}
"""Page and language -> the file of tests that runs such blocks, beside those that tests/test_howto.py runs."""


def name_of(page: Path) -> str:
    return page.relative_to(DOCS).as_posix() if page.is_relative_to(DOCS) else page.name


def run_by_test_howto() -> set[str]:
    """Pages whose console lines, and Python after them, are run one after another."""
    marks = test_howto.test_what_a_page_has_one_type_works.pytestmark
    [mark] = [each for each in marks if each.name == "parametrize"]
    pages = [getattr(each, "values", (each,))[0] for each in mark.args[1]]
    return {name_of((howto.PAGES / page).resolve()) for page in pages}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_every_block_is_run_or_says_what_it_needs(page: Path) -> None:
    name, blocks = name_of(page), howto.fences(page)
    assert page.read_text(encoding="utf-8").count("\n```") == 2 * len(blocks), (
        "a fence is not as tests read it"
    )
    run = run_by_test_howto()
    for block in blocks:
        if block.title:
            assert block.title.startswith("needs "), f"{name}: {block.title}"
        elif block.language in ("", "text"):
            assert not re.search(r"^(\$|sercache|python|pip|make|sbatch) ", block.text, re.MULTILINE), (
                block.text
            )
        elif not block.file:
            tests = RUN.get((name, block.language))
            seen = tests or (name in run and block.language in ("console", "python"))
            assert seen, (
                f'{name}: nothing runs this, mark it: ```{block.language} title="needs …"\n{block.text}'
            )
            assert not tests or Path(name).name in (TOP / "tests" / tests).read_text(encoding="utf-8")
        for call in howto.calls(block):
            _check_command(call)


def test_pages_that_are_run_have_something_to_run() -> None:
    assert {name_of(page) for page in PAGES} >= run_by_test_howto() | {name for name, _ in RUN}
    assert all(howto.commands(os.path.relpath(DOCS / page, howto.PAGES)) for page in run_by_test_howto())


def test_what_the_page_on_stores_says_reads_a_store(
    sercache: Any, own_settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(own_settings)
    catalog.load("sercache.datasets", "emodb").example(own_settings / "emodb")
    extract = ("extract", "--encoder", "logmel", "--dataset", "emodb", "--root", "emodb", "--cache", "cache")
    assert sercache(*extract).code == 0
    [store] = Path("cache/emodb").iterdir()
    code = howto.code("../store.md")
    for stands_for in ("cache/emodb/wavlm-large-…", "STORE"):
        assert stands_for in code
        code = code.replace(stands_for, str(store))
    found: dict[str, Any] = {}
    exec(compile(code, "store.md", "exec"), found)
    assert found["frames"].shape == (1, found["n"], 40)
    assert set(found["classes"].values()) >= {"anger", "happiness", "neutral", "sadness"}


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    """What MkDocs calls, with the modules beside it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(DOCS / "site"))
        return importlib.import_module("hooks")


@pytest.fixture(scope="module")
def made(hooks: ModuleType) -> dict[str, str]:
    """Pages that no file holds. Sizes of encoders are left out: each is a model that has to be laid out."""

    def unsized(name: str) -> EncoderCard:
        [(family, source)] = encoders.named(name).values()
        return EncoderCard(name, source, family, trained_on="what is said")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoders, "card", unsized)
        return {path: make() for path, make in hooks.MADE.items()}


def test_pages_that_are_made_name_all_that_there_is(made: dict[str, str]) -> None:
    for page, room in {"corpora.md": "datasets", "heads.md": "heads", "papers.md": "papers"}.items():
        for name in catalog.names(f"sercache.{room}"):
            assert f"# {name}\n" in made[page]
    for name, module in ((n, catalog.load("sercache.papers", n)) for n in catalog.names("sercache.papers")):
        for table in module.TABLES:
            assert f"\n### {name} {table}\n" in made["papers.md"]
    assert all(f"`{name}`" in made["encoders.md"] for name in encoders.short_names())


def test_pages_say_which_encoder_was_trained_on_which_corpus(made: dict[str, str]) -> None:
    told = made["encoders.md"].partition("## What it must not be tested on")[2].partition("\n## ")[0]
    assert "[msp-podcast](corpora.md#msp-podcast): `wav2vec2-large-robust-emotion-dim`" in told
    assert "nemo" not in told, "NeMo is no corpus"
    part = made["corpora.md"].partition("\n## msp-podcast\n")[2].partition("\n## ")[0]
    assert "`wav2vec2-large-robust-emotion-dim`" in part


def test_a_table_of_a_paper_names_the_corpora_that_it_only_tests_on(made: dict[str, str]) -> None:
    part = made["papers.md"].partition("\n### ioannides2023 table3\n")[2].partition("\n### ")[0]
    assert "[mesd](corpora.md#mesd)" in part
    assert "`sercache reproduce ioannides2023 table3`" in part


def test_a_corpus_has_its_licence_source_and_notes(made: dict[str, str]) -> None:
    about = catalog.load("sercache.datasets", "emodb").INFO
    part = made["corpora.md"].partition("\n## emodb\n")[2].partition("\n## ")[0]
    assert about.licence in part
    assert about.licence_id in part
    assert about.access in part
    assert all(note.replace("*", "\\*").replace("<", "&lt;") in part for note in about.notes)


def test_the_navigation_leads_to_pages(made: dict[str, str]) -> None:
    listed = howto.navigation()
    there = {name_of(page) for page in DOCS.rglob("*.md")} | set(made)
    assert set(listed) <= there
    assert {page for page in there if not page.startswith("decisions/")} <= set(listed)


def test_pictures_are_those_that_the_script_draws(hooks: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(DOCS / "site"))
    pictures = importlib.import_module("pictures")
    names = {path.stem for path in pictures.FOLDER.glob("*.svg")}
    assert names == set(pictures.PICTURES), "run: python docs/site/pictures.py"
    for name, draw in pictures.PICTURES.items():
        assert (pictures.FOLDER / f"{name}.svg").read_text(encoding="utf-8") == draw()


class SitePage(HTMLParser):
    """What a page links to, what it loads, and the places in it."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.places: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attrs}
        self.places |= {found[name] for name in ("id", "name") if name in found}
        if tag == "a" and "href" in found:
            self.links.append(found["href"])
        if "src" in found or (tag == "link" and found.get("rel") not in ("canonical", "prev", "next")):
            self.loads.append(found.get("src") or found.get("href", ""))


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_its_links_lead_somewhere(tmp_path: Path) -> None:
    pytest.importorskip("mkdocs", reason="the extra docs is not installed")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    there = {"PYTHONPATH": str(TOP), "NO_MKDOCS_2_WARNING": "1", "https_proxy": "http://127.0.0.1:9"}
    done = subprocess.run(build, cwd=TOP, env=os.environ | there, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    pages = {path.resolve(): SitePage(path) for path in (tmp_path / "site").rglob("*.html")}
    assert len(pages) > 60
    for path, page in pages.items():
        if path.name == "404.html":  # it is shown at any address, so that its links begin at the top
            continue
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme in ("http", "https"):
                assert re.fullmatch(r"[\w.-]+\.[a-z]+(:\d+)?", parts.netloc), f"{path.name}: {link}"
                continue
            assert not parts.scheme or parts.scheme == "data", f"{path.name}: {link}"
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            assert target.is_file(), f"{path.name}: {link}"
            if parts.fragment and target in pages:
                assert unquote(parts.fragment) in pages[target].places | {"__top"}, f"{path.name}: {link}"
        for load in page.loads:
            assert not urlsplit(load).netloc, f"{path.name} loads {load}"
            assert load.startswith("data:") or (path.parent / urlsplit(load).path).is_file(), load


def test_the_page_on_commands_has_each_with_its_options(made: dict[str, str]) -> None:
    page = made["cli.md"]
    for name, command in cli.cli.commands.items():
        part = page.partition(f"\n### {name}\n")[2].partition("\n### ")[0]
        assert f"sercache {name}" in part
        for option in (option for each in command.params for option in each.opts if option.startswith("--")):
            assert f"`{option}" in part or f", {option}" in part or f" {option}" in part, (name, option)
    assert "Sentinel" not in page
