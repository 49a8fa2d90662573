"""Claims: processes that see one folder agree on who does what, by files alone, without locks or common clocks.

A claim on a name is the file ``NAME.<generation>``, which exactly one process can create; it holds the name of its
owner, and the highest generation counts. An owner shows life by changing its own file, ``OWNER.owner``, every few
seconds. A rival measures on a clock of its own for how long that has not changed, and takes over what has expired by
creating the next generation: of several rivals one succeeds, and an owner that wakes late finds that it has lost the
claim. That is to be asked right before work is made visible (``still_held``). Files cannot stop a process that is
paused between asking and doing, so what is then done twice must do no harm.

Generations count the owners that were lost, one after another, with a name in hand: they are removed when it is
released. What ends each of its owners is left out at last (``give_up``), until all who are at work have left; processes
that something starts anew when they are lost (``led``) are at work until that ends.
"""

from __future__ import annotations

from sercache.claims._claims import LOSSES, Claim, Claims
from sercache.claims._leading import leader, led, on_the_way
from sercache.claims._owners import is_at_work
from sercache.claims._process import is_dead, this_process
from sercache.claims._shared import claims_in, divided, taken

__all__ = [
    "LOSSES",
    "Claim",
    "Claims",
    "claims_in",
    "divided",
    "is_at_work",
    "is_dead",
    "leader",
    "led",
    "on_the_way",
    "taken",
    "this_process",
]
