"""The device is part of what names a store unless a family was shown to give equal features on it.

No card is needed: where the encoder says that it was loaded for one, it computes on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import Outcome

from sercache import encoders, stores
from sercache.encoders import _devices, logmel
from sercache.encoders._devices import BOUND, SHOWN, ShownEqual, with_device
from sercache.errors import SettingsError
from sercache.settings import resolve_device

Run = Callable[..., Outcome]


@pytest.fixture
def a_card(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine on which ``--device cuda`` can be named, and nothing was shown equal on it."""
    monkeypatch.setattr(_devices, "SHOWN", ())
    load = logmel.load

    def on_cpu(source: str, *, revision: str | None, device: str, precision: str) -> Any:
        return load(source, revision=revision, device="cpu", precision=precision)

    monkeypatch.setattr(logmel, "load", on_cpu)
    monkeypatch.setattr(
        "sercache.settings.resolve_device", lambda name: name if "cuda" in name else resolve_device(name)
    )


def test_what_was_shown_was_shown() -> None:
    assert all(0 < each.error <= BOUND and each.card for each in SHOWN)
    assert len({each.family for each in SHOWN}) == len(SHOWN)


def test_an_identity_names_the_device_where_it_may_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, half = {"family": "a"}, {"family": "a", "precision": "bfloat16"}
    assert with_device(plain, "cpu") == plain
    assert with_device(half, "cpu") == half
    assert with_device(plain, "cuda:1") == {**plain, "device": "cuda"}
    monkeypatch.setattr(_devices, "SHOWN", (ShownEqual("a", "a card", 1e-6),))
    assert with_device(plain, "cuda:1") == plain
    assert with_device(half, "cuda") == {**half, "device": "cuda"}, "half precision is never equal"
    assert with_device({"family": "b"}, "cuda") == {"family": "b", "device": "cuda"}
    assert encoders.without_device(with_device({"family": "b"}, "cuda")) == {"family": "b"}


def test_devices_of_two_kinds_are_refused_unless_they_are_shown_equal(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    identity = {"family": "a"}
    assert encoders.on_devices(identity, ["cpu", "cpu"]) == identity
    assert encoders.on_devices(identity, ["cuda:0", "cuda:1"]) == {**identity, "device": "cuda"}
    with pytest.raises(SettingsError, match=r"cpu and cuda.*one kind"):
        encoders.on_devices(identity, ["cuda:0", "cpu"])
    monkeypatch.setattr(_devices, "SHOWN", (ShownEqual("a", "a card", 1e-6),))
    assert encoders.on_devices(identity, ["cuda:0", "cpu"]) == identity


def extract(sercache: Run, manifest: Path, cache: Path, device: str) -> Outcome:
    given = ("--encoder", "logmel", "--dataset", "manifest", "--root", manifest, "--cache", cache)
    return sercache("extract", *given, "--pooled-only", "--device", device)


@pytest.mark.usefixtures("a_card", "own_settings")
def test_a_family_shown_equal_has_one_store_on_both(
    sercache: Run, manifest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_devices, "SHOWN", SHOWN)
    assert extract(sercache, manifest, tmp_path, "cpu").code == 0
    code, out, err = extract(sercache, manifest, tmp_path, "cuda")
    assert (code, "nothing to do" in out) == (0, True), err


@pytest.mark.usefixtures("a_card", "own_settings")
def test_stores_of_two_devices_stay_apart_and_name_each_other(
    sercache: Run, manifest: Path, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    code, _, err = extract(sercache, manifest, cache, "cpu")
    assert code == 0, err
    [(first, spec)] = stores.find(cache)
    assert "device" not in spec.identity
    code, out, err = extract(sercache, manifest, cache, "cuda")
    assert code == 0, err
    assert f"{first} has these features computed on cpu" in err
    assert "--device cpu continues that store" in err
    assert "copied" not in out, "features of another device are not taken for these"
    [second] = [path for path, _ in stores.find(cache) if path != first]
    assert stores.read_spec(second).identity["device"] == "cuda"
    code, out, err = extract(sercache, manifest, cache, "cuda:1")
    assert code == 0, err
    assert "nothing to do" in out, "a card is a card"
    assert "stay apart" not in err
    code, out, err = sercache("info", second)
    assert "--device cuda" in out
    code, out, err = sercache(
        "train", "--encoder", "logmel", "--dataset", "manifest", "--head", "linear", "--cache", cache
    )
    assert code == 2
    assert "different weights, settings or devices" in err


@pytest.mark.usefixtures("a_card", "own_settings")
def test_a_store_is_repaired_on_its_own_device(sercache: Run, manifest: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    assert extract(sercache, manifest, cache, "cuda").code == 0
    [(folder, _)] = stores.find(cache)
    shard = next(
        path for path in (folder / "pooled_mean").rglob("*") if path.is_file() and path.name != "zarr.json"
    )
    data = bytearray(shard.read_bytes())
    data[100] ^= 1
    shard.write_bytes(data)
    code, _, err = sercache("verify", folder, "--repair", "--device", "cpu")
    assert code != 0
    assert f"verify {folder} --repair --device cuda" in err.replace("\n", " "), err
    assert sercache("verify", folder, "--repair", "--device", "cuda").code == 0
