"""Names, checkpoints and identities: what cannot be loaded whole is refused in one line."""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import encoder_helpers as tiny
import huggingface_hub
import huggingface_hub.cli.download
import pytest
import torch
import transformers
from huggingface_hub.cli import hf
from safetensors.torch import load_file, save_file

from sercache import encoders, settings
from sercache.encoders import _names, _weight_files
from sercache.encoders._family import OwnsOnHub
from sercache.errors import SercacheError, UnknownNameError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.save(tiny.tiny_model("hubert-base"), tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole: Path, tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(whole, tmp_path / "checkpoint"))


@pytest.fixture
def hub(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A hub cache that holds some/model at COMMIT, and no network."""
    repository = tmp_path / "hub" / "models--some--model"
    shutil.copytree(whole, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    return repository


def refused(name: str | Path, **options: Any) -> str:
    """The one line with which both ``load`` and, where it looks as far, ``identify`` refuse."""
    with pytest.raises(SercacheError) as caught:
        encoders.load(str(name), **options)
    assert caught.value.exit_code == 2
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Names


def test_short_names_are_one_list_over_all_families() -> None:
    names = encoders.short_names()
    assert names["wavlm-large"] == ("hf-speech", "microsoft/wavlm-large")
    assert names["whisper-tiny.en"] == ("whisper", "openai/whisper-tiny.en")
    assert names["logmel"][0] == "logmel"
    owners = _names.families().values()
    assert len(names) == sum(len(family.SHORT_NAMES) for family in owners), "a name has two owners"
    assert not any("/" in name for name in names)


def test_every_hub_id_has_an_owner_and_a_name() -> None:
    for family in _names.families().values():
        for source in family.SHORT_NAMES.values():
            if not isinstance(family, OwnsOnHub):  # which may have folders of the user's too
                assert (source.count("/") == 1) is bool(family.MODEL_TYPES)


def test_an_unknown_name_lists_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="unknown encoder 'wavlm-larg'; did you mean wavlm-large"):
        encoders.load("wavlm-larg")
    with pytest.raises(UnknownNameError, match="did you mean hubert-base"):
        encoders.identify("hubert-bas")


@pytest.mark.parametrize("name", ["./nosuch", "/nosuch/model", "a/b/c", "~/nosuch-model"])
def test_a_path_that_is_not_there_is_not_taken_for_a_hub_id(name: str) -> None:
    assert "no such folder" in refused(name)


def test_a_file_is_not_taken_for_its_folder(folder: Path) -> None:
    assert "give the folder" in refused(folder / "model.safetensors")


def test_a_folder_goes_by_its_own_name(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    encoder = encoders.load(".")
    assert encoder.name == "checkpoint"
    assert encoder.identity["source"] == "local: checkpoint"
    assert encoder.identity["revision"] is None
    assert encoder.identity == encoders.identify(str(folder))


# The hub


def test_a_hub_id_is_found_in_the_cache_with_its_commit(hub: Path) -> None:
    encoder = encoders.load("some/model")
    assert encoder.name == "some/model"
    assert encoder.identity["source"] == "some/model"
    assert encoder.identity["revision"] == COMMIT
    assert encoder.identity == encoders.identify("some/model", revision=COMMIT)


def test_a_short_name_is_its_hub_id(hub: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from sercache.encoders import hf_speech

    monkeypatch.setitem(hf_speech.SHORT_NAMES, "shorty", "some/model")
    encoder = encoders.load("shorty")
    assert encoder.name == "shorty"
    assert encoder.identity == encoders.load("some/model").identity


@pytest.mark.parametrize("name", ["wavlm-large", "another/model"])
def test_without_a_network_it_is_said_what_to_do(hub: Path, name: str) -> None:
    message = refused(name)
    assert "cannot be downloaded" in message
    assert "hf download" in message
    assert "HF_HOME" in message


def test_a_revision_that_is_not_there_is_named(hub: Path) -> None:
    assert "some/model at revision v2" in refused("some/model", revision="v2")


def test_a_local_folder_has_no_revision(folder: Path) -> None:
    assert "has no --revision" in refused(folder, revision="main")


def test_files_that_lack_in_a_snapshot_are_to_be_had_by_the_command_that_is_advised(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = hub / "snapshots" / COMMIT
    shards = [f"model-0000{k}-of-00002.safetensors" for k in (1, 2)]
    (snapshot / "model.safetensors").unlink()
    where = dict(zip(("a", "b"), shards, strict=True))
    (snapshot / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": where}))
    words = shlex.split(re.findall("`(.+?)`", refused("some/model"))[0])
    assert words[:5] == ["hf", "download", "some/model", "--revision", COMMIT]
    assert words[5:] == [word for name in shards for word in ("--include", name)]
    asked = []
    monkeypatch.setattr(
        huggingface_hub.cli.download, "snapshot_download", lambda **found: asked.append(found) or str(hub)
    )
    with pytest.raises(SystemExit) as ended:
        hf.app(words[1:])
    assert ended.value.code in (0, None)
    assert (asked[0]["repo_id"], asked[0]["revision"]) == ("some/model", COMMIT)
    assert asked[0]["allow_patterns"] == shards


@pytest.mark.parametrize("name", ["voxtral-mini-3b", "mistralai/Voxtral-Mini-3B-2507"])
def test_of_a_language_model_only_the_index_is_advised_at_first(hub: Path, name: str) -> None:
    assert "run `hf download mistralai/Voxtral-Mini-3B-2507 --include '*.json'` where" in refused(name)


def test_a_half_downloaded_snapshot_is_noticed(hub: Path) -> None:
    (hub / "snapshots" / COMMIT / "model.safetensors").unlink()
    assert "holds no weights" in refused("some/model")


# Checkpoints that are not whole


def test_a_truncated_file_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])
    assert "model.safetensors cannot be loaded" in refused(folder)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.9])
def test_a_truncated_file_of_pytorch_is_no_fault_of_the_disk(folder: Path, share: float) -> None:
    path = folder / "pytorch_model.bin"
    torch.save(load_file(folder / "model.safetensors"), path)
    (folder / "model.safetensors").unlink()
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    assert "pytorch_model.bin cannot be loaded" in refused(folder)


def test_a_missing_tensor_is_never_made_up(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    gone = "encoder.layers.1.attention.k_proj.weight"
    save_file({k: v for k, v in tensors.items() if k != gone}, path, metadata={"format": "pt"})
    message = refused(folder)
    assert gone in message
    assert "model.safetensors lacks 1 tensors" in message


def test_a_tensor_of_another_shape_is_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    name = "encoder.layers.1.feed_forward.output_dense.weight"
    tensors[name] = tensors[name][:, :-1].contiguous()
    save_file(tensors, path, metadata={"format": "pt"})
    assert "model.safetensors" in refused(folder)


def test_values_that_are_not_finite_are_refused(folder: Path) -> None:
    path = folder / "model.safetensors"
    tensors = load_file(path)
    tensors["encoder.layers.2.final_layer_norm.weight"][3] = float("nan")
    save_file(tensors, path, metadata={"format": "pt"})
    assert "not finite, first in encoder.layers.2.final_layer_norm.weight" in refused(folder)


def test_weights_of_another_architecture_are_refused(folder: Path) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"model_type": "wavlm"}))
    assert "tensors of wavlm" in refused(folder)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda f: (f / "model.safetensors").unlink(), "holds no weights"),
        (lambda f: (f / "config.json").unlink(), "has no config.json"),
        (lambda f: (f / "config.json").write_text("{"), "cannot be read as JSON"),
        (lambda f: (f / "config.json").write_text("[]"), "holds no JSON object"),
        (lambda f: (f / "config.json").write_text("{}"), "model_type 'none', expected one of"),
        (lambda f: (f / "config.json").write_text('{"model_type": "resnet"}'), "resnet"),
        (
            lambda f: (f / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n"),
            "git lfs pull",
        ),
        (lambda f: (f / "model.safetensors").write_bytes(b""), "cannot be loaded"),
    ],
)
def test_a_folder_that_is_no_checkpoint_is_refused(folder: Path, spoil: Any, says: str) -> None:
    spoil(folder)
    assert says in refused(folder)


def test_a_missing_shard_is_named(folder: Path) -> None:
    model = transformers.AutoModel.from_pretrained(folder)
    (folder / "model.safetensors").unlink()
    model.save_pretrained(folder, max_shard_size="40KB")
    shards = sorted(folder.glob("model-*.safetensors"))
    assert len(shards) > 2
    assert encoders.load(str(folder)).states[-1] == "3"
    index = folder / "model.safetensors.index.json"
    kept = index.read_text()
    index.write_text('{"weight_map": {}}')
    assert "names no weight files" in refused(folder)
    index.write_text(kept)
    shards[1].unlink()
    assert f"{shards[1].name} is missing" in refused(folder)


def test_extra_tensors_and_unused_ones_are_no_fault(folder: Path) -> None:
    expected = encoders.load(str(folder))
    path = folder / "model.safetensors"
    tensors = load_file(path) | {"lm_head.weight": torch.zeros(3, 32)}
    save_file({k: v for k, v in tensors.items() if "masked_spec" not in k}, path, metadata={"format": "pt"})
    wave = [tiny.noise(3_000)]
    for name, packed in tiny.encode(encoders.load(str(folder)), wave).items():
        assert torch.equal(packed, tiny.encode(expected, wave)[name])


def old_torch_file(folder: Path) -> None:
    """As published in 2021: pytorch_model.bin with weight_g and weight_v."""
    names = {
        "parametrizations.weight.original0": "weight_g",
        "parametrizations.weight.original1": "weight_v",
    }
    tensors = load_file(folder / "model.safetensors")
    for new, old in names.items():
        tensors = {name.replace(new, old): tensor for name, tensor in tensors.items()}
    assert any(name.endswith("weight_g") for name in tensors)
    torch.save(tensors, folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def test_an_old_torch_file_with_the_old_weight_norm_loads(folder: Path) -> None:
    wave = [tiny.noise(3_000)]
    expected = tiny.encode(encoders.load(str(folder)), wave)
    old_torch_file(folder)
    encoder = encoders.load(str(folder))
    for name, packed in tiny.encode(encoder, wave).items():
        assert torch.equal(packed, expected[name])
    digest = hashlib.sha256((folder / "pytorch_model.bin").read_bytes()).hexdigest()
    assert encoder.identity["weights_sha256"] == digest


@pytest.mark.parametrize("content", [b"", b"not a torch file", b"PK\x03\x04" + b"\0" * 50])
def test_a_torch_file_that_cannot_be_read_is_refused(folder: Path, content: bytes) -> None:
    old_torch_file(folder)
    (folder / "pytorch_model.bin").write_bytes(content)
    said = refused(folder)
    assert "pytorch_model.bin cannot be loaded" in said
    assert "trust the source" not in said  # which torch advises


# Identities


def test_the_digest_is_of_the_bytes_of_the_weights(folder: Path) -> None:
    before = encoders.identify(str(folder))
    path = folder / "model.safetensors"
    assert before["weights_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    tensors = load_file(path)
    tensors["encoder.layer_norm.bias"][0] += 1
    save_file(tensors, path, metadata={"format": "pt"})
    after = encoders.identify(str(folder))
    assert after["weights_sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    assert before | {"weights_sha256": after["weights_sha256"]} == after != before


def test_the_digest_of_several_files_is_that_of_their_sorted_digests(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("b", "a")]
    for path in paths:
        path.write_text(path.name)
    lines = "\n".join(sorted(hashlib.sha256(name.encode()).hexdigest() for name in "ab"))
    expected = hashlib.sha256(lines.encode()).hexdigest()
    assert _weight_files.weights_sha256(paths) == _weight_files.weights_sha256(paths[::-1]) == expected


def test_settings_that_decide_numbers_are_part_of_an_identity(folder: Path) -> None:
    before = encoders.identify(str(folder))
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"transformers_version": "9", "dtype": "x"}))
    assert encoders.identify(str(folder)) == before
    (folder / "config.json").write_text(json.dumps(config | {"layer_norm_eps": 1e-3}))
    assert encoders.identify(str(folder))["config_sha256"] != before["config_sha256"]


def test_precision_is_named_where_it_changes_numbers(folder: Path) -> None:
    exact, rough = (encoders.load(str(folder), precision=p).identity for p in ("float32", "bfloat16"))
    assert "precision" not in exact
    assert rough == {**exact, "precision": "bfloat16"}


def test_a_preprocessor_inside_a_processor_file_is_read(folder: Path) -> None:
    settings = json.loads((folder / "preprocessor_config.json").read_text()) | {"do_normalize": False}
    (folder / "preprocessor_config.json").unlink()
    (folder / "processor_config.json").write_text(json.dumps({"feature_extractor": settings}))
    said = encoders.identify(str(folder))["preprocessing"]
    assert said == {"sample_rate": 16_000, "do_normalize": False, "from": "checkpoint"}


def test_loading_a_checkpoint_leaves_the_random_state_alone(folder: Path) -> None:
    torch.manual_seed(3)
    before = torch.get_rng_state()
    encoders.load(str(folder))
    assert torch.equal(torch.get_rng_state(), before)


def test_loading_says_nothing(folder: Path, capfd: pytest.CaptureFixture[str]) -> None:
    encoders.load(str(folder))
    assert capfd.readouterr() == ("", "")


def test_a_checkpoint_has_a_name_of_its_own(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``sercache config encoders.NAME=FOLDER`` serves papers whose checkpoints have no hub id."""
    monkeypatch.setenv("SERCACHE_CONFIG", str(tmp_path / "config.toml"))
    with pytest.raises(UnknownNameError, match="unknown encoder 'mine'"):
        encoders.load("mine")
    settings.change(settings.load(), {"encoders.mine": str(folder)})
    encoder = encoders.load("mine")
    assert encoder.name == "mine"
    assert dict(encoder.identity) == dict(encoders.identify(str(folder)))
