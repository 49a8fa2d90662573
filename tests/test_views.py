from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_store import FakeStore
from hypothesis import given, settings
from hypothesis import strategies as st
from store_helpers import fill, make_spec

from sercache import stores
from sercache.errors import DamagedStoreError, MissingFeaturesError, SettingsError, UnknownNameError
from sercache.views import (
    FeatureView,
    JoinedView,
    Scaling,
    beside,
    global_scaling,
    open_view,
    speaker_scaling,
    statistics,
)


def random_store(
    lengths: list[int], n_layers: int = 2, dim: int = 3, seed: int = 0, **kind: str
) -> FakeStore:
    rng = np.random.default_rng(seed)
    scale, shift = rng.uniform(0.5, 3, (n_layers, 1, dim)), rng.normal(size=(n_layers, 1, dim)) * 5
    frames = {
        f"u{k}": (rng.normal(size=(n_layers, n, dim)) * scale + shift).astype(np.float32)
        for k, n in enumerate(lengths)
    }
    return FakeStore(frames, **kind)


def view_of(store: FakeStore, frames: bool = False, **options: object) -> FeatureView:
    labels = {id: k % 2 for k, id in enumerate(dict.fromkeys(i.partition("#")[0] for i in store.ids()))}
    return open_view(store, labels, **{"states": "all", "frames": frames, **options})  # type: ignore[arg-type]


def whole(view: FeatureView) -> np.ndarray:
    """Frames of all items one after another: (L, F, D) float64."""
    x, mask = view.batch(np.arange(len(view)))
    return np.concatenate([item[:, real].numpy() for item, real in zip(x, mask, strict=True)], axis=1).astype(
        np.float64
    )


lengths = st.lists(st.integers(1, 12), min_size=1, max_size=8)


@settings(max_examples=40, deadline=None)
@given(lengths, st.integers(0, 1000))
def test_statistics_are_those_of_all_frames_laid_end_to_end(lengths: list[int], seed: int) -> None:
    store = random_store(lengths, seed=seed)
    frames = np.concatenate(list(store.frames.values()), axis=1).astype(np.float64)
    mean, std = statistics(view_of(store))
    np.testing.assert_allclose(mean, frames.mean(1), rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(std, frames.std(1), rtol=1e-5, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(lengths, st.integers(0, 1000))
def test_globally_scaled_frames_have_mean_0_and_deviation_1(lengths: list[int], seed: int) -> None:
    lengths = [*lengths, 7, 5]
    view = view_of(random_store(lengths, seed=seed), frames=True)
    frames = whole(view.scaled(global_scaling(view)))
    np.testing.assert_allclose(frames.mean(1), 0, atol=2e-5)
    np.testing.assert_allclose(frames.std(1), 1, atol=2e-5)


def test_scaled_means_use_the_frame_statistics() -> None:
    store = random_store([4, 9, 2])
    view = view_of(store)
    frames = np.concatenate(list(store.frames.values()), axis=1).astype(np.float64)
    expected = (store.frames["u1"].mean(1) - frames.mean(1)) / frames.std(1)
    x, mask = view.scaled(global_scaling(view)).batch([1])
    assert x.shape == (1, 2, 1, 3)
    assert mask.tolist() == [[True]]
    np.testing.assert_allclose(x[0, :, 0], expected, rtol=1e-4, atol=1e-5)


def test_global_scaling_does_not_see_the_test_part() -> None:
    store = random_store([5, 6, 7, 8])
    before = global_scaling(view_of(store).subset(["u0", "u1"]))
    store.frames["u3"] = store.frames["u3"] + 100
    after = global_scaling(view_of(store).subset(["u0", "u1"]))
    assert np.array_equal(before.mean, after.mean)
    assert np.array_equal(before.std, after.std)
    moved = global_scaling(view_of(store).subset(["u0", "u3"]))
    assert not np.allclose(before.mean, moved.mean)


def test_speaker_scaling_is_exact_for_each_speaker() -> None:
    view = view_of(random_store([5, 6, 7, 8]), frames=True)
    speakers = {"u0": "a", "u1": "b", "u2": "a", "u3": "b"}
    scaled = view.scaled(speaker_scaling(view, speakers))
    for own in (["u0", "u2"], ["u1", "u3"]):
        frames = whole(scaled.subset(own))
        np.testing.assert_allclose(frames.mean(1), 0, atol=2e-5)
        np.testing.assert_allclose(frames.std(1), 1, atol=2e-5)


def test_speaker_scaling_needs_speakers() -> None:
    view = view_of(random_store([5, 6]))
    with pytest.raises(SettingsError, match=r"1 of 2 utterances have no speaker, first: u1"):
        speaker_scaling(view, {"u0": "a", "u1": ""})


def test_an_utterance_without_statistics_is_refused() -> None:
    view = view_of(random_store([5, 6]))
    with pytest.raises(SettingsError, match="1 utterances have no normalisation statistics, first: u1"):
        view.scaled(Scaling(np.zeros((1, 2, 3)), np.ones((1, 2, 3)), {"u0": 0}))


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_a_constant_feature_is_not_blown_up_by_rounding(dtype: str) -> None:
    frames = {f"u{k}": np.full((1, 4, 2), 0.1 + 0.2 * k, np.float32) for k in range(2)}
    for x in frames.values():
        x[..., 1] = 12.3456789
    view = view_of(FakeStore(frames, dtype=dtype), frames=True)
    x = view.scaled(global_scaling(view)).batch([0, 1])[0].numpy()
    assert np.abs(x).max() < 5


def test_the_noise_of_int8_is_that_of_the_largest_value() -> None:
    """A feature that stays as it is, beside one that goes up and down: its rounding is not blown up."""
    rng = np.random.default_rng(0)
    frames = {f"u{k}": np.full((1, 50, 2), 0.1, np.float32) for k in range(2)}
    for x in frames.values():
        x[..., 1] = 20 + rng.random(50)
    view = view_of(FakeStore(frames, dtype="int8"), frames=True)
    x = view.scaled(global_scaling(view)).batch([0, 1])[0].numpy()
    assert np.abs(x).max() < 5


def test_normalising_replaces_an_earlier_normalisation() -> None:
    view = view_of(random_store([5, 6, 4]))
    scaling = global_scaling(view)
    once, twice = view.scaled(scaling), view.scaled(Scaling(scaling.mean + 1, scaling.std)).scaled(scaling)
    assert torch.equal(once.batch([0, 2])[0], twice.batch([0, 2])[0])


@pytest.mark.parametrize("frames", [False, True])
def test_batches_are_the_stored_features(frames: bool) -> None:
    store = random_store([4, 9, 2])
    view = view_of(store, frames)
    x, mask = view.batch(np.array([2, 1]))
    assert (x.dtype, mask.dtype) == (torch.float32, torch.bool)
    for item, real, id in zip(x, mask, ("u2", "u1"), strict=True):
        stored = store.frames[id] if frames else store.frames[id].mean(1, keepdims=True)
        np.testing.assert_allclose(item[:, real].numpy(), stored, rtol=1e-5, atol=1e-6)
        assert not item[:, ~real].any()
    assert mask.sum(1).tolist() == view.n_frames[[2, 1]].tolist() == ([2, 9] if frames else [1, 1])


def test_padding_stays_zero_when_scaled() -> None:
    view = view_of(random_store([2, 9]), frames=True)
    x, mask = view.scaled(global_scaling(view)).batch([0, 1])
    assert not x[0][:, ~mask[0]].any()


def test_a_batch_is_fresh_memory() -> None:
    view = view_of(random_store([4, 5]))
    before = view.batch([0, 1])[0].clone()
    view.batch([0, 1])[0].fill_(7)
    assert torch.equal(view.batch([0, 1])[0], before)


def test_states_are_selected_in_order() -> None:
    store = random_store([4], n_layers=3)
    view = view_of(store, states="3,1")
    assert view.states == ("1", "3")
    np.testing.assert_allclose(view.batch([0])[0][0, :, 0], store.frames["u0"].mean(1)[[0, 2]], rtol=1e-5)
    with pytest.raises(UnknownNameError):
        view_of(store, states="4")


def test_blocks_are_those_of_the_encoder_not_of_the_store() -> None:
    store = random_store([4], n_layers=2, encoder_states=("1", "2", "3"))
    assert view_of(store, states="all").states == ("1", "2")
    with pytest.raises(MissingFeaturesError, match=r"holds states 1 2; 'blocks' also needs 3"):
        view_of(store, states="blocks")


def test_max_frames_cuts_the_head_and_leaves_the_statistics() -> None:
    store = random_store([10, 3])
    view = view_of(store, True, max_frames=4)
    assert view.n_frames.tolist() == [4, 3]
    x, _ = view.batch([0])
    np.testing.assert_array_equal(x[0], store.frames["u0"][:, :4])
    np.testing.assert_array_equal(statistics(view)[0], statistics(view_of(store))[0])


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_frames_are_read_once_where_they_fit_and_again_where_not(dtype: str) -> None:
    store = random_store([10, 3, 5], dtype=dtype)
    n_bytes = 18 * 2 * 3 * (2 if dtype == "float16" else 4)
    kept, streamed = (view_of(store, True, budget=b) for b in (n_bytes, n_bytes - 1))
    assert kept.plan.bytes == n_bytes
    assert (kept.plan.in_memory, streamed.plan.in_memory) == (True, False)
    counts = []
    for view in (kept, streamed):
        store.n_reads = 0
        first = view.batch([0, 2, 0])[0]
        assert torch.equal(first, view.subset(["u2", "u0"]).batch([1, 0, 1])[0])
        counts.append(store.n_reads)
    assert counts == [2, 4]
    assert "kept in memory" in str(kept.plan)
    assert "streamed" in str(streamed.plan)


@pytest.mark.parametrize("inference", [False, True])
def test_several_threads_stream_what_one_gives(inference: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    store = random_store([10, 3, 5, 8, 1], dtype="float16")
    kept, streamed = (view_of(store, True, budget=b) for b in (10**9, 0))
    scaling = speaker_scaling(kept, {f"u{k}": "ab"[k % 2] for k in range(5)})
    monkeypatch.setattr("sercache.machine.cores", lambda: 3)
    with torch.inference_mode(inference):
        for view, other in ((kept, streamed), (kept.scaled(scaling), streamed.scaled(scaling))):
            for rows in ([3], [0, 2, 0, 4, 1], [4, 4, 4, 4]):
                for ours, expected in zip(other.batch(rows), view.batch(rows), strict=True):
                    assert torch.equal(ours, expected)
    assert torch.equal(streamed.source.stored([2, 0, 2, 1]), kept.source.stored([2, 0, 2, 1]))


def test_a_fault_of_any_thread_that_streams_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    store = random_store([2] * 6)
    view = view_of(store, True, budget=0)
    monkeypatch.setattr("sercache.machine.cores", lambda: 3)
    read = store.read

    def failing(id: str, states: list[str] | None = None) -> np.ndarray:
        if id == "u3":
            raise DamagedStoreError("u3 is damaged")
        return read(id, states)

    monkeypatch.setattr(store, "read", failing)
    with pytest.raises(DamagedStoreError, match="u3 is damaged"):
        view.batch(range(6))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "int8"])
def test_what_lies_in_the_map_of_a_file_is_streamed_as_what_is_read(tmp_path: Path, dtype: str) -> None:
    """The second epoch copies nothing on its way, says no word of it, and leaves the file as it was."""
    lengths = {f"u{k}": 3 + 5 * k for k in range(6)}
    fill(tmp_path, lengths, "zarr", make_spec(dtype=dtype))
    store = stores.open(tmp_path)
    view = open_view(store, dict.fromkeys(lengths, 0), states="all", frames=True, budget=0, max_frames=20)
    before = {path: path.read_bytes() for path in tmp_path.glob("frames/c.*")}
    for _ in range(3):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            x, mask = view.batch(range(6))
        for k, id in enumerate(lengths):
            expected = torch.tensor(store.read(id).astype(np.float32))[:, :20]
            assert torch.equal(x[k][:, mask[k]], expected)
            assert not x[k][:, ~mask[k]].any()
    assert {path: path.read_bytes() for path in before} == before


def test_subsets_share_the_source_and_keep_labels_and_normalisation() -> None:
    view = view_of(random_store([4, 5, 6]))
    view = view.scaled(speaker_scaling(view, {"u0": "a", "u1": "b", "u2": "a"}))
    part = view.subset(["u2", "u1"])
    assert part.source is view.source
    assert part.utterance_ids == ["u2", "u1"]
    assert part.labels.tolist() == [0, 1]
    assert torch.equal(part.batch([0, 1])[0], view.batch([2, 1])[0])
    with pytest.raises(MissingFeaturesError, match="1 of 2 utterances are not in this view, first: u9"):
        view.subset(["u0", "u9"])


def test_clips_belong_to_their_utterance_in_order() -> None:
    x = np.zeros((1, 2, 3), np.float32)
    names = ["a#10", *(f"a#{k}" for k in range(10)), "b#0"]
    view = view_of(FakeStore({name: x + k for k, name in enumerate(names)}, clip="split:5"))
    assert view.utterance_ids == ["a"] * 11 + ["b"]
    assert view.entry_ids == [*(f"a#{k}" for k in range(11)), "b#0"]
    assert view.labels.tolist() == [0] * 11 + [1]
    assert view.subset(["a"]).batch([10])[0].flatten()[0] == 0


def test_an_id_with_a_hash_is_no_clip_without_splitting() -> None:
    store = FakeStore({"a#1": np.zeros((1, 2, 3), np.float32)})
    assert open_view(store, {"a#1": 0}, states="all", frames=False).utterance_ids == ["a#1"]


def test_missing_utterances_are_counted_with_a_remedy() -> None:
    store = random_store([4, 5])
    labels = dict.fromkeys(["u0", "x1", "x2"], 0)
    expected = "2 of 3 utterances have no features, first: x1; `sercache info "
    with pytest.raises(MissingFeaturesError, match=expected):
        open_view(store, labels, states="all", frames=False)
    with pytest.raises(MissingFeaturesError, match="first: x1; do this"):
        open_view(store, labels, states="all", frames=False, remedy="do this")


def test_a_missing_clip_is_missing_features_unless_it_was_skipped() -> None:
    x = np.zeros((1, 2, 3), np.float32)
    store = FakeStore({"a#0": x, "a#2": x}, clip="split:5")
    with pytest.raises(MissingFeaturesError, match="1 of 1 utterances"):
        open_view(store, {"a": 0}, states="all", frames=False)
    assert len(open_view(store, {"a": 0}, states="all", frames=False, skipped=["a#1"])) == 2


def test_settings_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(SettingsError, match="means only"):
        view_of(random_store([4], frames=False), frames=True)
    with pytest.raises(SettingsError, match="at least 1, got 0"):
        view_of(random_store([4]), frames=True, max_frames=0)
    with pytest.raises(SettingsError, match="at least one utterance"):
        statistics(view_of(random_store([4])).subset([]))


def test_joined_views_read_as_one() -> None:
    one, two = (view_of(random_store(n, seed=k), frames=True) for k, n in enumerate(([4, 9], [2, 6, 3])))
    joined = JoinedView((one, two))
    assert (len(joined), joined.n_layers, joined.dim) == (5, 2, 3)
    assert joined.labels.tolist() == [0, 1, 0, 1, 0]
    assert joined.n_frames.tolist() == [4, 9, 2, 6, 3]
    x, mask = joined.batch(np.array([3, 0, 4]))
    assert mask.sum(1).tolist() == [6, 4, 3]
    assert torch.equal(x[0], two.batch([1])[0][0])
    assert torch.equal(x[1, :, :4], one.batch([0])[0][0])
    assert not x[1, :, 4:].any()


def test_joined_views_need_one_shape() -> None:
    views = tuple(view_of(random_store([4], dim=d)) for d in (3, 4))
    with pytest.raises(SettingsError, match="same states and size"):
        JoinedView(views)


def test_statistics_over_several_views_are_those_of_their_union() -> None:
    store = random_store([4, 5, 6, 7])
    view = view_of(store)
    apart = statistics(view.subset(["u0", "u3"]), view.subset(["u1", "u2"]))
    for got, expected in zip(apart, statistics(view), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-12)


def test_statistics_do_not_depend_on_the_size_of_their_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    view = view_of(random_store([4, 5, 6, 7, 2]))
    expected = statistics(view)
    monkeypatch.setattr("sercache.views.scaling._CHUNK_BYTES", 1)
    for got, want in zip(statistics(view), expected, strict=True):
        np.testing.assert_allclose(got, want, rtol=1e-12)


def test_numbers_go_with_their_items() -> None:
    store = random_store([3, 4, 5])
    ids = store.ids()
    numbers = {id: (k / 4, 1.0) for k, id in enumerate(ids)}
    view = open_view(store, numbers, states="all", frames=True)
    assert view.targets is not None
    assert view.targets.dtype == np.float32
    swapped = view.subset([ids[2], ids[0]])
    np.testing.assert_array_equal(swapped.targets, [[0.5, 1], [0, 1]])
    np.testing.assert_array_equal(JoinedView((swapped, view)).targets, [[0.5, 1], [0, 1], *view.targets])
    with pytest.raises(SettingsError, match="the same targets, or classes"):
        JoinedView((view, view_of(store)))


def test_inputs_lie_side_by_side() -> None:
    one = view_of(random_store([3, 4, 5]), frames=True)
    two = view_of(random_store([2, 9, 1], n_layers=1, dim=5), frames=True)
    assert beside([one]) is one
    both = beside([one, two])
    assert (both.n_layers, both.dim) == ((one.n_layers, 1), (one.dim, 5))
    np.testing.assert_array_equal(both.n_frames, [3, 9, 5])
    (x1, x2), (mask1, mask2) = both.batch(np.array([1, 0]))
    torch.testing.assert_close(x1, one.batch([1, 0])[0])
    torch.testing.assert_close(x2, two.batch([1, 0])[0])
    assert (mask1.sum(1).tolist(), mask2.sum(1).tolist()) == ([4, 3], [9, 2])
    np.testing.assert_array_equal(both.labels, one.labels)
    with pytest.raises(SettingsError, match="input 2 has 2 items and the first has 3"):
        beside([one, two.subset(two.utterance_ids[:2])])
