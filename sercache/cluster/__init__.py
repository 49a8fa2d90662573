"""Workers on this host, on a scheduler's nodes, or on a Dask cluster that runs already, each with the same command.

The engine (Dask) starts workers, replaces those that are lost and ends them; how the work is divided is not its
business: processes of one command share it by claims, however they were started (docs/decisions/0060-engine.md).
"""

from sercache.cluster.engine import Engine as Engine
from sercache.cluster.engine import job_script as job_script
from sercache.cluster.engine import started as started
from sercache.cluster.member import PROGRESS as PROGRESS
from sercache.cluster.member import Call as Call
from sercache.cluster.sharing import ClusterRun as ClusterRun
from sercache.cluster.sharing import share as share
from sercache.cluster.where import Where as Where
from sercache.cluster.where import parse as parse
from sercache.cluster.where import seconds as seconds
