"""How well one listener does against the others, and a head against the same: a ceiling to measure a head by."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from sercache.record import Prediction

FEWEST_OTHERS = 2
"""Other listeners that a majority needs."""
_DIGITS = 9


@dataclass(frozen=True)
class AgainstOthers:
    """Each listener's single answers beside the majority of the others, and those of the head beside the same."""

    listeners: tuple[Prediction, ...]
    """``fold`` is the listener, ``true`` what the others said; C stands for an answer that is no class."""
    heads: tuple[Prediction, ...]
    """The same utterances as often, for each seed."""
    n_ties: int
    """Answers that are left out, as these and the next two: the others were divided equally."""
    n_outside: int
    """The others agree on what is no class of the task."""
    n_several: int
    """The listener named several categories at once."""


def against_others(
    votes: Mapping[str, Mapping[str, Sequence[str]]], said: Sequence[Prediction], classes: Sequence[str]
) -> AgainstOthers:
    """Every answer of a listener against the majority of the others, and what heads said against that.

    ``votes`` are the classes that each listener named, by id and listener; several share one vote among them. ``said``
    are the predictions of the heads of each seed. Source: the leave-one-out agreement of Steidl et al., ICASSP 2005,
    with a majority in the place of a distribution.
    """
    place = {name: k for k, name in enumerate(classes)}
    by_id: dict[str, list[Prediction]] = {}
    for each in said:
        by_id.setdefault(each.id, []).append(each)
    left = {"tie": 0, "outside": 0, "several": 0}
    listeners: list[Prediction] = []
    heads: list[Prediction] = []
    for id, own in votes.items():
        for rater, answer, truth in _answers(own) if id in by_id else ():
            why = "tie" if truth is None else "outside" if truth not in place else ""
            why = why or ("several" if len(answer) > 1 else "")
            if why:
                left[why] += 1
                continue
            true = place[str(truth)]
            speaker = by_id[id][0].speaker
            listeners.append(Prediction(id, rater, 0, true, place.get(answer[0], len(classes)), (), speaker))
            heads += [Prediction(id, rater, p.seed, true, p.predicted, (), speaker) for p in by_id[id]]
    return AgainstOthers(tuple(listeners), tuple(heads), left["tie"], left["outside"], left["several"])


def _answers(own: Mapping[str, Sequence[str]]) -> Iterator[tuple[str, Sequence[str], str | None]]:
    """Of each listener the answer, and the majority of the others; None for a tie. Nothing where they are too few."""
    if len(own) <= FEWEST_OTHERS:
        return
    total: dict[str, float] = {}
    for answer in own.values():
        for label in answer:
            total[label] = total.get(label, 0.0) + 1 / len(answer)
    for rater, answer in own.items():
        rest = {
            label: round(n - (1 / len(answer) if label in answer else 0.0), _DIGITS)
            for label, n in total.items()
        }
        most = max(rest.values())
        best = [label for label, n in rest.items() if n == most]
        yield rater, answer, best[0] if len(best) == 1 else None
