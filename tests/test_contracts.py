# ruff: noqa: E501 - a table of faults, a line each
"""The contracts: kept by all that there is, and each part of them found by its name where it is left out."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from pathlib import Path

import howto
import pytest
from conftest import Outcome

from sercache import catalog, contracts
from sercache.contracts.words import members
from sercache.datasets import CorpusReader
from sercache.encoders import Encoder, Family
from sercache.errors import MissingExtraError, UnknownNameError
from sercache.head import Head, HeadFile

Sercache = Callable[..., Outcome]
ROOMS = {
    "my_head.py": "sercache.heads",
    "my_corpus.py": "sercache.datasets",
    "my_encoder.py": "sercache.encoders",
}
SLOW = {"demo"}
"""Speaks its hundred sentences anew for every check."""


def everything() -> list[object]:
    return [
        pytest.param(room, name, marks=[pytest.mark.slow] if name in SLOW else [])
        for room in contracts.CONTRACTS
        for name in catalog.names(room)
    ]


@pytest.mark.parametrize(("room", "name"), everything())
def test_all_that_there_is_keeps_its_contract(room: str, name: str) -> None:
    try:
        assert contracts.all_faults(room, catalog.load(room, name)) == []
    except MissingExtraError as lacking:
        pytest.skip(str(lacking))


def faults_of(text: str, name: str, folder: Path) -> list[str]:
    (folder / name).write_text(text)
    return contracts.all_faults(ROOMS[name], catalog.load_file(str(folder / name)))


@pytest.mark.parametrize("name", ROOMS)
def test_the_files_of_the_pages_keep_theirs(name: str, tmp_path: Path) -> None:
    assert faults_of(howto.files()[name], name, tmp_path) == []


def without(text: str, member: str) -> str:
    """A file without something at its top or in its class: a function, a class, an assignment."""
    tree = ast.parse(text)
    for body in (tree.body, *(node.body for node in tree.body if isinstance(node, ast.ClassDef))):
        for node in list(body):
            target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
            if member in (getattr(node, "name", ""), getattr(target, "id", "")):
                body.remove(node)
                return ast.unparse(tree)
    raise AssertionError(f"there is no {member}")


LEFT_OUT = [
    *[("my_head.py", each) for each in (*members(HeadFile), *members(Head))],
    *[("my_corpus.py", each) for each in members(CorpusReader)],
    *[("my_encoder.py", each) for each in members(Family)],
]


@pytest.mark.parametrize(("name", "member"), LEFT_OUT)
def test_what_is_left_out_of_a_file_is_missed_by_its_name(name: str, member: str, tmp_path: Path) -> None:
    found = faults_of(without(howto.files()[name], member), name, tmp_path)
    assert len(found) == 1, found
    assert found[0].startswith(f"{member} is missing: ")
    assert len(found[0]) > len(f"{member} is missing: ") + 20  # and what it is


class _Bare:
    """An encoder from which a member can be taken away."""


@pytest.mark.parametrize("member", members(Encoder))
def test_what_is_left_out_of_an_encoder_is_missed_by_its_name(member: str, tmp_path: Path) -> None:
    text = howto.files()["my_encoder.py"].replace(
        "return Computed(_FEATURE, computed_identity(_FEATURE, revision), _levels)",
        "whole = Computed(_FEATURE, computed_identity(_FEATURE, revision), _levels)\n"
        "    class Bare: pass\n"
        "    bare = Bare()\n"
        "    for name in ('name', 'identity', 'sample_rate', 'hop', 'states', 'dims', 'min_samples', 'max_samples',\n"
        "                 'pack_frames', 'n_frames', 'encode'):\n"
        f"        if name != {member!r}:\n"
        "            setattr(bare, name, getattr(whole, name))\n"
        "    return bare",
    )
    found = faults_of(text, "my_encoder.py", tmp_path)
    assert any(fault.startswith(f"{member} of my-levels is missing: ") for fault in found), found


BREAKS = [
    ("my_head.py", 'encoder="demo-wavlm"', 'encoder="wavlm-larg"', "unknown encoder 'wavlm-larg'; did you mean wavlm-large"),
    ("my_head.py", 'states="blocks"', 'states="block"', "unknown state 'block'"),
    ("my_head.py", 'dataset="demo"', 'dataset="iemocop"', "unknown dataset 'iemocop'; did you mean iemocap"),
    ("my_head.py", 'protocol="leave-one-session-out"', 'protocol="leave-all-out"', "unknown protocol 'leave-all-out'"),
    ("my_head.py", 'dev="next"', 'dev="none"', "RECIPE needs a dev part"),
    ("my_head.py", "RECIPE = ", 'PRINTED = ("pepino21 table1",)\nRECIPE = ', "unknown paper (PRINTED) 'pepino21'; did you mean pepino2021"),
    ("my_head.py", "RECIPE = ", 'PRINTED = ("pepino2021 table9",)\nRECIPE = ', "unknown table of pepino2021 (PRINTED) 'table9'"),
    ("my_head.py", "hidden: int = 64", "hidden: int", "the option hidden of Head has no default"),
    ("my_head.py", "masked_mean(states, mask)", "states.mean(2)", "padding of 0.0 moves the outputs"),
    ("my_head.py", "return self.out(F.gelu(self.hide(statistics)))", "return self.hide(statistics)", "forward gives (5, 64)"),
    ("my_head.py", "self.weights.softmax(0)", "self.weights.exp()", "layer_weights gives (4,) that sum to 4"),
    ("my_head.py", "self.out(F.gelu(", "self.out(F.gelu(self.scale * ", "AttributeError"),
    ("my_head.py", "F.gelu(self.hide(statistics))", "F.gelu(self.hide(statistics.detach()))", "no gradient reaches the parameter weights"),
    ("my_head.py", "torch.zeros(n_layers)", "torch.zeros(n_layers) + __import__('numpy').random.rand()", "other initial weights"),
    ("my_corpus.py", 'title="Mine: acted speech in three emotions"', 'title=""', "INFO.title is empty"),
    ("my_corpus.py", 'default_task="3class"', 'default_task="4class"', "INFO.default_task is '4class'"),
    ("my_corpus.py", '"my-corpus", root', '"mine", root', "the corpus is called 'mine', expected 'my-corpus'"),
    ("my_corpus.py", 'release="1"', 'release=""', "the corpus has no release"),
    ("my_corpus.py", "for label in _LABELS", 'for label in ("ang", "hap")', "no utterance of neutral"),
    ("my_corpus.py", "    return read_named(", "    next(root.iterdir())\n    return read_named(", "a root that is empty raises"),
    ("my_encoder.py", 'family="my-encoder"', 'family="mine"', "family 'mine', expected 'my-encoder'"),
    ("my_encoder.py", "n_samples // _HOP", "n_samples // _HOP + 1", "expected (F, D) = "),
    ("my_encoder.py", "dim=2", "dim=3", "expected (F, D) = "),
    ("my_encoder.py", "    return torch.stack([level, crossings], 1)", "    return torch.stack([level, crossings], 1) * torch.rand(1)", "two calls give different features"),
    ("my_encoder.py", "def identify(source: str, *, revision", "def identify(source: str, *, commit", "identify does not take revision"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "old", "new", "says"), BREAKS, ids=lambda text: re.sub(r"\W+", "-", text)[:30]
)
def test_what_breaks_a_contract_is_said_in_words(
    name: str, old: str, new: str, says: str, tmp_path: Path
) -> None:
    text = howto.files()[name]
    assert old in text
    found = faults_of(text.replace(old, new), name, tmp_path)
    assert any(says in fault for fault in found), found
    assert not [fault for fault in found if "\n" in fault]


@pytest.mark.parametrize("name", ROOMS)
def test_a_file_is_checked_as_what_it_is(name: str, sercache: Sercache, tmp_path: Path) -> None:
    file = howto.write(tmp_path) / name
    done = sercache("check", file)
    assert done.code == 0, done.err
    assert "FAULT" not in done.out
    member = {"my_head.py": "SOURCE", "my_corpus.py": "example", "my_encoder.py": "identify"}[name]
    file.write_text(without(file.read_text(), member))
    done = sercache("check", file)
    assert done.code == 2
    assert f"{member} is missing: " in done.out
    assert "does not keep its contract: 1 fault" in done.err


def test_installed_ones_can_be_checked_too(sercache: Sercache) -> None:
    done = sercache("check", "linear")
    assert done.code == 0, done.err
    assert "linear as the file of a head" in done.out
    done = sercache("check", "linaer")
    assert done.code == 2
    assert "did you mean linear" in done.err


def test_a_file_of_nothing_is_told_what_there_can_be(tmp_path: Path) -> None:
    (tmp_path / "empty.py").write_text("x = 1\n")
    with pytest.raises(
        UnknownNameError, match="neither a head nor a corpus nor an encoder, which need: a head Head"
    ):
        contracts.rooms_of(str(tmp_path / "empty.py"))


@pytest.mark.parametrize("name", ["emodb", "./my_corpus.py"])
def test_an_example_of_a_corpus_can_be_had(
    name: str, sercache: Sercache, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(howto.write(tmp_path / "work"))
    done = sercache("datasets", name, "--example", "there")
    assert done.code == 0, done.err
    done = sercache("doctor", "--dataset", name, "--root", "there")
    assert "utterances" in done.out, done.err
    done = sercache("datasets", name, "--example", "there")
    assert done.code == 2
    assert "holds something already" in done.err
