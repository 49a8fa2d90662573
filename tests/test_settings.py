"""Flags, then environment, then file, then default; and what was used can be told."""

from __future__ import annotations

from pathlib import Path

import pytest

from sercache import settings
from sercache.errors import SettingsError


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"SERCACHE_CONFIG": str(tmp_path / "config.toml")}


def test_order_of_sources(environment: dict[str, str], tmp_path: Path) -> None:
    known = settings.load(environment)
    assert known.value("device").source == "default"
    settings.change(known, {"device": "cpu", "roots.iemocap": str(tmp_path)})
    known = settings.load(environment)
    assert (known.value("device").value, known.value("device").source) == (
        "cpu",
        environment["SERCACHE_CONFIG"],
    )
    assert known.root("iemocap") == settings.Setting(str(tmp_path), environment["SERCACHE_CONFIG"])
    known = settings.load({**environment, "SERCACHE_DEVICE": "cuda", "SERCACHE_ROOT_IEMOCAP": "/x"})
    assert known.value("device") == settings.Setting("cuda", "SERCACHE_DEVICE")
    assert known.root("iemocap") == settings.Setting("/x", "SERCACHE_ROOT_IEMOCAP")
    assert known.value("device", "mps") == settings.Setting("mps", "flag")
    assert known.root("ravdess") is None


def test_an_empty_value_removes(environment: dict[str, str]) -> None:
    known = settings.change(settings.load(environment), {"device": "cpu"})
    settings.change(known, {"device": ""})
    assert settings.load(environment).value("device").source == "default"


def test_checkpoints_have_names_of_their_own(environment: dict[str, str], tmp_path: Path) -> None:
    settings.change(settings.load(environment), {"encoders.wenet-v1.0": str(tmp_path), "roots.a": "/a"})
    known = settings.change(settings.load(environment), {"roots.a": ""})
    assert settings.load(environment).encoders == known.encoders == {"wenet-v1.0": str(tmp_path)}
    settings.change(known, {"encoders.wenet-v1.0": ""})
    assert settings.load(environment).encoders == {}


def test_awkward_paths_survive_the_file(environment: dict[str, str]) -> None:
    awkward = '/data/"quoted"\\and = [odd] # name\ttab é'
    settings.change(settings.load(environment), {"cache": awkward, "roots.my corpus": awkward})
    known = settings.load(environment)
    assert known.value("cache").value == awkward
    assert known.roots["my corpus"] == awkward


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("cache = [", "cannot read"),
        ("cash = 'x'", "did you mean cache"),
        ("cache = 3", "string"),
        ("roots = 3", "table"),
    ],
)
def test_files_that_cannot_be_used(environment: dict[str, str], content: str, message: str) -> None:
    Path(environment["SERCACHE_CONFIG"]).write_text(content)
    with pytest.raises(SettingsError, match=message):
        settings.load(environment)


@pytest.mark.parametrize("key", ["cashe", "roots.", "roots"])
def test_unknown_keys(environment: dict[str, str], key: str) -> None:
    with pytest.raises(SettingsError, match="unknown setting"):
        settings.change(settings.load(environment), {key: "x"})


@pytest.mark.parametrize("device", ["gpu", "cuda:x", "cuda:99", "cpu:a"])
def test_devices_that_are_not_here(device: str) -> None:
    with pytest.raises(SettingsError):
        settings.resolve_device(device)


@pytest.mark.parametrize("key", ["cache", "roots.mine", "roots.m\udce9"])
def test_a_name_that_is_no_text_is_not_written(environment: dict[str, str], key: str) -> None:
    """It was, and no command could read the file from then on."""
    before = settings.change(settings.load(environment), {"runs": "/r"})
    assert before.file is not None
    content = before.file.read_bytes()
    with pytest.raises(SettingsError, match=r"\\udce9.* cannot be written to .*not UTF-8; make a link"):
        settings.change(before, {key: "/d\udce9r"})
    assert before.file.read_bytes() == content


def test_auto_device_is_one_that_works() -> None:
    assert settings.resolve_device("auto") in ("cpu", "cuda", "mps")
    assert settings.resolve_device("cpu:0") == "cpu", "torch copies between the two"


# No home and no account: containers, jobs of a cluster


@pytest.fixture
def no_home(monkeypatch: pytest.MonkeyPatch) -> None:
    import pwd

    def nobody(uid: object) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    monkeypatch.setattr(pwd, "getpwnam", nobody)
    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "SERCACHE_CONFIG", "SERCACHE_CACHE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(RuntimeError):
        Path.home()


def test_without_a_home_what_is_given_is_enough(no_home: None, tmp_path: Path) -> None:
    known = settings.load({"SERCACHE_RUNS": "r", "SERCACHE_ROOT_EMODB": "e"})
    assert known.file is None
    assert known.value("cache", tmp_path).value == str(tmp_path)
    assert (known.value("runs").value, known.value("device").value) == ("r", "auto")
    assert known.root("emodb") == settings.Setting("e", "SERCACHE_ROOT_EMODB")
    with pytest.raises(SettingsError, match=r"HOME is not set .* give --cache FOLDER or set SERCACHE_CACHE"):
        known.value("cache")
    with pytest.raises(SettingsError, match=r"HOME is not set .* set SERCACHE_CONFIG"):
        settings.change(known, {"device": "cpu"})


def test_a_home_that_is_not_there_is_named(no_home: None) -> None:
    import sercache
    from sercache import api, encoders

    known = settings.load({"SERCACHE_CACHE": "~/cache", "SERCACHE_ROOT_EMODB": "~bob/emodb"})
    for use in (
        lambda: known.value("cache"),
        lambda: known.root("emodb"),
        lambda: encoders.identify("~/model"),
        lambda: sercache.open_store("~/store"),
        lambda: api.read_corpus("emodb", "~/emodb"),
        lambda: settings.load({"SERCACHE_CONFIG": "~/config.toml"}),
    ):
        with pytest.raises(SettingsError, match="begins with the home folder of a user, and there is none"):
            use()


def test_a_configuration_with_a_mark_in_front(environment: dict[str, str]) -> None:
    Path(environment["SERCACHE_CONFIG"]).write_bytes(b"\xef\xbb\xbf" + b'device = "cpu"\n')
    assert settings.load(environment).value("device").value == "cpu"
