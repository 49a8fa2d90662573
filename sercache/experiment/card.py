"""Cards of what is pushed to the hub: what it is, whose, and how it is read. All of it follows from what is sent."""

from __future__ import annotations

import string
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from sercache import advice, stores
from sercache.datasets import Corpus
from sercache.record import HEADLINE, NAMES, Report, Summary
from sercache.stores import FeatureSpec
from sercache.units import duration, size

_SIZES = ((10**3, "n<1K"), (10**4, "1K<n<10K"), (10**5, "10K<n<100K"), (10**6, "100K<n<1M"))

_STORE = string.Template("""# $title

$what

| | |
|---|---|
$rows

The recordings are not in it. $labels

## Reading it

$reading

With [sercache](https://pypi.org/project/sercache), which checks every checksum on arrival and trains heads from it:

```sh
$pull
$train
```
""")
_ZARR = string.Template("""It is a plain Zarr v3 group:

```python
import zarr

group = zarr.open("$place", mode="r")
means = group["pooled_mean"][0]  # (states, $dim) of the first utterance
$frames```
""")
_ZARR_FRAMES = """start, n = group["frame_start"][0], group["n_frames"][0]
frames = group["frames"][:, start : start + n]  # (states, frames, dim)
"""
_HDF5 = string.Template("""It is HDF5, a file per commit:

```python
import h5py

with h5py.File("$place/$file") as file:
    means = file["pooled_mean"][0]  # (states, $dim) of the first utterance
```
""")
_RUN = string.Template("""# $title

$what

| | |
|---|---|
$rows

$notes

```sh
$pull
$predict
```
""")


def of_store(
    folder: Path, repo: str, licence: str, corpus: Corpus | None, n_bytes: int, place: str = "."
) -> str:
    """The card of a store; ``place`` is what its code opens. Raises StoreError."""
    spec, entries = stores.read_spec(folder), stores.open(folder).entries().values()
    seconds = sum(each.n_samples for each in entries) / spec.sample_rate
    kind = (
        f"sequences in {spec.dtype}, means and deviations"
        if spec.frames
        else "means and deviations over time"
    )
    length = "" if spec.is_text else f", {duration(seconds)} of audio"
    title = corpus.info.title if corpus is not None and not corpus.info.own else spec.corpus
    about = {
        "encoder": f"{spec.shown} ({_weights(spec)})",
        "corpus": f"{title}, release {spec.release or '-'}",
        "states": f"{' '.join(spec.states)}, D = {spec.dim}",
        "kept": f"{kind}; clip rule {spec.sound}",
        "frames": "word pieces" if spec.is_text else f"{spec.sample_rate / spec.hop:g} a second",
        "entries": f"{len(entries)}{length}, {size(n_bytes)}",
        "digest": spec.digest,
    }
    if corpus is not None and not corpus.info.own:
        about |= {"licence of the corpus": corpus.info.licence, "the recordings": corpus.info.access}
    header = {
        "license": licence,
        "pretty_name": f"{spec.corpus} by {spec.shown}",
        "viewer": False,
        "task_categories": ["audio-classification"],
        "size_categories": [_magnitude(len(entries))],
        "tags": [
            "sercache",
            "speech-emotion-recognition",
            "features",
            stores.read_format(folder),
            *_tags(spec),
        ],
        **({"language": languages} if (languages := _languages(corpus)) else {}),
        "sercache": {"digest": spec.digest, "states": list(spec.states), "dim": spec.dim, "clip": spec.clip},
    }
    return _headed(header) + _STORE.substitute(
        title=f"{spec.corpus} by {spec.shown}",
        what=f"Hidden states of {spec.shown} for {len(entries)} entries of {spec.corpus}, as sercache extracts them: "
        "those of an utterance alone, whatever shared its batch.",
        rows=_rows(about),
        labels=_labels(corpus),
        reading=_reading(folder, spec, place),
        pull=advice.command("pull", repo),
        train=advice.command("train", head="linear", store="STORE"),
    )


def of_run(report: Report, repo: str, licence: str) -> str:
    """The card of a run folder: what was trained, how it was judged and what came out."""
    title = report.title
    about = {
        "head": f"{report.head}, {report.n_parameters} parameters",
        "features": f"{report.features['spec']['encoder']}, states {' '.join(report.features['states'])}",
        "corpus": f"{report.corpus['name']} {report.corpus['release']}".rstrip()
        + f", task {report.corpus['task']}, {report.corpus['n_utterances']} utterances",
        "classes": ", ".join(report.classes or report.targets),
        "protocol": f"{report.setup['protocol']}, {len(report.folds)} folds, seeds "
        f"{', '.join(map(str, report.seeds))}",
        "normalisation": report.normalisation,
        "selection": report.selection,
        "scores are": report.estimand(HEADLINE),
        **{NAMES[name]: _score(found) for name, found in report.summary.items() if name in NAMES},
    }
    header = {
        "license": licence,
        "library_name": "sercache",
        "pipeline_tag": "audio-classification",
        "tags": ["sercache", "speech-emotion-recognition", report.head],
    }
    notes = "\n".join(f"- {each}" for each in (*report.deviations, *report.notes)) or "No remarks."
    what = f"Heads that sercache trained: one for each of {len(report.runs)} trainings (fold x seed)."
    return _headed(header) + _RUN.substitute(
        title=title,
        what=what,
        rows=_rows(about),
        notes=notes,
        pull=advice.command("pull", repo),
        predict=advice.command("predict", "RUN", "recording.wav"),
    )


def _headed(header: Mapping[str, Any]) -> str:
    return f"---\n{yaml.safe_dump(dict(header), sort_keys=False, allow_unicode=True)}---\n\n"


def _rows(about: Mapping[str, object]) -> str:
    return "\n".join(f"| {name} | {_cell(value)} |" for name, value in about.items())


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|")


def _score(found: Summary) -> str:
    told = found.score(HEADLINE)
    spread = "" if told.std is None else f" ± {told.std:.4f}"
    return f"{told.mean:.4f}{spread}"


def _weights(spec: FeatureSpec) -> str:
    identity = spec.identity
    words = [str(identity.get("source", "no weights"))]
    if identity.get("revision"):
        words.append(f"revision {identity['revision']}")
    if identity.get("weights_sha256"):
        words.append(f"weights sha256 {identity['weights_sha256']}")
    return ", ".join(words)


def _tags(spec: FeatureSpec) -> list[str]:
    return list(dict.fromkeys([spec.corpus, spec.shown, str(spec.identity.get("family", ""))]))


def _magnitude(n: int) -> str:
    return next((name for bound, name in _SIZES if n < bound), "n>1M")


def _languages(corpus: Corpus | None) -> list[str]:
    found = {u.language.split("-")[0] for u in corpus.utterances} if corpus else set()
    return sorted(found - {""})


def _labels(corpus: Corpus | None) -> str:
    if corpus is None:
        return "Nor are labels: it was made before stores carried the table of their corpus."
    counts = Counter(u.raw_label for u in corpus.utterances if u.raw_label)
    classes = ", ".join(
        f"{label} {n}" for label, n in sorted(counts.items(), key=lambda each: (-each[1], each[0]))[:20]
    )
    has_texts = any(u.transcript for u in corpus.utterances)
    words = "transcripts as texts" if has_texts else "no texts (digests of transcripts where there are some)"
    return (
        "`ledger/corpus.jsonl` holds what is known of its utterances: labels as published, label maps by task, "
        f"speakers, groups, official parts; {words}. {len(corpus.utterances)} utterances: "
        f"{_cell(classes or 'no labels')}."
    )


def _reading(folder: Path, spec: FeatureSpec, place: str) -> str:
    if stores.read_format(folder) == "zarr":
        return _ZARR.substitute(
            place=place, dim=spec.dim, frames=_ZARR_FRAMES if spec.frames else ""
        ).rstrip()
    first = min(path.relative_to(folder).as_posix() for path in (folder / "shards").glob("*.h5"))
    return _HDF5.substitute(place=place, file=first, dim=spec.dim).rstrip()
