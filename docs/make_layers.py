"""Writes docs/layers.ipynb: runs its cells on real speech and keeps what they print and draw.

SERCACHE_REAL_DATA=FOLDER python docs/make_layers.py

FOLDER holds ``emodb/wav`` and a Hugging Face folder ``whisper-tiny-en``.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import make_example

CELLS = [
    (
        "markdown",
        "# Which layer holds emotion?\n\n"
        "EMO-DB (Burkhardt et al. 2005, distributed as CC0) in four classes, and the encoder of Whisper tiny.en. The folders "
        "`emodb` and `whisper-tiny-en` lie beside this notebook; put yours in their places. Folds leave one speaker out.",
    ),
    (
        "code",
        "import sercache\n\n"
        'quiet = {"progress": False}\n'
        'corpus = sercache.read_corpus("emodb", "emodb")\n'
        'whisper = sercache.load_encoder("whisper-tiny-en", device="cpu")\n'
        'store = sercache.extract(whisper, corpus, cache="cache", task="4class", pooled_only=True, **quiet)\n'
        'print(len(store.ids()), "utterances, states", *store.spec.states)',
    ),
    (
        "markdown",
        "The same architecture with random weights is the floor: what a network gives that has never heard speech.",
    ),
    (
        "code",
        "import shutil\n\nimport torch\nfrom transformers import WhisperConfig, WhisperModel\n\n"
        "torch.manual_seed(0)\n"
        'WhisperModel(WhisperConfig.from_pretrained("whisper-tiny-en")).save_pretrained("random")\n'
        'shutil.copyfile("whisper-tiny-en/preprocessor_config.json", "random/preprocessor_config.json")\n'
        'untrained = sercache.load_encoder("random", device="cpu")\n'
        'floor = sercache.extract(untrained, corpus, cache="cache", task="4class", pooled_only=True, **quiet)',
    ),
    (
        "markdown",
        "## A probe of every state\n\nLogistic regression on means over time, for each state by itself. One pass of each "
        "encoder has paid for all of it.",
    ),
    (
        "code",
        'about = {"task": "4class", "protocol": "leave-one-speaker-out", **quiet}\n'
        'probed = {\n    "pretrained": sercache.probe(whisper, corpus, store, runs="runs", **about),\n'
        '    "random weights": sercache.probe(untrained, corpus, floor, runs="runs", **about),\n}\n'
        'print(probed["pretrained"].table.text.partition("\\nnote")[0])',
    ),
    (
        "code",
        "import matplotlib.pyplot as plt\nimport numpy as np\n\n"
        'figure, axes = plt.subplots(figsize=(6, 3.2), layout="constrained")\n'
        "for name, each in probed.items():\n"
        '    found = {state: report.summary["ua"] for state, report in each.reports.items()}\n'
        "    mean = np.array([ua.seeds.mean for ua in found.values()])\n"
        "    ends = np.array([(ua.seeds_interval.low, ua.seeds_interval.high) for ua in found.values()])\n"
        "    bars = [mean - ends[:, 0], ends[:, 1] - mean]\n"
        '    axes.errorbar(list(found), mean, bars, capsize=3, marker="o", label=name)\n'
        'axes.axhline(0.25, color="grey", linewidth=0.8, linestyle=":")\n'
        'axes.set(xlabel="state", ylabel="UA, 95 % over 10 speakers", ylim=(0.2, 1))\n'
        "axes.legend(frameon=False);",
    ),
    (
        "markdown",
        "The dotted line is chance. Intervals of two states overlap although the same speakers are hard for both; the column "
        "*differs from best* of the table asks the paired question, corrected for all pairs.",
    ),
    (
        "markdown",
        "## One state, or all of them weighted?\n\n`linear` learns a weight for each state that it is given.",
    ),
    (
        "code",
        'how = {"task": "4class", "seeds": 3, "device": "cpu", **quiet}\n'
        'single = sercache.train("linear", store, corpus, states="3", name="state-3", runs="runs", **how)\n'
        'weighted = sercache.train("linear", store, corpus, states="blocks", name="weighted", runs="runs", **how)\n'
        'print(sercache.compare([single, weighted], metrics=["ua"]).table.text.partition("\\nnote")[0])',
    ),
    (
        "code",
        "shares = weighted.report.layer_weights()  # a row for each training\n"
        'mean = dict(zip("1234", shares.mean(0).round(3).tolist(), strict=True))\n'
        'print("mean over", len(shares), "trainings:", mean)',
    ),
    (
        "markdown",
        "A weight is no worth: block 2 has the largest share, block 3 the best score by itself. Neighbouring states say nearly "
        "the same, so that one can stand in for another. Nor can ten speakers tell one state and all of them apart here. And "
        "state 3 was taken because its score was seen on these very test speakers: before it is reported, it has to be "
        'chosen on dev parts (`sercache sweep --grid "states=1;2;3;4"`).',
    ),
]


def main() -> None:
    """Run the cells in a temporary folder that links to the data, and write the notebook beside this file."""
    data = Path(os.environ["SERCACHE_REAL_DATA"]).resolve()
    with tempfile.TemporaryDirectory() as folder:
        for name in ("emodb", "whisper-tiny-en"):
            (Path(folder) / name).symlink_to(data / name)
        make_example.write(CELLS, "layers.ipynb", Path(folder))


if __name__ == "__main__":
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")
    main()
