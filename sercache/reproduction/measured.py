"""Cells that are no score of a trained head: how long networks take, how often a recogniser is wrong."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from sercache import catalog, files, record, settings, transcription, transcripts
from sercache.errors import MissingMaterialError
from sercache.papers import ErrorRate, Latency
from sercache.progress import used
from sercache.reproduction.place import Place, corpus_of
from sercache.reproduction.recognised import recognised

_RATE = 16_000
"""Hz."""
_REPEATS = 7


def error_rate(wanted: ErrorRate, instead: Mapping[str, str], place: Place) -> record.Score:
    """Share of words or characters that are wrong, over all utterances of the corpus' default task.

    Raises MissingMaterialError for a corpus that does not say what is said, EncoderError for a recogniser that cannot
    be had.
    """
    corpus, _ = corpus_of(wanted.dataset, place)
    references = {u.id: u.transcript for u in corpus.utterances if u.transcript}
    if not references:
        raise MissingMaterialError(
            f"{corpus.info.title} comes without transcripts: there is nothing to compare with"
        )
    found = recognised(instead.get(wanted.recogniser, wanted.recogniser), wanted.dataset, place)
    own = {each: references[each] for each in corpus.members() if each in references}
    rates = transcription.error_rates(own, transcripts.read(found.path))
    share = rates.wer if wanted.unit == "word" else rates.cer
    return record.Score(share, None, rates.n_utterances)


def latency(wanted: Latency, place: Place) -> record.Score:
    """Milliseconds for one recording: wav2vec 2.0 base and a head for each network, random weights.

    Measured once for each device and kept beside the table: mean and sample deviation of repeats.
    """
    device = settings.resolve_device(place.device)
    path = place.folder / f"latency-{device.replace(':', '-')}.json"
    known = files.read_json(path, "delete it to measure anew") if path.exists() else {}
    total = np.zeros(_REPEATS)
    for head, options in wanted.heads:
        key = f"{head} {json.dumps(dict(options), sort_keys=True)} {wanted.seconds:g} s"
        if key not in known:
            known[key] = _milliseconds(head, options, wanted.seconds, device)
            files.write_json(path, known)
        total += known[key]
    return record.score(total.tolist())


def machine(place: Place) -> str:
    """What times are measured on here."""
    device = settings.resolve_device(place.device)
    if not device.startswith("cuda"):
        return f"this machine ({device})"
    import torch

    return torch.cuda.get_device_name(device)


def _milliseconds(head: str, options: Mapping[str, Any], seconds: float, device: str) -> list[float]:
    """Times of one network, each of a whole pass over one recording."""
    import torch

    network, wave = _network(head, options, device), torch.zeros(1, round(seconds * _RATE), device=device)
    wave.normal_(generator=torch.Generator(device).manual_seed(0))
    used("timing", f"{head}, {seconds:g} s, {device}, random weights")
    times = []
    with torch.inference_mode():
        for _ in range(_REPEATS + 1):
            _finish(device)
            began = time.perf_counter()
            network(wave)
            _finish(device)
            times.append(1000 * (time.perf_counter() - began))
    return times[1:]  # the first pass also sets things up


def _network(head: str, options: Mapping[str, Any], device: str) -> Callable[[Any], Any]:
    """wav2vec 2.0 base under a head of a thousand speakers or four emotions."""
    import torch
    from transformers import Wav2Vec2Config, Wav2Vec2Model

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        encoder = Wav2Vec2Model(Wav2Vec2Config()).eval().to(device)
        n_outputs = 1251 if head == "speaker-id" else 4
        classify = catalog.load("sercache.heads", head).Head(
            1, encoder.config.hidden_size, n_outputs, **options
        )
    classify = classify.eval().to(device)

    def run(wave: Any) -> Any:
        states = encoder(wave).last_hidden_state[:, None]
        return classify(states, torch.ones(states.shape[0], states.shape[2], dtype=torch.bool, device=device))

    return run


def _finish(device: str) -> None:
    """Wait until the device has done what it was given."""
    import torch

    if device.startswith("cuda"):
        torch.cuda.synchronize(device)
