"""Stores and runs on a hub of this machine: sent whole and allowed, fetched whole or not at all."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from conftest import Outcome
from fake_hub import Hub, serve
from test_corpus_table import QUICK

from sercache import datasets, stores
from sercache.experiment import corpus_table, push

Sercache = Callable[..., Outcome]
REPO = "my-lab/list-logmel"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Hub]:
    """A hub that the client of this process goes to, logged in."""
    from huggingface_hub import constants
    from huggingface_hub.utils import _http

    hub = Hub()
    server = serve(hub)
    address = f"http://127.0.0.1:{server.server_address[1]}"
    monkeypatch.setattr(constants, "ENDPOINT", address)
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, "https://huggingface.co")
    monkeypatch.setattr(
        constants, "HUGGINGFACE_CO_URL_TEMPLATE", template.replace("https://huggingface.co", address)
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr(_http.time, "sleep", lambda seconds: None)
    monkeypatch.setenv("HF_TOKEN", "right")
    yield hub
    server.shutdown()
    server.server_close()


@pytest.fixture
def store(cached: Path) -> Path:
    [folder] = [folder for folder, _ in stores.find(cached.parent / "cache")]
    return folder


def sent(sercache: Sercache, store: Path, *more: object) -> Outcome:
    return sercache("push", store, REPO, "--license", "cc-by-4.0", *more)


def contents(folder: Path) -> dict[str, bytes]:
    """Files of a store that are sent, and their bytes."""
    from sercache.stores import parcel

    return {name: (folder / name).read_bytes() for name in parcel.names(folder)}


def test_a_store_goes_and_comes_and_is_trained_from(
    sercache: Sercache, hub: Hub, store: Path, cached: Path, tmp_path: Path
) -> None:
    done = sent(sercache, store)
    assert done.code == 0, done.err
    assert hub.repositories["datasets", REPO].private
    held = hub.files(REPO)
    assert {name: held[name] for name in contents(store)} == contents(store)
    assert "ledger/origin.json" not in held  # it says where the recordings lie on this machine
    assert not [name for name, data in held.items() if str(tmp_path).encode() in data]
    assert hub.objects, "nothing went the way of large files"
    elsewhere = tmp_path / "elsewhere"
    done = sercache("pull", REPO, "--cache", elsewhere)
    assert done.code == 0, done.err
    [(folder, _)] = stores.find(elsewhere)
    assert contents(folder) == contents(store)
    assert folder.relative_to(elsewhere) == store.relative_to(cached.parent / "cache")
    assert [path.name for path in elsewhere.iterdir()] == [folder.parent.name], "something half is left"
    assert sercache("verify", folder).code == 0
    done = sercache("train", "--head", "linear", "--store", folder, "--cache", elsewhere, *QUICK)
    assert done.code == 0, done.err
    n_asked = len(hub.asked)
    done = sercache("pull", REPO, "--cache", elsewhere)
    assert (done.code, "nothing to do" in done.out) == (0, True)
    assert len(hub.asked) > n_asked
    done = sent(sercache, store)  # once more: what is there is not sent again
    assert done.code == 0, done.err
    assert hub.counts()["PUT"] == len(hub.objects)


def test_the_card_says_what_it_is_and_its_code_runs(
    sercache: Sercache, hub: Hub, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sent(sercache, store).code == 0
    card = hub.files(REPO)["README.md"].decode()
    header = yaml.safe_load(card.split("---\n")[1])
    assert header["license"] == "cc-by-4.0"
    assert header["viewer"] is False
    spec = stores.read_spec(store)
    assert header["sercache"] == {
        "digest": spec.digest,
        "states": list(spec.states),
        "dim": spec.dim,
        "clip": "none",
    }
    assert {"sercache", "zarr", "logmel"} <= set(header["tags"])
    for words in (
        spec.digest,
        "loud 12, soft 12",
        "24 utterances",
        f"sercache pull {REPO}",
    ):
        assert words in card
    [code] = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(store)
    names: dict[str, object] = {}
    exec(compile(code, "card", "exec"), names)
    assert names["frames"].shape[2] == spec.dim  # type: ignore[attr-defined]


def test_what_is_advised_about_a_hub_works(
    sercache: Sercache, hub: Hub, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def advised(text: str, verb: str, **words: object) -> Outcome:
        [command] = re.findall(rf"sercache {verb}\b[^`\n;()]*", text)
        for word, value in words.items():
            command = command.replace(word, str(value))
        return sercache(*shlex.split(command)[1:], *(QUICK if verb == "train" else ()))

    # What is no store or run, and what is damaged.
    assert (
        advised(sercache("push", tmp_path, REPO, "--license", "other").err.split(" lists")[0], "info").code
        == 0
    )
    shard = next(store.glob("pooled_mean/c.*"))
    data = bytearray(shard.read_bytes())
    data[30] ^= 1
    shard.write_bytes(data)
    refused = sercache("push", store, REPO, "--license", "other")
    assert advised(refused.err.split(" mends")[0], "verify").code == 0
    done = sent(sercache, store)
    assert done.code == 0, done.err
    # The receiver's side: fetch, train, and put together with what is there.
    before = os.environ["SERCACHE_CACHE"]
    monkeypatch.setenv("SERCACHE_CACHE", str(tmp_path / "theirs"))
    assert advised(done.out, "pull").code == 0
    [(theirs, _)] = stores.find(tmp_path / "theirs")
    card = hub.files(REPO)["README.md"].decode()
    assert advised(card, "train", STORE=theirs).code == 0
    monkeypatch.setenv("SERCACHE_CACHE", before)
    refused = sercache("pull", REPO)
    assert refused.code == 2
    put = advised(refused.err, "merge", STORE=theirs)
    assert put.code == 0, put.err


def test_a_run_goes_and_comes_and_predicts(
    sercache: Sercache, hub: Hub, store: Path, cached: Path, tmp_path: Path
) -> None:
    name = stores.read_spec(store).corpus
    done = sercache(
        "train", "--head", "linear", "--encoder", "logmel", "--dataset", name, *QUICK, "--name", "run"
    )
    assert done.code == 0, done.err
    done = sercache("push", cached / "run", "my-lab/heads", "--licence", "other")
    assert done.code == 0, done.err
    card = hub.files("my-lab/heads", "models")["README.md"].decode()
    assert yaml.safe_load(card.split("---\n")[1])["library_name"] == "sercache"
    assert "| UA |" in card
    elsewhere = tmp_path / "elsewhere"
    done = sercache("pull", "my-lab/heads", "--runs", elsewhere, "--name", "theirs")
    assert done.code == 0, done.err
    mine, theirs = (
        {path.relative_to(place): path.read_bytes() for path in place.rglob("*") if path.is_file()}
        for place in (cached / "run", elsewhere / "theirs")
    )
    assert mine == theirs
    assert [path.name for path in elsewhere.iterdir()] == ["theirs"]
    assert sercache("pull", "my-lab/heads", "--runs", elsewhere, "--name", "theirs").code == 2
    assert sercache("report", elsewhere / "theirs").code == 0


def test_nothing_is_sent_without_a_licence_a_right_or_a_whole_store(
    sercache: Sercache, hub: Hub, store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*call: object) -> str:
        done = sercache(*call)
        assert done.code == 2
        assert len(done.err.splitlines()) <= 2, done.err
        assert not hub.asked, hub.asked
        return done.err

    assert "under which licence" in refused("push", store, REPO)
    assert "no licence as the hub writes them" in refused(
        "push", store, REPO, "--license", "Do what you like"
    )
    assert "OWNER/NAME" in refused("push", store, "list", "--license", "other")
    assert "neither a store nor a run" in refused("push", store.parent, REPO, "--license", "other")
    values = list(stores.read_corpus(store))
    values[0]["info"] |= {"restricted": True, "licence": "no redistribution"}
    stores.write_corpus(store, lambda: values)
    assert "may not be passed on (no redistribution)" in refused("push", store, REPO, "--license", "other")
    values[0]["info"]["restricted"] = False
    stores.write_corpus(store, lambda: values)
    claim = store / "ledger" / "claims"
    claim.mkdir(exist_ok=True)
    (claim / "1").touch()
    assert "being written to" in refused("push", store, REPO, "--license", "other")
    (claim / "1").unlink()
    shard = next((store / "frames").glob("c*"))
    shard.write_bytes(shard.read_bytes()[:-1] + b"\1")
    assert "is damaged" in refused("push", store, REPO, "--license", "other")
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setattr("huggingface_hub.utils._auth.get_token", lambda: None)
    monkeypatch.setattr("sercache.experiment.hub._token", lambda: None)
    assert "nobody is logged in" in refused("push", store, REPO, "--license", "other")


def test_what_names_folders_of_the_sender_is_told(
    sercache: Sercache, hub: Hub, store: Path, recordings: Path
) -> None:
    stores.write_note(store, "skipped.json", {"u99": f"{recordings}: no recording"})
    done = sent(sercache, store)
    assert done.code == 0
    assert "ledger/skipped.json" in done.err
    assert "where the recordings lie on this machine" in done.err


@pytest.mark.parametrize("ensure_ascii", [True, False])
def test_a_folder_is_told_however_json_writes_its_name(store: Path, ensure_ascii: bool) -> None:
    """Names with umlauts were sent without a word."""
    stores.write_note(store, "origin.json", {"root": "/home/jürgen/audio"})
    (store / "ledger/said.json").write_text(
        json.dumps({"u1": "/home/jürgen/audio/1.wav: odd"}, ensure_ascii=ensure_ascii)
    )
    with pytest.warns(UserWarning, match=r"ledger/said.json of .* names /home/jürgen/audio"):
        push._tell_paths(store, ["ledger/said.json"])


def test_every_corpus_that_may_not_be_passed_on_says_so() -> None:
    from sercache import catalog

    for name in catalog.names("sercache.datasets"):
        info = catalog.load("sercache.datasets", name).INFO
        forbids = "no redistribution" in info.licence or "-ND" in info.licence
        assert info.restricted == forbids, name
        assert not (forbids and info.clips_may_be_copied), name
        if re.fullmatch("CC BY[A-Z0-9. -]*", info.licence):
            assert info.licence_id == info.licence.replace(" ", "-"), name


@pytest.mark.parametrize(
    ("licence_id", "may"),
    [("CC0-1.0", True), ("CC-BY-NC-SA-4.0", True), ("ODbL-1.0", True), ("CC-BY-NC-ND-4.0", False),
     ("LicenseRef-MINE", False), ("", None), ("mine", None)],
)  # fmt: skip
def test_a_licence_says_whether_clips_may_be_copied(licence_id: str, may: bool | None) -> None:
    from sercache.datasets import CorpusInfo

    info = CorpusInfo("", "", None, None, "", "", "", {}, "", licence_id=licence_id)
    assert info.clips_may_be_copied is may
    assert dataclasses.replace(info, restricted=True).clips_may_be_copied is False


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "hf auth login"),
        (403, "forbids that"),
        (404, "check the name"),
        (503, "busy or out of order"),
        (418, "answers 418"),
    ],
)
def test_what_the_hub_refuses_is_a_line(
    sercache: Sercache, hub: Hub, store: Path, tmp_path: Path, status: int, words: str
) -> None:
    assert sent(sercache, store).code == 0
    before = hub.files(REPO)
    hub.refuse = lambda method, path: status
    for call in (("push", store, REPO, "--license", "other"), ("pull", REPO, "--cache", tmp_path / "there")):
        done = sercache(*call)
        assert done.code == 2, done.err
        [line] = done.err.splitlines()[-1:]
        assert words in line, line
        assert "Traceback" not in done.err
    assert hub.files(REPO) == before
    assert not stores.find(tmp_path / "there")


def test_a_push_that_was_cut_off_goes_on(sercache: Sercache, hub: Hub, store: Path) -> None:
    def third(method: str, path: str) -> int | None:
        return 400 if method == "PUT" and len(hub.objects) >= 2 else None

    hub.refuse = third
    assert sent(sercache, store).code == 2
    assert set(hub.files(REPO)) == {".gitattributes"}, "something half is seen"
    n_sent = len(hub.objects)
    hub.refuse = lambda method, path: None
    hub.asked.clear()
    assert sent(sercache, store).code == 0
    assert hub.counts()["PUT"] == len(hub.objects) - n_sent
    assert contents(store).items() <= hub.files(REPO).items()


def test_a_pull_that_was_cut_off_goes_on_and_wrong_bytes_count_for_nothing(
    sercache: Sercache, hub: Hub, store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert sent(sercache, store).code == 0
    shard = max(contents(store), key=lambda name: len(contents(store)[name]))
    there = tmp_path / "there"
    pull = ("pull", REPO, "--cache", there)
    monkeypatch.setattr("huggingface_hub.constants.DOWNLOAD_CHUNK_SIZE", 256)
    hub.cut[shard] = 1000
    hub.asked.clear()
    done = sercache(*pull)
    assert done.code == 0, done.err
    [went_on] = [line for line in hub.asked if "bytes=" in line]
    assert 0 < int(went_on.rpartition("=")[2].rstrip("-")) <= 1000
    shutil.rmtree(there)
    hub.refuse = lambda method, path: 400 if method == "GET" and path.endswith(shard) else None
    done = sercache(*pull)
    assert done.code == 2, done.out
    assert not stores.find(there)
    hub.refuse = lambda method, path: None
    hub.asked.clear()
    done = sercache(*pull)
    assert done.code == 0, done.err
    fetched = [line for line in hub.asked if line.startswith("GET") and "/resolve/" in line]
    assert len(fetched) < len(contents(store)), "it begins anew"
    for name in (shard, "ledger/commits/00000000.json", "ledger/spec.json", "ledger/corpus.jsonl"):
        shutil.rmtree(there)
        hub.wrong = {name}
        done = sercache(*pull)
        assert done.code == 2
        assert f"gave other bytes of {name}" in done.err
        assert not stores.find(there)
        hub.wrong = set()
    assert sercache(*pull).code == 0


@pytest.mark.parametrize(
    "name", ["ledger/../../../evil.json", "frames/evil.py", "/etc/passwd", ".hidden", "ledger/new.json"]
)
def test_a_repository_with_files_that_no_store_has_is_not_fetched(
    sercache: Sercache, hub: Hub, store: Path, tmp_path: Path, name: str
) -> None:
    assert sent(sercache, store).code == 0
    hub.files(REPO)[name] = b"evil"
    hub.asked.clear()
    done = sercache("pull", REPO, "--cache", tmp_path / "there")
    assert (done.code, "nothing was fetched" in done.err) == (2, True)
    assert not [line for line in hub.asked if "/resolve/" in line]


def test_a_store_that_was_made_up_is_not_put_into_the_cache(
    sercache: Sercache, hub: Hub, store: Path, tmp_path: Path
) -> None:
    assert sent(sercache, store).code == 0
    values = list(stores.read_corpus(store))
    values[1]["label"] = 7
    stores.write_corpus(store, lambda: values)
    hub.files(REPO)["ledger/corpus.jsonl"] = stores.corpus_path(store).read_bytes()
    done = sercache("pull", REPO, "--cache", tmp_path / "there")
    assert done.code == 2
    assert "holds a damaged store" in done.err
    assert not stores.find(tmp_path / "there")


def test_a_repository_of_something_else_is_left_alone(
    sercache: Sercache, hub: Hub, store: Path, tmp_path: Path
) -> None:
    assert sent(sercache, store).code == 0
    held = hub.files(REPO)
    other = json.loads(held["ledger/spec.json"].decode())["record"]
    assert other["digest"]
    del held["ledger/spec.json"]
    held["data.csv"] = b"a,b"
    done = sent(sercache, store)
    assert (done.code, "holds other files" in done.err) == (2, True)
    done = sercache("pull", REPO, "--cache", tmp_path / "there")
    assert "holds no store of sercache" in done.err
    assert sercache("pull", "my-lab/none", "--cache", tmp_path / "there").code == 2


def test_the_labels_that_arrive_are_those_that_were_sent(
    sercache: Sercache, hub: Hub, store: Path, tmp_path: Path
) -> None:
    assert sent(sercache, store).code == 0
    assert sercache("pull", REPO, "--cache", tmp_path / "there", "--revision", "main").code == 0
    [(folder, _)] = stores.find(tmp_path / "there")
    mine, theirs = corpus_table.read(store), corpus_table.read(folder)
    assert [u.raw_label for u in mine.utterances] == [u.raw_label for u in theirs.utterances]
    assert isinstance(theirs, datasets.Corpus)


@pytest.mark.slow  # its commands are run by other tests of this file
def test_the_page_on_sharing_runs(
    sercache: Sercache, hub: Hub, recordings: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (Path(__file__).parents[1] / "docs" / "howto" / "sharing.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)
    assert len(blocks) == 4
    shutil.copytree(recordings.parent, tmp_path / "calls")
    monkeypatch.chdir(tmp_path)
    for number, block in enumerate(blocks):
        if number == 1:  # from here on another machine
            monkeypatch.setenv("SERCACHE_CACHE", str(tmp_path / "theirs"))
            shutil.rmtree(tmp_path / "calls")
        for line in block.splitlines():
            if line.startswith("hf "):
                continue
            [mine] = [str(folder) for folder, _ in stores.find(tmp_path / "cache")] or ["none yet"]
            words = shlex.split(line.replace("CACHE/calls/logmel-DIGEST", mine))
            quick = QUICK if words[1] == "train" else []
            if "parquet" in words and importlib.util.find_spec("pyarrow") is None:
                continue
            done = sercache(*words[1:], *quick)
            assert done.code == 0, f"{line}: {done.err}"
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(code, "page", "exec"), names)
    assert names["label"] in ("loud", "soft")


@pytest.mark.slow
def test_a_process_of_its_own_goes_to_the_hub_that_is_named(
    sercache: Sercache, hub: Hub, store: Path, tmp_path: Path
) -> None:
    """Nothing is patched there: the client reads HF_ENDPOINT as it is imported."""
    from huggingface_hub import constants

    assert sent(sercache, store).code == 0
    own = {"HF_ENDPOINT": constants.ENDPOINT, "HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1"}
    for call in (["pull", REPO, "--cache", "there"], ["push", store, REPO, "--license", "other"]):
        command = [sys.executable, "-m", "sercache.cli", *map(str, call)]
        done = subprocess.run(
            command, cwd=tmp_path, env=os.environ | own, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
    assert stores.find(tmp_path / "there")
