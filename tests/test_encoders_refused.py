"""Checkpoints that are none, point elsewhere, or are made up: one line that sends the user the right way."""

from __future__ import annotations

import builtins
import json
import os
import shutil
from pathlib import Path
from typing import Any

import encoder_helpers as tiny
import huggingface_hub
import pytest
import torch
import transformers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from sercache import encoders
from sercache.encoders import _modules, _schema
from sercache.errors import EncoderError, MissingExtraError, SercacheError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tiny.tiny_model("hubert-base"), tmp_path_factory.mktemp("whole"))


@pytest.fixture(scope="module")
def whole_whisper(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.tiny_whisper(tmp_path_factory.mktemp("whisper"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "checkpoint"))


def refused(name: str | Path, **options: Any) -> str:
    """The one line of ``load``."""
    with pytest.raises(SercacheError) as caught:
        encoders.load(str(name), **options)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


def change(folder: Path, name: str, **changes: Any) -> None:
    settings_there = json.loads((folder / name).read_text())
    (folder / name).write_text(json.dumps(settings_there | changes))


# Files that lie elsewhere


@pytest.mark.parametrize(
    "name", ["../x.safetensors", "/etc/x.safetensors", "sub/x.safetensors", "..\\x", "C:\\x"]
)
def test_an_index_names_files_beside_it_alone(folder: Path, name: str) -> None:
    shutil.move(folder / "model.safetensors", folder.parent / "x.safetensors")
    tensors = load_file(folder.parent / "x.safetensors")
    index = {"metadata": {}, "weight_map": dict.fromkeys(tensors, name)}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    message = refused(folder)
    assert "expected names of files beside it" in message
    assert repr(name) in message


@pytest.mark.parametrize("name", ["model.safetensors", "config.json", "preprocessor_config.json"])
def test_a_link_out_of_a_local_folder_is_refused(folder: Path, name: str) -> None:
    shutil.move(folder / name, folder.parent / name)
    (folder / name).symlink_to(folder.parent / name)
    assert f"{name} is a link out of the checkpoint's folder" in refused(folder)
    (folder / name).unlink()
    shutil.move(folder.parent / name, folder / f"real-{name}")
    (folder / name).symlink_to(f"real-{name}")  # within the folder a link is as good as a file
    encoders.load(str(folder))


def test_the_links_of_the_hub_cache_are_its_own(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = tmp_path / "hub" / "models--some--model"
    (home / "blobs").mkdir(parents=True)
    snapshot = home / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    for path in whole.iterdir():
        shutil.copy(path, home / "blobs" / f"blob-{path.name}")
        (snapshot / path.name).symlink_to(os.path.relpath(home / "blobs" / f"blob-{path.name}", snapshot))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert encoders.load(str(snapshot)).identity["revision"] is None
    # A cache that was copied without its refs says which revisions it has, and takes them.
    message = refused("some/model")
    assert message.endswith(f"holds the commits {COMMIT}; give --revision {COMMIT}")
    assert encoders.load("some/model", revision=COMMIT).identity["revision"] == COMMIT
    (home / "blobs" / "blob-model.safetensors").unlink()
    assert "is a link to" in refused("some/model", revision=COMMIT)


def test_a_broken_link_is_called_one(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(folder / "gone.safetensors")
    assert "model.safetensors is a link to" in refused(folder)
    (folder / "config.json").unlink()
    (folder / "config.json").symlink_to("gone.json")
    assert "config.json is a link to gone.json, which is not there" in refused(folder)


# What people take for a checkpoint


def test_weights_saved_with_what_wrapped_them(folder: Path, whole_whisper: Path, tmp_path: Path) -> None:
    for source, its in (
        (folder, ""),
        (Path(shutil.copytree(whole_whisper, tmp_path / "w")), "model.encoder."),
    ):
        path = source / "model.safetensors"
        save_file({f"module.{k}": v for k, v in load_file(path).items()}, path, metadata={"format": "pt"})
        message = refused(source)
        assert f"under names that begin with 'module.{its}'" in message
        assert "model.module.save_pretrained" in message
        assert "corrupt" not in message


def test_a_name_that_is_no_text_is_not_laid_to_the_weights(folder: Path, tmp_path: Path) -> None:
    """They were called damaged."""
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/d\xe9r"))
    try:
        shutil.copytree(folder, odd)
    except (OSError, shutil.Error):
        pytest.skip("the names of this disk are UTF-8")
    assert "name are not UTF-8, which loaders of weights need; make a link" in refused(odd)
    (tmp_path / "link").symlink_to(odd)
    assert encoders.load(str(tmp_path / "link")).states


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("num_attention_heads", 5, "embed_dim must be divisible by num_heads"),
        ("hidden_act", "gleu", "KeyError 'gleu'"),
        ("num_conv_pos_embedding_groups", 7, "divisible by groups"),
    ],
)
def test_a_configuration_of_no_model_is_not_laid_to_the_weights(
    folder: Path, name: str, value: Any, says: str
) -> None:
    change(folder, "config.json", **{name: value})
    said = refused(folder)
    assert said.startswith(f"{folder}/config.json describes no hubert (")
    assert says in said


@pytest.mark.parametrize("kind", [torch.int8, torch.bool, torch.float8_e4m3fn])
def test_weights_that_are_no_plain_numbers_are_refused(folder: Path, kind: torch.dtype) -> None:
    """They were taken as they stood, without the scales that belong to them."""
    tensors = load_file(folder / "model.safetensors")
    name = next(name for name in tensors if name.endswith("q_proj.weight"))
    save_file(tensors | {name: tensors[name].to(kind)}, folder / "model.safetensors", {"format": "pt"})
    assert f"holds {name} as " in refused(folder)
    torch.save(tensors | {name: tensors[name].to(kind)}, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()
    assert f"holds {name} as {str(kind).removeprefix('torch.')}, expected floating" in refused(folder)


@pytest.mark.parametrize("kind", [torch.float64, torch.float16, torch.bfloat16])
def test_weights_of_any_plain_type_are_taken(folder: Path, kind: torch.dtype) -> None:
    tensors = {name: each.to(kind) for name, each in load_file(folder / "model.safetensors").items()}
    counted = {"encoder.n_seen": torch.tensor(3)}
    save_file(tensors | counted, folder / "model.safetensors", {"format": "pt"})
    assert encoders.load(str(folder)).states


def test_objects_beside_tensors_are_not_loaded(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"trainer": Path("/")}, folder / "pytorch_model.bin")
    assert "holds more than tensors" in refused(folder)


def test_an_index_without_metadata_is_named(folder: Path) -> None:
    (folder / "model.safetensors").rename(folder / "model-00001-of-00001.safetensors")
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {"a": "model-00001-of-00001.safetensors"}}))
    assert refused(folder).startswith(f"{index} has no object 'metadata'")


def test_an_adapter_is_no_checkpoint(folder: Path) -> None:
    (folder / "config.json").rename(folder / "kept")
    (folder / "adapter_config.json").write_text(
        json.dumps({"base_model_name_or_path": "facebook/hubert-base"})
    )
    assert "is a PEFT adapter of facebook/hubert-base, not a whole model" in refused(folder)
    (folder / "kept").rename(folder / "config.json")
    (folder / "model.safetensors").rename(folder / "adapter_model.safetensors")
    assert "holds no weights" in refused(folder)
    assert "found adapter_model.safetensors (a PEFT adapter alone)" in refused(folder)


@pytest.mark.parametrize(
    "name", ["tf_model.h5", "flax_model.msgpack", "checkpoint_best.pt", "weights.safetensors"]
)
def test_weights_of_another_kind_are_named(folder: Path, name: str) -> None:
    (folder / "model.safetensors").rename(folder / name)
    assert f"found {name}" in refused(folder)


# Python modules that are missing


@pytest.mark.parametrize(
    ("module", "package"), [("_cffi_backend", "cffi"), ("librosa.filters", "librosa"), ("yaml", "pyyaml")]
)
def test_a_missing_module_is_named_and_the_checkpoint_not_blamed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: str, package: str
) -> None:
    def broken(*args: object, **options: object) -> None:
        try:
            raise ModuleNotFoundError(f"No module named '{module}'", name=module)
        except ModuleNotFoundError as fault:  # as transformers' lazy imports do
            raise RuntimeError("Failed to import transformers.models.hubert, look up to see") from fault

    monkeypatch.setattr(transformers.AutoModel, "from_pretrained", broken)
    with pytest.raises(MissingExtraError) as caught:
        encoders.load(str(folder))
    assert f"needs the Python module {module}, which is not installed; pip install {package}" in str(
        caught.value
    )
    assert "get the file again" not in str(caught.value)


def test_a_module_that_is_missing_before_anything_is_read(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any, **options: Any) -> Any:
        if name == "sercache.encoders.hf_speech._encoder":
            raise ModuleNotFoundError("No module named 'soxr'", name="soxr")
        return real(name, *args, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(MissingExtraError, match="checkpoint needs the Python module soxr"):
        encoders.load(str(folder))


@pytest.mark.parametrize(
    ("fault", "says"),
    [
        (ImportError(""), "a Python module that cannot be imported (the library does not say which)"),
        (ImportError("\nX requires the librosa library but\nit was not found"), "module librosa"),
        (
            OSError("libsndfile.so.1: cannot open shared object file: No such file"),
            "system library libsndfile.so.1",
        ),
        (OSError("Error no file named x"), None),
        (ValueError("No module named 'x'"), None),
        (KeyError("x"), None),
    ],
)
def test_what_is_missing_is_read_from_what_libraries_say(fault: Exception, says: str | None) -> None:
    found = _modules.missing(fault)
    assert found is None if says is None else says in str(found)


# Numbers that no model has

_WRONG = [10**8, -1, 0, "3", 2.5, True, [], float("nan")]


@pytest.mark.parametrize("value", [*_WRONG, None, [3, 3]], ids=str)
@pytest.mark.parametrize("name", ["num_hidden_layers", "hidden_size"])
def test_a_made_up_number_is_refused_before_anything_is_built(folder: Path, name: str, value: Any) -> None:
    change(folder, "config.json", **{name: value})
    message = refused(folder)
    shown = "null" if value is None else repr(value)
    assert f"config.json: {name} is {shown}, expected" in message
    with pytest.raises(EncoderError, match=name):
        encoders.identify(str(folder))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(
            ("conv_stride", value)
            for value in ([0] * 7, [10**9] * 7, [10**5] * 7, [5, 2], "5", [], [1.5] * 7, None)
        ),
        *(("conv_kernel", value) for value in ([0] * 7, [-3] * 7)),
        *(("num_attention_heads", value) for value in (0, -2, "x")),
        *(("layer_norm_eps", value) for value in (float("nan"), -1.0, 0, "x", None)),
        *(("vocab_size", value) for value in (10**12, -1)),
        ("num_conv_pos_embedding_groups", 0),
        ("intermediate_size", 10**12),
        ("model_type", ["hubert"]),
    ],
    ids=str,
)
def test_settings_that_make_no_model(folder: Path, name: str, value: Any) -> None:
    change(folder, "config.json", **{name: value})
    assert f"config.json: {name} is" in refused(folder)


@pytest.mark.parametrize("value", [*_WRONG, None, 10**9], ids=str)
@pytest.mark.parametrize("name", ["sampling_rate", "hop_length", "n_fft", "feature_size"])
def test_a_made_up_number_of_a_feature_extractor(
    whole_whisper: Path, tmp_path: Path, name: str, value: Any
) -> None:
    folder = Path(shutil.copytree(whole_whisper, tmp_path / "whisper"))
    change(folder, "preprocessor_config.json", **{name: value})
    assert f"preprocessor_config.json: {name} is" in refused(folder)


def test_more_layers_than_the_weights_can_hold(folder: Path) -> None:
    change(folder, "config.json", num_hidden_layers=900)
    assert "describes 900 layers of width 32, more than the" in refused(folder)
    change(folder, "config.json", num_hidden_layers=4)
    assert "lacks 16 tensors" in refused(folder)


def test_other_shapes_are_called_so(folder: Path) -> None:
    change(folder, "config.json", intermediate_size=49)
    assert "holds tensors of other shapes than config.json describes" in refused(folder)


@pytest.mark.parametrize("content", ["[" * 100_000, '{"a":' * 100_000, "\xff", "nan"])
def test_json_that_cannot_be_read(folder: Path, content: str) -> None:
    (folder / "config.json").write_text(content, encoding="latin-1")
    assert "config.json" in refused(folder)


VALUE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(st.characters(codec="utf-8"), max_size=4),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
NAME = st.sampled_from(
    [
        "num_hidden_layers",
        "d_model",
        "conv_stride",
        "conv_kernel",
        "layer_norm_eps",
        "sampling_rate",
        "model_type",
    ]
)


@given(st.dictionaries(NAME | st.text(max_size=8), VALUE, max_size=4))
@settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_any_configuration_is_taken_or_refused_in_one_line(config: dict[str, Any]) -> None:
    refusals = []
    for check in (_schema.check_config, _schema.check_extractor):
        try:
            check(config, Path("config.json"))
        except EncoderError as fault:
            refusals.append(str(fault))
    assert all(line.startswith("config.json: ") and "\n" not in line and len(line) < 300 for line in refusals)
