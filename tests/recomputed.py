"""What a finished run prints, computed again from its predictions.csv alone, by scikit-learn, scipy and numpy.

Nothing of sercache is imported here: it reads the files that a user has. Tables are those of the page (HTML) and of
``--format csv``; each gives the numbers that it should hold, in the words in which people see them.
"""

from __future__ import annotations

import csv
import html
import itertools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import optimize, stats
from sklearn import metrics

N_DRAWS, N_BINS, LEAST = 1000, 15, 1e-12
Score = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True)
class Said:
    """What a run said: an entry for each utterance, fold and seed."""

    fold: np.ndarray
    seed: np.ndarray
    id: np.ndarray
    speaker: np.ndarray
    true: np.ndarray
    """(R,) classes, or (R, C) numbers."""
    predicted: np.ndarray
    chances: np.ndarray
    """(R, C); of no columns where numbers are predicted."""
    names: list[str]
    """Of classes or targets."""

    def only(self, which: np.ndarray) -> Said:
        """Some of the entries, by a mask or by places."""
        own = (self.fold, self.seed, self.id, self.speaker, self.true, self.predicted, self.chances)
        return Said(*(each[which] for each in own), names=self.names)

    @property
    def by_seed(self) -> list[Said]:
        """Entries of each seed, in the order of the file."""
        return [self.only(self.seed == seed) for seed in dict.fromkeys(self.seed.tolist())]

    @property
    def by_fold(self) -> list[Said]:
        """Entries of each fold, in the order of the file."""
        return [self.only(self.fold == fold) for fold in dict.fromkeys(self.fold.tolist())]


def read(path: Path) -> Said:
    """A file of predictions."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    columns = {name: np.array([row[name] for row in rows]) for name in ("fold", "seed", "id", "speaker")}
    names = [name[2:] for name in rows[0] if name.startswith("p:")]
    if names:
        place = {name: k for k, name in enumerate(names)}
        true, predicted = (np.array([place[row[what]] for row in rows]) for what in ("true", "predicted"))
    else:
        names = [name.removeprefix("true:") for name in rows[0] if name.startswith("true:")]
        true, predicted = (
            np.array([[float(row[f"{what}:{name}"]) for name in names] for row in rows])
            for what in ("true", "predicted")
        )
    chances = np.array([[float(value) for key, value in row.items() if key.startswith("p:")] for row in rows])
    return Said(columns["fold"], columns["seed"].astype(int), columns["id"], columns["speaker"], true, predicted,
                chances, names)  # fmt: skip


def _hits(true: np.ndarray, predicted: np.ndarray) -> list[tuple[int, int, int]]:
    """Of each class that is true or predicted: how often it is true, predicted, and both."""
    classes = np.unique([true, predicted])
    return [
        ((true == k).sum(), (predicted == k).sum(), ((true == k) & (predicted == k)).sum()) for k in classes
    ]


def ua(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean recall over the classes that are true."""
    return float(np.mean([both / n for n, _, both in _hits(true, predicted) if n]))


def macro_f1(true: np.ndarray, predicted: np.ndarray) -> float:
    """Mean F1 over the classes that are true or predicted."""
    return float(np.mean([2 * both / (n + called) for n, called, both in _hits(true, predicted)]))


def wa(true: np.ndarray, predicted: np.ndarray) -> float:
    """Share that is right."""
    return float(np.mean(true == predicted))


def agree_with_libraries(said: Said) -> None:
    """Raises AssertionError where the metrics above, which draws need fast, are not those of scikit-learn."""
    y, p = said.true, said.predicted
    found = metrics.recall_score(y, p, labels=np.unique(y), average="macro", zero_division=0)
    assert abs(ua(y, p) - found) < 1e-12
    assert abs(macro_f1(y, p) - metrics.f1_score(y, p, average="macro", zero_division=0)) < 1e-12
    assert abs(wa(y, p) - metrics.accuracy_score(y, p)) < 1e-12
    assert abs(log_loss(said) - metrics.log_loss(y, said.chances / said.chances.sum(1, keepdims=True))) < 1e-5


def _over_targets(each: Callable[[np.ndarray, np.ndarray], float]) -> Score:
    def mean(true: np.ndarray, predicted: np.ndarray) -> float:
        found = [each(t, p) for t, p in zip(true.T, predicted.T, strict=True)]
        return float(np.mean(np.nan_to_num(found)))

    return mean


def _ccc(true: np.ndarray, predicted: np.ndarray) -> float:
    """Lin 1989, from numpy's covariance matrix."""
    (vt, both), (_, vp) = np.cov(true, predicted, bias=True)
    return float(2 * both / (vt + vp + (true.mean() - predicted.mean()) ** 2))


OF_CLASSES: dict[str, Score] = {"WA": wa, "UA": ua, "macro F1": macro_f1}
OF_NUMBERS: dict[str, Score] = {
    "rho": _over_targets(lambda t, p: float(stats.spearmanr(t, p).statistic)),
    "CCC": _over_targets(_ccc),
    "MSE": _over_targets(lambda t, p: float(metrics.mean_squared_error(t, p))),
}


def scores_of(said: Said) -> dict[str, Score]:
    """The metrics of a run, by the name that tables show."""
    return OF_CLASSES if said.true.ndim == 1 else OF_NUMBERS


def mean_over_seeds(said: Said, score: Score) -> list[float]:
    """Of each seed, all folds pooled."""
    return [score(each.true, each.predicted) for each in said.by_seed]


def over_speakers(said: Said, value: Callable[[Said], float]) -> tuple[float, float] | None:
    """95 % percentile bootstrap of ``value``: speakers are drawn, each with all its rows; None from fewer than five."""
    speakers = np.unique(said.speaker)
    if len(speakers) < 5:
        return None
    rows = [np.flatnonzero(said.speaker == name) for name in speakers]
    draws = np.random.default_rng(0).integers(len(speakers), size=(N_DRAWS, len(speakers)))
    found = [value(said.only(np.concatenate([rows[k] for k in draw]))) for draw in draws]
    low, high = np.nanpercentile(found, [2.5, 97.5])
    return float(low), float(high)


def of_draw(said: Said, score: Score) -> Callable[[Said], float]:
    """A score, mean over seeds; NaN of a draw that lacks a class, for all but accuracy."""
    n_held = len(np.unique(said.true))

    def value(drawn: Said) -> float:
        if score in (ua, macro_f1) and len(np.unique(drawn.true)) < n_held:
            return float("nan")
        return float(np.mean(mean_over_seeds(drawn, score)))

    return value


def shown(values: Sequence[float]) -> str:
    """Mean and sample standard deviation, as a table shows them."""
    mean = f"{np.mean(values):.4f}"
    return mean if len(values) < 2 else f"{mean} ± {np.std(values, ddof=1):.4f}"


def interval(ends: tuple[float, float] | None, n: int, units: str) -> str:
    """An interval, as a table shows it."""
    words = units.removesuffix("s") if n == 1 else units
    return f"– ({n} {words})" if ends is None else f"{ends[0]:.3f} to {ends[1]:.3f} ({n} {words})"


def pooled(said: Said, score: Score) -> tuple[str, str]:
    """Score and interval of the pooled predictions, mean over seeds."""
    n = len(np.unique(said.speaker))
    return shown(mean_over_seeds(said, score)), interval(
        over_speakers(said, of_draw(said, score)), n, "speakers"
    )


def of_folds(said: Said, score: Score) -> tuple[str, str]:
    """Score and interval of the mean over folds, each fold the mean over its seeds."""
    means = np.array([np.mean(mean_over_seeds(fold, score)) for fold in said.by_fold])
    n, ends = len(means), None
    if n >= 5:
        draws = np.random.default_rng(0).integers(n, size=(N_DRAWS, n))
        low, high = np.percentile(means[draws].mean(1), [2.5, 97.5])
        ends = float(low), float(high)
    return shown(means.tolist()), interval(ends, n, "folds")


def p_of_swaps(one: Said, other: Said, score: Score) -> float:
    """Two-sided p of all swaps of speakers, each scored anew by ``score``: mean over seeds, folds pooled."""
    a, b = (each.only(np.lexsort((each.id, each.seed))) for each in (one, other))
    assert (a.id == b.id).all()
    speakers, owner = np.unique(a.speaker, return_inverse=True)
    found = []
    for signs in itertools.product((False, True), repeat=len(speakers)):
        swap = np.array(signs)[owner]
        here, there = (
            np.where(swap, x, y) for x, y in ((b.predicted, a.predicted), (a.predicted, b.predicted))
        )
        gaps = [
            score(a.true[own], here[own]) - score(a.true[own], there[own])
            for own in (a.seed == seed for seed in np.unique(a.seed))
        ]
        found.append(float(np.mean(gaps)))
    return float(np.mean(np.abs(found) >= abs(found[0]) - 1e-12))


def holm(ps: Sequence[float]) -> list[float]:
    """Holm 1979: in the order of p, each times the number of those that are left, never falling, at most 1."""
    order = np.argsort(ps, kind="stable")
    raised = np.minimum(1, np.maximum.accumulate(np.array(ps)[order] * np.arange(len(ps), 0, -1)))
    found = np.empty(len(ps))
    found[order] = raised
    return found.tolist()


def ece(said: Said) -> float:
    """Expected calibration error in bins (a, b] of equal width."""
    sure, right = said.chances.max(1), said.chances.argmax(1) == said.true
    total = 0.0
    for k in range(N_BINS):
        own = (sure > k / N_BINS) & (sure <= (k + 1) / N_BINS)
        if own.any():
            total += own.sum() * abs(sure[own].mean() - right[own].mean())
    return total / len(sure)


def brier(said: Said) -> float:
    """Summed over classes."""
    return float(np.mean(((said.chances - np.eye(len(said.names))[said.true]) ** 2).sum(1)))


def log_loss(said: Said) -> float:
    """Mean negative natural logarithm of the true class' probability."""
    own = said.chances[np.arange(len(said.true)), said.true]
    return float(-np.log(np.maximum(own, LEAST)).mean())


def tempered(said: Said, temperature: float) -> Said:
    """With logits divided by a temperature."""
    logits = np.log(np.maximum(said.chances, LEAST)) / temperature
    powers = np.exp(logits - logits.max(1, keepdims=True))
    own = powers / powers.sum(1, keepdims=True)
    return Said(said.fold, said.seed, said.id, said.speaker, said.true, said.predicted, own, said.names)


def temperature(dev: Said) -> float:
    """The temperature with the least log loss: the best of a grid, then what scipy makes of it."""
    logs = np.linspace(-3, 3, 601)
    losses = [log_loss(tempered(dev, float(np.exp(each)))) for each in logs]
    best = logs[int(np.argmin(losses))]
    ends = (max(-3.0, best - 0.01), min(3.0, best + 0.01))
    found = optimize.minimize_scalar(
        lambda log: log_loss(tempered(dev, float(np.exp(log)))), bounds=ends, method="bounded",
        options={"xatol": 1e-9},
    )  # fmt: skip
    return float(np.exp(found.x))


def tables_of(page: str) -> dict[str, list[dict[str, str]]]:
    """The first table under each heading of a page: a mapping by column of each row."""
    found = {}
    for section in re.split(r"(?=<h2>)", re.sub(r"<svg.*?</svg>", "", page, flags=re.S))[1:]:
        heading, table = re.match(r"<h2>(.*?)</h2>", section), re.search(r"<table.*?</table>", section, re.S)
        if heading is None or table is None:
            continue
        rows = [
            [_words(cell) for cell in re.findall(r"<t[dh][ >].*?</t[dh]>", row, re.S)]
            for row in re.findall(r"<tr.*?</tr>", table[0], re.S)
        ]
        if all(len(row) == len(rows[0]) for row in rows):  # a confusion matrix has a head of two rows
            found[_words(heading[1])] = [dict(zip(rows[0], row, strict=True)) for row in rows[1:]]
    return found


def _words(markup: str) -> str:
    return html.unescape(re.sub(r"<[^>]*>", "", markup)).strip()


Mismatch = tuple[str, str, str]
"""Where, what is printed, what it should be."""


def of_target(said: Said, k: int) -> Said:
    """The numbers of one target alone."""
    own = said.true[:, [k]], said.predicted[:, [k]]
    return Said(said.fold, said.seed, said.id, said.speaker, *own, said.chances, [said.names[k]])


def wrong_on_page(folder: Path) -> list[Mismatch]:
    """Figures on the page of a run that are not what its predictions give."""
    said = read(folder / "predictions.csv")
    tables = tables_of((folder / "report.html").read_text(encoding="utf-8"))
    dev = folder / "predictions-dev.csv"
    found = [*_scores(said, tables["Scores"]), *_folds(said, tables["Folds"])]
    if said.true.ndim == 1:
        agree_with_libraries(said)
        found += [*_classes(said, tables["Classes"]), *_surest(said, tables["Answering the surest"])]
        found += _calibration(said, read(dev) if dev.exists() else None, tables["Calibration"])
    else:
        found += _targets(said, tables["Targets"])
    found += _parts(
        said, tables["Speakers"], "speaker", dict(zip(said.id.tolist(), said.speaker.tolist(), strict=True))
    )
    assert len(found) > 20, "something was compared"
    return [each for each in found if each[1] != each[2]]


def _scores(said: Said, rows: list[dict[str, str]]) -> list[Mismatch]:
    found = []
    for row in rows:
        of = pooled if row["estimand"].startswith("pooled") else of_folds
        metric, _, target = row["metric"].partition(" ") if said.true.ndim > 1 else (row["metric"], "", "")
        own = said if not target else of_target(said, said.names.index(target))
        should = of(own, scores_of(said)[metric])
        what = f"Scores, {row['metric']}, {row['estimand']}"
        found += [(what, row["score"], should[0]), (what, row["95 %"], should[1])]
    return found


def _folds(said: Said, rows: list[dict[str, str]]) -> list[Mismatch]:
    found = []
    for row, own in zip(rows, said.by_fold, strict=True):
        found.append((f"Folds, {row['fold']}", row["test"], str(len(set(own.id.tolist())))))
        for name, score in scores_of(said).items():
            should = shown([score(each.true, each.predicted) for each in own.by_seed])
            found.append((f"Folds, {row['fold']}, {name}", row[name], should))
    return found


def _classes(said: Said, rows: list[dict[str, str]]) -> list[Mismatch]:
    n_seeds, k = len(said.by_seed), np.arange(len(said.names))
    recall = metrics.recall_score(said.true, said.predicted, labels=k, average=None, zero_division=np.nan)
    precision = metrics.precision_score(
        said.true, said.predicted, labels=k, average=None, zero_division=np.nan
    )
    found = []
    for place, row in enumerate(rows):
        should = {"class": said.names[place], "utterances": str(int((said.true == place).sum()) // n_seeds)}
        for name, values in (("recall", recall), ("precision", precision)):
            should[name] = "–" if np.isnan(values[place]) else f"{values[place]:.4f}"
        found += [(f"Classes, {row['class']}, {name}", row[name], value) for name, value in should.items()]
    return found


def _targets(said: Said, rows: list[dict[str, str]]) -> list[Mismatch]:
    found = []
    for place, row in enumerate(rows):
        own = of_target(said, place)
        for name, score in OF_NUMBERS.items():
            found.append((f"Targets, {row['target']}, {name}", row[name], pooled(own, score)[0]))
        main = next(name for name in row if name.endswith("95 %"))
        should = pooled(own, OF_NUMBERS[main.removesuffix(" 95 %")])[1]
        found.append((f"Targets, {row['target']}, {main}", row[main], should))
    return found


def _calibration(said: Said, dev: Said | None, rows: list[dict[str, str]]) -> list[Mismatch]:
    after = None if dev is None else calibrated(said, dev)
    measures = {"ECE": ece, "Brier": brier, "log loss": log_loss}
    n, found = len(np.unique(said.speaker)), []
    for row in rows:
        own = said if row["probabilities"] == "as trained" else after
        assert own is not None
        measure = measures[row["measure"]]

        def mean(drawn: Said, measure: Callable[[Said], float] = measure) -> float:
            return float(np.mean([measure(each) for each in drawn.by_seed]))

        what = f"Calibration, {row['probabilities']}, {row['measure']}"
        found.append((what, row["score"], shown([measure(each) for each in own.by_seed])))
        found.append((what, row["95 %"], interval(over_speakers(own, mean), n, "speakers")))
    return found


def calibrated(said: Said, dev: Said) -> Said:
    """Each training's test predictions by the temperature of its own dev part."""
    chances = said.chances.copy()
    for fold, seed in dict.fromkeys(zip(said.fold.tolist(), said.seed.tolist(), strict=True)):
        own, there = ((each.fold == fold) & (each.seed == seed) for each in (said, dev))
        chances[own] = tempered(said.only(own), temperature(dev.only(there))).chances
    return Said(said.fold, said.seed, said.id, said.speaker, said.true, said.predicted, chances, said.names)


def _surest(said: Said, rows: list[dict[str, str]]) -> list[Mismatch]:
    found = []
    for row in rows:
        share = float(row["answered"].removesuffix("%")) / 100
        kept = [each.only(np.argsort(-each.chances.max(1), kind="stable")[: round(share * len(each.id))])
                for each in said.by_seed]  # fmt: skip
        should = {
            "WA": shown([wa(each.true, each.predicted) for each in kept]),
            "UA": shown([ua(each.true, each.predicted) for each in kept]),
            "classes": str(min(len(np.unique(each.true)) for each in kept)),
            "least probability": shown([float(each.chances.max(1).min()) for each in kept]),
        }
        found += [(f"Surest {row['answered']}, {name}", row[name], value) for name, value in should.items()]
    return found


def _parts(said: Said, rows: list[dict[str, str]], by: str, value_of: dict[str, str]) -> list[Mismatch]:
    """A table of what one part of the utterances each gives, ``value_of`` by id."""
    values, found = np.array([value_of.get(id, "") for id in said.id.tolist()]), []
    for row in rows:
        own = said.only(values == row[by])
        should = {"utterances": str(len(np.unique(own.id))), "speakers": str(len(np.unique(own.speaker)))}
        if own.true.ndim == 1:
            should["classes"] = str(len(np.unique(own.true)))
        for name, score in scores_of(said).items():
            should[name] = shown(mean_over_seeds(own, score))
        main = next(name for name in row if name.endswith("95 %"))
        should[main] = pooled(own, scores_of(said)[main.removesuffix(" 95 %")])[1]
        found += [(f"by {by} {row[by]}, {name}", row[name], value) for name, value in should.items()]
    return found


def wrong_of_pairs(folders: Sequence[Path], rows: Sequence[dict[str, str]]) -> list[Mismatch]:
    """Figures of a CSV of ``compare`` that are not what the predictions of its runs give."""
    said = {folder.name: read(folder / "predictions.csv") for folder in folders}
    found: list[Mismatch] = []
    ps: dict[str, list[float]] = {}
    for row in rows:
        one, other, score = (
            said[row["first"]],
            said[row["second"]],
            {**OF_CLASSES, **OF_NUMBERS}[row["metric"]],
        )
        means = [float(np.mean(mean_over_seeds(each, score))) for each in (one, other)]
        both = _beside(one, other)
        ends = over_speakers(both, lambda drawn, score=score: _gap(drawn, score))  # type: ignore[misc]
        p = p_of_swaps(one, other, score)
        ps.setdefault(row["metric"], []).append(p)
        should = {
            "first scores": means[0],
            "second scores": means[1],
            "difference": means[0] - means[1],
            "p": p,
        }
        assert ends is not None
        should |= {"95 % low": ends[0], "95 % high": ends[1]}
        for name, value in should.items():
            if name in row:
                found.append(
                    (f"{row['first']} {row['second']} {row['metric']} {name}", row[name], f"{value!r}")
                )
    for metric, own in ps.items():
        corrected = holm(own)
        there = [row for row in rows if row["metric"] == metric]
        for row, p in zip(there, corrected, strict=True):
            what = f"{row['first']} {row['second']} {metric}"
            found.append((f"{what} p (Holm)", row.get("p (Holm)", repr(p)), repr(p)))
            found.append((f"{what} different", row["different"], "yes" if p < 0.05 else "no"))
    assert len(found) > 5, "something was compared"
    return [each for each in found if not _equal(each[1], each[2])]


def _equal(printed: str, should: str) -> bool:
    try:
        return abs(float(printed) - float(should)) < 1e-9
    except ValueError:
        return printed == should


def _beside(one: Said, other: Said) -> Said:
    """Both runs' predictions of each utterance and seed side by side: (R, 2), in the place of one."""
    a, b = (each.only(np.lexsort((each.id, each.seed))) for each in (one, other))
    assert (a.id == b.id).all()
    return Said(
        a.fold, a.seed, a.id, a.speaker, a.true, np.stack([a.predicted, b.predicted], 1), a.chances, a.names
    )


def _gap(both: Said, score: Score) -> float:
    if score in (ua, macro_f1) and len(np.unique(both.true)) < len(both.names):
        return float("nan")
    return float(
        np.mean(
            [
                score(each.true, each.predicted[:, 0]) - score(each.true, each.predicted[:, 1])
                for each in both.by_seed
            ]
        )
    )
