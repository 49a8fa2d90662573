"""Training, once for all heads: build a head, fit it by its recipe, predict with it.

Same seed, same machine: same numbers; the global random state is neither used nor moved. What decides the
order of batches, the learning rate and the epoch that is kept lies in ``sercache.training.plan``, the loop
in ``loop``.
"""

from sercache.training.adapting import Adapting, adapt, merge
from sercache.training.building import build
from sercache.training.contract import Fit, Inputs, Member, View, moved, targets_of
from sercache.training.determinism import be_deterministic
from sercache.training.finetune import FineTuned, finetuned, reads_padding, tail_name
from sercache.training.loop import fit
from sercache.training.many import Choice, Way, choose, fit_many, fits
from sercache.training.memory import keep_freed_memory
from sercache.training.pace import pace_of
from sercache.training.plan import Epoch
from sercache.training.predicting import predict
from sercache.training.starting import start, start_centres
from sercache.training.streams import own_randomness, stream
from sercache.training.work import Pace, Work

__all__ = [
    "Adapting",
    "Choice",
    "Epoch",
    "FineTuned",
    "Fit",
    "Inputs",
    "Member",
    "Pace",
    "View",
    "Way",
    "Work",
    "adapt",
    "be_deterministic",
    "build",
    "choose",
    "finetuned",
    "fit",
    "fit_many",
    "fits",
    "keep_freed_memory",
    "merge",
    "moved",
    "own_randomness",
    "pace_of",
    "predict",
    "reads_padding",
    "start",
    "start_centres",
    "stream",
    "tail_name",
    "targets_of",
]
