"""``--cluster``: verbs done by workers give what one process gives."""

from __future__ import annotations

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

import sercache
from sercache import stores
from sercache.api import _member
from sercache.cli import main
from sercache.datasets import Corpus, demo
from sercache.errors import AudioError, LeftOutError, SercacheError, SettingsError
from sercache.experiment import clustered, filled
from sercache.experiment.extract import ExtractOptions
from sercache.experiment.options import settings_of
from sercache.experiment.setup import TrainOptions

_REQUESTS = [
    ExtractOptions("logmel", "demo"),
    ExtractOptions(
        "logmel", "demo", root=Path("/data"), states="1-3", pooled_only=True, limit=3, seal_every=5.0
    ),
    TrainOptions("linear", seeds=(0, 3), settings=("lr=1e-3", "max-epochs=2"), head_options=("hidden=3",)),
    TrainOptions("linear", seeds=2, frames=False, test_on=("savee",), finetune_from="6,-"),
]


@pytest.mark.parametrize("request_", _REQUESTS)
def test_a_request_arrives_as_it_was_sent(request_):
    verb = "extract" if isinstance(request_, ExtractOptions) else "train"
    sent = json.loads(json.dumps(settings_of(request_)))
    assert filled(type(request_), verb, sent) == request_


@pytest.mark.parametrize("verb", _member._VERBS)
def test_every_verb_of_a_member_takes_what_is_sent(verb):
    module, record = _member._VERBS[verb]
    work = import_module(module)
    assert callable(work.run)
    assert {"cluster", "cluster_options", "lifetime"} <= set(getattr(work, record).__dataclass_fields__)


def test_what_is_of_workers_needs_workers():
    with pytest.raises(SettingsError, match="give --cluster too"):
        clustered.asked(ExtractOptions("logmel", "demo", lifetime="50m"))


def test_objects_cannot_be_sent(tmp_path):
    request = ExtractOptions("logmel", "demo", cluster="local:2")
    with pytest.raises(SettingsError, match="by name or file"):
        clustered.run("extract", request, tmp_path, has_objects=True)


@pytest.mark.parametrize("lifetime", ["", "soon", "50", "1:00"])
def test_a_lifetime_that_is_no_time_is_refused(tmp_path, lifetime):
    request = ExtractOptions("logmel", "demo", cluster="local:2", lifetime=lifetime)
    with pytest.raises(SettingsError, match="50m, 1h30m or 90s"):
        clustered.run("extract", request, tmp_path)


def test_a_complaint_of_a_worker_is_that_of_the_verb():
    said = json.dumps({"result": {"complaint": "3 of 9 recordings could not be encoded", "kind": "silent"}})
    with pytest.raises(AudioError, match="3 of 9") as raised:
        clustered._result(said + "\n")
    assert raised.value.kind == "silent"


def test_what_workers_left_out_is_told_as_one_process_tells_it():
    said = json.dumps({"result": {"complaint": "left out: u6", "kind": None}})
    with pytest.raises(LeftOutError, match="left out: u6"):
        clustered._result(said + "\n")


def test_what_the_first_worker_says_is_told_once(tmp_path):
    told: list[str] = []

    class Heard:
        def line(self, text: str) -> None:
            told.append(text)

        def used(self, label: str, value: object) -> None:
            told.append(f"{label} {value}")

        def note(self, text: str) -> None:
            told.append(f"note {text}")

        def bar(self, iterable, options):
            return sercache.progress.Silent().bar(iterable, options)

    look = clustered._Told()
    with sercache.progress.sent_to(Heard()):
        look.look(tmp_path)  # before there is anything
        lines = [
            json.dumps(each) for each in ({"used": ["cache", "here"]}, {"note": "odd"}, {"line": "done"})
        ]
        (tmp_path / "0.out").write_text("\n".join(lines[:2]) + "\n" + lines[2][:4])
        (tmp_path / "1.progress").write_text(json.dumps({"desc": "encode", "n": 3, "total": 9, "unit": "s"}))
        look.look(tmp_path)
        # Another takes its place, and begins anew.
        (tmp_path / "0.out").write_text(lines[0] + "\n")
        look.look(tmp_path)
        (tmp_path / "0.out").write_text("\n".join(lines) + "\n")
        look.look(tmp_path)
        look.close()
        look.take([*lines, json.dumps({"line": "that is all"})])
    assert told == ["cache here", "note odd", "done", "that is all"]


@pytest.mark.slow
def test_workers_on_this_host_do_what_one_process_does(tmp_path, monkeypatch, capsys):
    pytest.importorskip("distributed")
    monkeypatch.setenv("SERCACHE_CONFIG", str(tmp_path / "config.toml"))
    extract = ["extract", "--encoder", "logmel", "--dataset", "demo", "--device", "cpu"]
    train = [
        "train",
        "--head",
        "linear",
        "--encoder",
        "logmel",
        "--dataset",
        "demo",
        "--device",
        "cpu",
        "--seeds",
        "2",
    ]
    train += ["--protocol", "kfold:2", "--dev", "random20", "--states", "all", "--set", "max-epochs=2"]
    found = {}
    for how in ([], ["--cluster", "local:2"]):
        place = tmp_path / ("together" if how else "alone")
        where = ["--cache", str(place / "cache")]
        for words in ([*extract, *where], [*train, *where, "--runs", str(place / "runs")]):
            monkeypatch.setattr("sys.argv", ["sercache", *words, *how])
            main()
        [(path, _)] = stores.find(place / "cache")
        store = stores.open(path)
        [run] = [each for each in (place / "runs").iterdir() if not each.name.startswith(".")]
        found[bool(how)] = (
            {id: store.pooled(ids=[id]) for id in store.ids()},
            (run / "predictions.csv").read_text(),
        )
        assert not list(place.rglob(".cluster"))
    (alone, before), (together, after) = found[False], found[True]
    assert alone.keys() == together.keys()
    assert all(np.array_equal(alone[id], together[id]) for id in alone)
    assert before == after
    assert "local:2, 2 workers" in capsys.readouterr().out


@pytest.mark.slow
def test_trainings_that_end_each_worker_are_left_out_and_named_however_many(tmp_path, monkeypatch, capsys):
    pytest.importorskip("distributed")
    monkeypatch.setenv("SERCACHE_CONFIG", str(tmp_path / "config.toml"))
    monkeypatch.setenv("SERCACHE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("sercache.cluster.sharing.ALLOWED_LOSSES", 3)  # of the twelve that there will be
    sercache.extract("logmel", "demo", device="cpu", progress=False)
    train = [
        "train",
        "--head",
        str(Path(__file__).parent / "deadly_head.py"),
        "--encoder",
        "logmel",
        "--dataset",
    ]
    train += ["demo", "--device", "cpu", "--seeds", "4", "--protocol", "kfold:2", "--dev", "random20"]
    train += ["--states", "all", "--set", "max-epochs=2", "--runs", str(tmp_path / "runs"), "--name", "r"]
    monkeypatch.setattr("sys.argv", ["sercache", *train, "--cluster", "local:2"])
    monkeypatch.setenv("SERCACHE_TEST_DEADLY", "0,3")
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert "error: left out: fold 1 (seeds 0, 3), fold 2 (seeds 0, 3), since every process" in err
    assert len(list((tmp_path / "runs" / "r.partial").glob("fold-*"))) == 4, "the others are done"
    monkeypatch.setenv("SERCACHE_TEST_DEADLY", "")  # what ended them is mended
    monkeypatch.setattr("sys.argv", ["sercache", *train])
    main()
    assert "4 of 8 trainings were finished before" in capsys.readouterr().out
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["r"]


def test_a_command_that_is_no_ones_is_refused_before_workers_start(tmp_path):
    request = replace(TrainOptions("linear", folds="1"), cluster="local:2")
    with pytest.raises(SettingsError, match="name no part"):
        import_module("sercache.experiment.train").run(request)


@pytest.mark.parametrize("verb", ["train", "probe"])
def test_names_are_sent_to_workers_and_objects_are_refused(verb, own_settings):
    how = {"cluster": "nowhere:2", "progress": False}
    first = ("linear",) if verb == "train" else ()
    call = getattr(sercache, verb)
    with pytest.raises(
        SercacheError, match="nowhere"
    ):  # it comes as far as asking where workers are to be had
        call(*first, encoder="logmel", dataset="demo", **how)
    corpus = Corpus("here", "1", own_settings, demo.INFO, ())
    with pytest.raises(SettingsError, match="sends names to workers"):
        call(*first, encoder="logmel", dataset=corpus, **how)
