"""What takes the time and the memory: statistics at all times, and profiles on demand."""

from seawall.profiling.advice import Recommendation, recommend
from seawall.profiling.errors import ProfileRunningError
from seawall.profiling.events import LoopStalled
from seawall.profiling.process import ProcessFigures
from seawall.profiling.profiler import Profiler
from seawall.profiling.series import Kind, Statistics
from seawall.profiling.sketch import Durations
from seawall.profiling.stalls import Stall, StallWatch

__all__ = [
    "Durations",
    "Kind",
    "LoopStalled",
    "ProcessFigures",
    "ProfileRunningError",
    "Profiler",
    "Recommendation",
    "Stall",
    "StallWatch",
    "Statistics",
    "recommend",
]
