"""The line over a corpus whose table is no Unicode: said once, remembered after."""

from __future__ import annotations

import shlex
from pathlib import Path

import corpus_trees

from sercache import stores, text
from sercache.experiment.origin import extract_command


def own_corpus(folder: Path) -> Path:
    rows = [("生气", "s1"), ("快乐", "s1"), ("生气", "s2"), ("快乐", "S2"), ("生气 ", "s3"), ("快乐", "s3")]
    for n in range(len(rows)):
        corpus_trees.write_wav(folder / f"{n}.wav")
    lines = "".join(f"{n}.wav,{label},{speaker}\n" for n, (label, speaker) in enumerate(rows))
    return corpus_trees.write_text(folder / "manifest.csv", f"path,label,speaker\n{lines}", "gb18030").parent


def test_an_encoding_is_said_once(sercache, own_settings):
    root = own_corpus(own_settings / "own")
    first = ["extract", "--encoder", "logmel", "--dataset", "manifest", "--root", root, "--pooled-only"]
    refused = sercache(*first)
    assert refused.code == 2
    assert "manifest.csv line 2 is not UTF-8; it can be read as gb18030 (生气)" in refused.err
    assert "Traceback" not in refused.err
    done = sercache(*first, "--encoding", "gbk")
    assert done.code == 0
    assert "'s2' (1) and 'S2' (1) are the speaker s2" in done.err
    assert text.reading() == text.TextOptions()
    ((folder, _),) = list(stores.find(own_settings / "cache"))
    command = shlex.split(extract_command(folder))[1:]
    assert command[command.index("--encoding") + 1] == "gbk"
    assert "nothing to do" in sercache(*command).out
    assert "nothing to do" in sercache(*first).out
    assert "6 utterances" in sercache("doctor", "--dataset", "manifest", "--root", root).out
    trained = sercache(
        *["train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", "--seeds", "1"],
        *["--states", "logmel", "--set", "max-epochs=1", "--serial"],
    )
    assert trained.code == 0, trained.err
    assert sercache(*first, "--encoding", "base64").code == 2


def test_commands_run_without_a_home_and_an_account(sercache, own_settings, monkeypatch):
    import pwd

    def nobody(uid):
        raise KeyError(uid)

    for name in (
        "HOME",
        "XDG_CONFIG_HOME",
        "XDG_CACHE_HOME",
        "SERCACHE_CONFIG",
        "SERCACHE_CACHE",
        "SERCACHE_RUNS",
    ):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    root = own_corpus(own_settings / "own")
    where = ["--cache", own_settings / "c", "--root", root]
    extract = [
        "extract",
        "--encoder",
        "logmel",
        "--dataset",
        "manifest",
        "--pooled-only",
        "--encoding",
        "gbk",
    ]
    assert "not set" in sercache("config").out
    # What needs no cache asks for none.
    checked = sercache("doctor", "--dataset", "manifest", "--root", root, "--encoding", "gbk")
    assert (checked.code, checked.err) == (1, "")  # it has a finding of its own
    assert "verdict" in checked.out
    lost = sercache("doctor", "--dataset", "emodb")
    assert lost.code == 2
    assert "where is emodb? give --root FOLDER" in lost.err
    assert sercache("config", "device=cpu").code == 2
    refused = sercache(*extract, "--root", root)
    assert refused.code == 2
    assert "give --cache FOLDER" in refused.err
    assert sercache(*extract, *where).code == 0
    train = ["train", "--head", "linear", "--encoder", "logmel", "--dataset", "manifest", "--seeds", "1"]
    trained = sercache(
        *train,
        *where,
        "--runs",
        own_settings / "r",
        "--states",
        "logmel",
        "--set",
        "max-epochs=1",
        "--serial",
    )
    assert trained.code == 0, trained.err
