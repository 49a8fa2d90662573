"""What made a run, in words: features, folds, training, head and machine, a phrase for each setting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sercache.record import CrossCorpus, Report, counted

Words = list[tuple[str, str]]
"""What it is, and what was chosen."""
_DIGITS = 12
"""Of a digest that are shown."""
_KNOWN_SETUP = {
    "encoder", "dataset", "protocol", "states", "frames", "task", "clip", "normalise", "dev", "seeds", "beside",
    "test_on", "target", "finetune_from", "fold_seed", "max_frames", "duplicates",
}  # fmt: skip


def made_of(report: Report) -> dict[str, Words]:
    """Phrases by heading; what is not on record is left out."""
    parts = {
        "Corpus": _corpus(report.corpus),
        "Features": _features(report),
        "Folds and choice": _folds(report),
        "Head": _head(report),
        "Training": _training(report.recipe),
        "Before this training": _before(report),
        "Machine and time": _machine(report),
    }
    return {heading: words for heading, words in parts.items() if words}


def made_there(there: CrossCorpus) -> Words:
    """What was read of another corpus, and how."""
    spec = there.features.get("spec", {})
    encoder = [("encoder", str(spec["encoder"]))] if spec.get("encoder") else []
    return [*_corpus(there.corpus), *encoder, ("normalisation", there.normalisation)]


def _corpus(about: Mapping[str, Any]) -> Words:
    found = [
        ("corpus", f"{about['name']}, release {about['release'] or 'not known'}"),
        ("task", str(about["task"])),
    ]
    speakers = counted(about["n_speakers"], "speaker") if about["n_speakers"] else "speakers not known"
    found.append(("size", f"{counted(about['n_utterances'], 'utterance')}, {speakers}"))
    if counts := about.get("class_counts"):
        found.append(("classes", ", ".join(f"{name} {n}" for name, n in counts.items())))
    for name, what in (
        ("left_out", "left out"),
        ("skipped", "skipped"),
        ("warnings", "remarks of its reader"),
    ):
        if held := about.get(name):
            lines = [f"{key}: {why}" for key, why in held.items()] if isinstance(held, Mapping) else held
            found.append((what, _some(list(map(_text, lines)))))
    return found


def _features(report: Report) -> Words:
    found: Words = []
    inputs = [report.features, *report.features.get("beside", ())]
    for number, each in enumerate(inputs, start=1):
        spec = each.get("spec", {})
        identity = spec.get("identity", {})
        more = f" of input {number}" if len(inputs) > 1 else ""
        encoder = str(spec.get("encoder") or report.setup.get("encoder", ""))
        weights, revision = identity.get("weights_sha256"), identity.get("revision")
        known = [
            f"weights sha256 {str(weights)[:_DIGITS]}" if weights else "",
            f"revision {revision}" if revision else "",
        ]
        found.append((f"encoder{more}", "; ".join(filter(None, [encoder, *known]))))
        found.append((f"states{more}", _listed(each.get("states", ()))))
        kind = {"means": "means over time", "frames": "sequences of frames"}.get(str(each.get("kind")), "")
        size = f"{each['dim']} numbers each" if each.get("dim") else ""
        stored = f"stored as {spec['dtype']}" if spec.get("dtype") else ""
        rate = f"from sound at {spec['sample_rate']} Hz" if spec.get("sample_rate") else ""
        found.append((f"values{more}", ", ".join(filter(None, [kind, size, stored, rate]))))
        if spec.get("clip") or report.setup.get("clip"):
            clip = str(spec.get("clip") or report.setup["clip"])
            found.append(
                (f"recordings{more}", "whole, not cut" if clip == "none" else f"cut by the rule {clip}")
            )
    if boundary := report.setup.get("finetune_from"):
        found.append(("trained with the head", f"the encoder from state {boundary} on"))
    if most := report.setup.get("max_frames"):
        found.append(("longest sequence", f"{most} frames"))
    return [(name, text) for name, text in found if text]


def _folds(report: Report) -> Words:
    setup = report.setup
    found = [("protocol", f"{setup['protocol']}: {counted(len(report.folds), 'fold')}")]
    found.append(("seeds", _listed(report.seeds)))
    if setup.get("dev"):
        found.append(("dev part", "none" if setup["dev"] == "none" else f"by the rule {setup['dev']}"))
    found += [("epoch", report.selection), ("normalisation", report.normalisation)]
    if report.standardises not in (None, "none"):
        found.append(("inside the head", f"standardised, scope {report.standardises}"))
    if setup.get("duplicates"):
        found.append(("equal audio", str(setup["duplicates"])))
    if setup.get("target"):
        found.append(("target", str(setup["target"])))
    found += [
        (name.replace("_", " "), _text(value))
        for name, value in setup.items()
        if name not in _KNOWN_SETUP and value not in (None, "", [], ())
    ]
    return found


def _head(report: Report) -> Words:
    version = report.experiment.head_version if report.experiment else ""
    found = [("head", report.head + (f", version {version[:_DIGITS]}" if version else ""))]
    if report.head_file:
        found.append(("its file", report.head_file))
    found.append(("parameters", f"{report.n_parameters:,}"))
    return found + [(name.replace("_", " "), _text(value)) for name, value in report.options.items()]


_LOSSES = {"cross-entropy": "cross-entropy", "focal": "focal loss, gamma {focal_gamma}",
           "arcface": "ArcFace, scale {arc_scale}, margin {arc_margin}", "mse": "mean squared error",
           "ccc": "one less the concordance correlation"}  # fmt: skip
_SCHEDULES = {"cosine": "down to zero by a cosine", "exponential": "times {decay} after each epoch",
              "halve-on-plateau": "halved after {plateau_patience} epochs without a lower dev loss",
              "triangle": "zero in epoch 2, up to the middle, then down"}  # fmt: skip


def _training(recipe: Mapping[str, Any]) -> Words:
    """The recipe, without what does not apply; nothing of a head that is solved."""
    if not recipe:
        return [("solved", "its weights are computed, not trained")]
    known = _Known(recipe)
    loss = _LOSSES.get(str(recipe.get("loss")), str(recipe.get("loss"))).format_map(known)
    if recipe.get("label_smoothing"):
        loss += f", label smoothing {recipe['label_smoothing']:g}"
    rate = f"{recipe.get('optimiser', 'optimiser not known')}, learning rate {_text(recipe.get('lr'))}"
    if recipe.get("optimiser") in ("adam", "adamw"):
        rate += ", betas {beta1} and {beta2}, epsilon {eps}".format_map(known)
    if recipe.get("weight_decay"):
        rate += f", weight decay {recipe['weight_decay']:g}"
    schedule = _SCHEDULES.get(str(recipe.get("schedule")), "constant").format_map(known)
    found = [("loss", loss), ("optimiser", rate), ("learning rate over epochs", schedule)]
    found.append(("batches", _batches(recipe)))
    found.append(("epochs", _epochs(recipe)))
    clips = [f"elements to {recipe['clip_value']:g}" if recipe.get("clip_value") else "",
             f"norm to {recipe['clip_norm']:g}" if recipe.get("clip_norm") else ""]  # fmt: skip
    if any(clips):
        found.append(("gradients are cut", ", ".join(filter(None, clips))))
    if recipe.get("balance", "none") != "none":
        found.append(("classes are balanced by", str(recipe["balance"]).replace("-", " ")))
    if recipe.get("second_weight"):
        found.append(("second target", f"share {recipe['second_weight']:g} of the loss"))
    if recipe.get("mixed_precision"):
        found.append(("precision", "bfloat16 autocast on CUDA"))
    return found


class _Known(dict[str, Any]):
    """Values of a recipe as text; a question mark for what older runs do not say."""

    def __missing__(self, key: str) -> str:
        return "?"


def _batches(recipe: Mapping[str, Any]) -> str:
    text = f"{_text(recipe.get('batch_size'))} utterances"
    if recipe.get("accumulate", 1) != 1:
        text += f", {recipe['accumulate']} of them for an update"
    return text + (f", sorted by length within {recipe['bucket']}" if recipe.get("bucket", 1) != 1 else "")


def _epochs(recipe: Mapping[str, Any]) -> str:
    text = f"at most {_text(recipe.get('max_epochs'))}"
    if recipe.get("patience") is not None:
        on = "a lower dev loss" if recipe.get("stop_on") == "dev-loss" else "a better dev score"
        text += f"; stops after {recipe['patience']} without {on}"
    return text


def _before(report: Report) -> Words:
    found = [("also trained on", ", ".join(each["name"] for each in report.also_trained))]
    found += [("begins with", str(each)) for each in report.started_from]
    found += [("encoder", str(each)) for each in report.encoders_trained]
    return [(name, text) for name, text in found if text]


def _machine(report: Report) -> Words:
    about, timing = report.environment, report.timing
    where = filter(None, (str(about.get(name, "")) for name in ("device", "device_name", "platform")))
    found = [("device", ", ".join(where)), ("Python", str(about.get("python", "")))]
    packages = about.get("packages", {})
    found.append(("packages", ", ".join(f"{name} {version}" for name, version in packages.items())))
    if about.get("threads"):
        found.append(("threads", str(about["threads"])))
    found.append(("begun", str(timing.get("started", ""))))
    if timing.get("seconds") is not None:
        found.append(("took", f"{timing['seconds']:.0f} s for {counted(len(report.runs), 'training')}"))
    found.append(("repeatable", str(about.get("repeatable", ""))))
    return [(name, text) for name, text in found if text]


def _listed(values: Any) -> str:
    return ", ".join(map(str, values))


def _some(lines: list[str], n: int = 5) -> str:
    more = f"; {len(lines) - n} more" if len(lines) > n else ""
    return "; ".join(lines[:n]) + more


def _text(value: Any) -> str:
    """A value for people: no brackets, no quotes."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(each)}" for name, each in value.items()) or "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(_text, value)) or "none"
    return str(value)
