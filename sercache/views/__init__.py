"""FeatureView: the read-only choice of cached features that a head sees.

A view is rows of one source (means in memory, or frames in memory or streamed), with labels and,
optionally, a normalisation that is applied as batches are made. ``subset`` and ``scaled`` share the
source, so that all folds and seeds index one copy of the cache.

U items (utterances, or clips of them), L states, T frames, D feature size, G normalisation groups.
"""

from sercache.views.drawn import DrawnStore, Shape, drawn, drawn_like, inputs_of, shape_of
from sercache.views.joined import JoinedView
from sercache.views.scaling import global_scaling, speaker_scaling, statistics
from sercache.views.side_by_side import AnyView, OneInput, SideBySideView, beside
from sercache.views.source import MEMORY_SHARE, BatchMemory, Source, ViewPlan
from sercache.views.view import FeatureView, Scaling, open_view, stored_entries

__all__ = [
    "MEMORY_SHARE",
    "AnyView",
    "BatchMemory",
    "DrawnStore",
    "FeatureView",
    "JoinedView",
    "OneInput",
    "Scaling",
    "Shape",
    "SideBySideView",
    "Source",
    "ViewPlan",
    "beside",
    "drawn",
    "drawn_like",
    "global_scaling",
    "inputs_of",
    "open_view",
    "shape_of",
    "speaker_scaling",
    "statistics",
    "stored_entries",
]
