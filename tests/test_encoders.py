"""One contract for every encoder family: alone or in any company, the features are the same."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import encoder_helpers as tiny
import numpy as np
import pytest
import torch
from families import BOUND, CHECKPOINTS, COMPUTED, KEEPS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sercache import catalog, encoders
from sercache.errors import AudioError, EncoderError

_loaded: dict[str, Any] = {}


@pytest.fixture(params=[*CHECKPOINTS, *COMPUTED])
def encoder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    name = request.param
    if name not in _loaded:
        _loaded[name] = encoders.load(source(name, tmp_path_factory))
    return _loaded[name]


def source(name: str, tmp_path_factory: pytest.TempPathFactory) -> str:
    if name in CHECKPOINTS:
        return str(CHECKPOINTS[name][1](tmp_path_factory.mktemp(name)))
    if name.startswith("egemaps"):
        pytest.importorskip("opensmile", reason="the extra sercache[opensmile] is not installed")
    return name


def test_the_contract_is_held_by_every_family() -> None:
    families = {short: family for short, (family, _) in encoders.short_names().items()}
    tested = {family for family, _ in CHECKPOINTS.values()} | {families[name] for name in COMPUTED}
    tested.add("text")  # takes words, not waves: test_encoders_text.py
    assert tested == set(catalog.names("sercache.encoders"))


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True
)  # fmt: skip
@given(data=st.data())
def test_company_changes_nothing(encoder: Any, data: st.DataObject) -> None:
    longest = min(encoder.max_samples or 24_000, 24_000)
    lengths = data.draw(
        st.lists(
            st.one_of(st.just(encoder.min_samples), st.integers(encoder.min_samples, longest)),
            min_size=2,
            max_size=4,
        )
    )
    waves = [tiny.noise(n, seed) for seed, n in enumerate(lengths)]
    together = tiny.encode(encoder, waves)
    n_frames = [encoder.n_frames(n) for n in lengths]
    for wave, k in zip(waves, range(len(waves)), strict=True):
        for name, alone in tiny.encode(encoder, [wave]).items():
            company = together[name].split(n_frames)[k]
            assert tiny.error(company, alone) <= BOUND, (name, lengths, k)


@pytest.mark.parametrize(
    "keeps",
    KEEPS,
)
def test_the_contract_is_kept(encoder: Any, keeps: Callable[[Any], Iterator[str]]) -> None:
    assert list(keeps(encoder)) == []


def test_a_message_says_what_will_do(encoder: Any) -> None:
    if encoder.max_samples is not None:
        with pytest.raises(AudioError, match="--clip split:"):
            encoder.encode([tiny.noise(encoder.max_samples + 1)])
    if encoder.min_samples > 1:
        with pytest.raises(AudioError, match=rf"needs {encoder.min_samples} "):
            encoder.encode([tiny.noise(5_000), tiny.noise(encoder.min_samples - 1)])


def test_a_state_outlives_the_next_one(encoder: Any) -> None:
    waves = [tiny.noise(6_000)]
    kept = list(encoder.encode(waves))
    for (_, late), early in zip(kept, tiny.encode(encoder, waves).values(), strict=True):
        assert torch.equal(late, early)


def test_an_identity_is_plain_json_and_is_known_without_the_weights(
    encoder: Any, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    assert json.loads(json.dumps(encoder.identity)) == encoder.identity
    name = request.node.callspec.params["encoder"]
    if name in COMPUTED:
        assert encoders.identify(name) == encoder.identity
    else:
        again = source(name, tmp_path_factory)
        found = encoders.identify(again)
        assert found["weights_sha256"] == encoder.identity["weights_sha256"]
        assert found == {**encoder.identity, "source": f"local: {Path(again).name}"}
    assert encoder.identity["family"] in catalog.names("sercache.encoders")
    assert encoder.identity["revision"] is None


@pytest.mark.parametrize("name", ["logmel", "demo-wavlm"])
def test_loading_leaves_the_random_state_alone(name: str) -> None:
    torch.manual_seed(3)
    np.random.seed(3)  # noqa: NPY002 - it is the global state that is watched
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    encoders.load(name)
    encoders.identify(name)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"precision": "float8"}, "unknown precision 'float8'"),
        ({"device": "cuda:99"}, "cannot be used"),
        ({"device": "tpu"}, "cannot be used"),
        ({"device": "mps"}, "run on cpu or cuda"),
        ({"revision": "main"}, "no --revision"),
    ],
)
def test_options_that_cannot_be_had_are_refused(options: dict[str, str], says: str) -> None:
    with pytest.raises(EncoderError, match=says) as caught:
        encoders.load("demo-wavlm", **options)
    assert "\n" not in str(caught.value)
