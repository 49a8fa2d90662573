"""Where a paper's text, its authors' code and a head differ: each published head has a record, and variants run."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from array_view import ArrayView, SideBySide, random_inputs
from conftest import Outcome

from sercache import catalog
from sercache.contracts.head import shape_of
from sercache.contracts.head_file import reads_its_paper
from sercache.errors import SettingsError
from sercache.evaluation.published import differences
from sercache.experiment.ready import chosen_settings
from sercache.experiment.setup import TrainOptions
from sercache.head import deciding_options, declared, options_of
from sercache.papers import Trial
from sercache.published import of_variant, plan, published_of, text_and_code
from sercache.readings import NO_CODE, NOT_SAID, Reading, Variant, changes, variants
from sercache.recipe import Recipe
from sercache.training import build, fit

Sercache = Callable[..., Outcome]


def module_of(name: str) -> ModuleType:
    found: ModuleType = catalog.load("sercache.heads", name)
    return found


PUBLISHED = [name for name in catalog.own_names("sercache.heads") if not declared(module_of(name)).baseline]
ON_OFFER = [(name, each) for name in PUBLISHED for each in variants(declared(module_of(name)).readings)]


def sides(reading: Reading) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a reading changes of the head's options, by the text and by the code."""
    both = ({}, {})
    for found, changed in zip(both, (reading.as_text, reading.as_code), strict=True):
        found.update({name[7:]: value for name, value in changed.items() if name.startswith("option ")})
    return both


def outputs(name: str, options: dict[str, Any]) -> torch.Tensor:
    """Of networks in evaluation, their weights drawn so that signs and layers count."""
    module = module_of(name)
    view = view_of(module, 6)
    head = build(module.Head, view, 4, 5, **{**declared(module).small, **options}).eval()
    found = []
    for seed in range(3):
        with torch.no_grad():
            for key, value in sorted(head.named_parameters()):
                drawn = torch.randn(
                    value.shape, generator=torch.Generator().manual_seed(100 * seed + len(key))
                )
                value.copy_(drawn / value[0].numel() ** 0.5 if value.dim() > 1 else drawn)
            found.append(head(*view.batch(np.arange(6))))
    return torch.cat(found)


def view_of(module: ModuleType, n_items: int) -> ArrayView | SideBySide:
    """What a head reads, with targets where it gives numbers."""
    shape = shape_of(module, 3, 48)
    return random_inputs(n_items, shape.n_layers, shape.dim, (9, 9), 4 if module.RECIPE.loss == "mse" else 0)


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_published_head_says_text_code_and_ours(name: str) -> None:
    module = module_of(name)
    readings = declared(module).readings
    assert readings
    assert not list(reads_its_paper(module))
    for each in readings:
        assert each.text, each.what
        assert each.ours, each.what
        assert (each.code == NO_CODE) == (not declared(module).code), each.what
        assert isinstance(each.outputs_differ, bool)


def test_an_entry_that_leaves_something_open_is_found() -> None:
    module = module_of("weighted-lstm")

    def faults(where: str = "here", **changed: Any) -> list[str]:
        whole: dict[str, Any] = {"what": "a", "text": "b", "code": "c", "ours": "d", **changed}
        made = {**vars(module), "READINGS": (Reading(**whole),), "CODE": where}
        return list(reads_its_paper(SimpleNamespace(**made)))  # type: ignore[arg-type]

    assert faults() == []
    assert "ours is ''" in faults(ours="")[0]
    assert "expected one line" in faults(text="b\nc")[0]
    assert "code is 'c', but CODE is ''" in faults(where="")[0]
    assert "is no field and no option" in faults(as_text={"lrr": 1})[0]
    assert "or why there is none" in faults(outputs_differ=True)[0]
    assert faults(outputs_differ=True, alone="it cannot be had") == []


@pytest.mark.parametrize("name", PUBLISHED)
def test_outputs_differ_where_the_record_says_so_and_nowhere_else(name: str) -> None:
    tried = 0
    for each in declared(module_of(name)).readings:
        text, code = sides(each)
        if not text and not code:
            continue
        by_text, by_code = outputs(name, text), outputs(name, code)
        same = by_text.shape == by_code.shape and torch.allclose(by_text, by_code, atol=1e-6)
        assert same != each.outputs_differ, each.what
        tried += 1
    has_options = any(
        name.startswith("option ") for name in changes(declared(module_of(name)).readings, "paper")
    )
    assert bool(tried) == has_options


@pytest.mark.parametrize(("name", "variant"), ON_OFFER)
def test_both_variants_are_built_and_train(name: str, variant: Variant) -> None:
    module = module_of(name)
    own = of_variant(module, variant, name)
    small = {**declared(module).small, **own.options}
    view = view_of(module, 12)
    recipe = dataclasses.replace(
        module.RECIPE, **{**own.recipe, "max_epochs": 1, "batch_size": 6, "select": "last-epoch", "patience": None,
                          "schedule": "constant", "balance": "none", "mixed_precision": False, "second_weight": 0.0},
    )  # fmt: skip
    head = build(module.Head, view, 4, 3, **small)
    before = {key: value.clone() for key, value in head.state_dict().items()}
    fitted = fit(head, view, None, recipe, seed=3)
    assert all(np.isfinite(each.train_loss) for each in fitted.history)
    assert any(not torch.equal(value, before[key]) for key, value in head.state_dict().items())


def test_a_variant_is_all_of_one_side_and_the_user_s_word_stands_above_it() -> None:
    module = module_of("weighted-lstm")
    paper, code = (of_variant(module, each, "weighted-lstm") for each in ("paper", "code"))
    assert paper.recipe == {"lr": 1e-3, "clip_value": None, "batch_size": 32}
    assert paper.options == {"variant": "paper", "relu_after_lstm": False}
    assert (code.setup, code.recipe["batch_size"]) == ({"normalise": "speaker"}, 16)
    recipe, options = chosen_settings(
        module, TrainOptions("weighted-lstm", variant="paper", settings=["lr=1"], head_options=["hidden=3"])
    )
    assert (recipe.lr, recipe.batch_size, recipe.clip_value) == (1.0, 32, None)
    assert options == {"variant": "paper", "relu_after_lstm": False, "hidden": 3}


def test_a_field_of_the_other_side_is_no_other_system_and_says_whose_it_is() -> None:
    module = module_of("weighted-lstm")
    published = published_of(module, module.SETUP)
    assert published is not None

    def told(options: dict[str, Any] | None = None, **changed: Any) -> list[str]:
        recipe = dataclasses.asdict(dataclasses.replace(module.RECIPE, **changed))
        return list(map(str, differences(published, module.SETUP, recipe, options or {})))

    assert told() == []
    assert told(lr=1e-3) == ["lr 0.001, as the paper's text, instead of 0.0001 (open in the paper)"]
    assert told({"relu_after_lstm": False}) == [
        "head option relu_after_lstm=no, as the paper's text, instead of yes (open in the paper)"
    ]
    assert told({"variant": "code"}) == [
        "head option variant=code, as the authors' code, instead of paper (open in the paper)"
    ]
    assert told(lr=2e-3) == ["lr 0.002 instead of 0.0001"], "of nobody's"
    own = of_variant(module, "paper", "weighted-lstm")
    whole = published_of(module, module.SETUP, dataclasses.replace(module.RECIPE, **own.recipe), own.options)
    assert whole is not None
    recipe = dataclasses.asdict(dataclasses.replace(module.RECIPE, **own.recipe))
    assert differences(whole, module.SETUP, recipe, {**options_of(module.Head), **own.options}) == []


def test_a_trial_is_planned_in_each_variant_and_named_apart() -> None:
    trial = Trial("cnn-lstm-attention", "hubert-large", "hume-prosody")
    plain, paper, code = (plan(trial, variant=each) for each in (None, "paper", "code"))
    assert plain.trial == trial
    assert paper.trial.options == {"variant": "paper", "final_relu": False}
    assert plain.digest != paper.digest != code.digest
    assert plan(dataclasses.replace(trial, variant="paper")).digest == paper.digest
    # What a row of a table is of stands above: it is what tells it from other rows.
    row = dataclasses.replace(trial, options={"final_relu": True}, setup={"seeds": (1,)})
    assert plan(row, variant="paper").trial.options == {"variant": "paper", "final_relu": True}
    baseline = Trial("linear", "hubert-large", "hume-prosody")
    assert plan(baseline, variant="paper").digest == plan(baseline).digest


@pytest.mark.parametrize(
    ("name", "variant", "why"),
    [
        ("linear", "paper", "it has no paper"),
        ("cta-rnn", "code", NO_CODE),
        ("layer-attention", "code", NO_CODE),
        ("superb", "paper", "differ in nothing that can be chosen"),
    ],
)
def test_a_variant_that_there_is_not_is_refused(name: str, variant: Variant, why: str) -> None:
    with pytest.raises(SettingsError, match=f"{name} has no variant {variant}: .*{why}"):
        of_variant(module_of(name), variant, name)


def test_options_that_came_later_name_no_other_training_at_their_defaults() -> None:
    for name in PUBLISHED:
        module = module_of(name)
        added = declared(module).added
        assert set(added) <= set(options_of(module.Head)), name
        assert not set(added) & set(deciding_options(module.Head, {})), name
        for each in added:
            other = {each: not options_of(module.Head)[each]}
            assert deciding_options(module.Head, other).items() >= other.items(), name


def test_the_record_is_shown_with_its_head(sercache: Sercache) -> None:
    code, out, err = sercache("heads", "weighted-lstm")
    assert code == 0, err
    for part in ("after the LSTM", 'a ReLU: what its "activation: relu" becomes', "outputs differ",
                 "github.com/habla-liaa/ser-with-w2v2", "--variant paper or code"):  # fmt: skip
        assert part in out
    out = sercache("heads", "cta-rnn").out
    assert NO_CODE in out
    assert "--variant" not in out
    assert "authors' code" not in sercache("heads", "linear").out


def test_what_several_heads_have_in_common_is_a_row_without_names() -> None:
    table = text_and_code(["weighted-dense", "weighted-lstm"])
    assert table is not None
    rows = {row[0]: row[1:] for row in table.rows}
    assert rows["learning rate"] == (
        "1e-3",
        "1e-4, in every configuration and stored model",
        "1e-4",
        "no",
        "paper",
    )
    assert "batch (weighted-lstm)" in rows
    assert "spectrogram (weighted-dense)" in rows
    assert text_and_code(["linear"]) is None
    one = text_and_code(["layer-attention"])
    assert one is not None
    kinds = {row[0]: row[4:] for row in one.rows}
    assert kinds["padding of the convolutions"] == ("open", "-")
    assert kinds["scale of the attention's scores"] == ("yes", "paper")
    assert [each.text for each in declared(module_of("layer-attention")).readings].count(NOT_SAID) > 3


def test_a_table_of_a_paper_has_the_record_below_and_runs_in_a_variant(sercache: Sercache) -> None:
    code, out, err = sercache("reproduce", "park2023", "table1", "--variant", "paper")
    assert code == 2
    assert "park2023 table1 has no variant paper: nothing is trained for it; leave --variant out" in err
    code, out, err = sercache("reproduce", "chen2022", "table3", "--variant", "code")
    assert code == 2
    assert "cta-rnn has none" in err
    code, out, err = sercache("reproduce", "pepino2021", "table2", "--variant", "paper")
    text = " ".join(out.split())
    assert "variant paper, weighted-lstm: normalise global, lr 0.001, clip value None, batch size 32" in text
    assert "Where the paper's text, its authors' code and ours differ" in text
    assert "table2.variant-paper.text-and-code.md" in out
    assert "table2.variant-paper.csv" in out


def test_recipes_stay_valid_in_every_variant() -> None:
    for name, variant in ON_OFFER:
        own = of_variant(module_of(name), variant, name)
        assert isinstance(dataclasses.replace(module_of(name).RECIPE, **own.recipe), Recipe)
        dataclasses.replace(module_of(name).SETUP, **own.setup)
