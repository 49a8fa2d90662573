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


def test_auto_device_is_one_that_works() -> None:
    assert settings.resolve_device("auto") in ("cpu", "cuda", "mps")
