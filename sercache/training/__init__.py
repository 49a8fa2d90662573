"""Training, once for all heads: build a head, fit it by its recipe, predict with it.

Same seed, same machine: same numbers; the global random state is neither used nor moved. What decides the
order of batches, the learning rate and the epoch that is kept lies in ``sercache.training.plan``, the loop
in ``loop``.
"""

from sercache.training.building import build
from sercache.training.contract import Fit, Member, View
from sercache.training.loop import fit
from sercache.training.many import fit_many, fits
from sercache.training.plan import Epoch
from sercache.training.predicting import predict

__all__ = ["Epoch", "Fit", "Member", "View", "build", "fit", "fit_many", "fits", "predict"]
