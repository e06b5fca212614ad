"""The `record` stage: a running application to a trace."""

from cache_strategy.record.command import RecordedRun, run_recorded
from cache_strategy.record.journals import read_trace
from cache_strategy.record.measure import measure

__all__ = ["RecordedRun", "measure", "read_trace", "run_recorded"]
