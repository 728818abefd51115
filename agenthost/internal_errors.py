"""Where an error of the host itself ends: logged with its traceback, counted, and kept from everything else.

One offer, one message, one job, one look of recovery, one HTTP request is a part that may fail; whoever handles such a
part does it in `contained`, and answers for that part alone. Runs in the host.
"""

import contextlib
from collections.abc import Iterator

from agenthost.logs.events import EventLogger
from agenthost.metrics import InternalPart, Metrics


class InternalErrors:
    """One for the whole host."""

    def __init__(self, metrics: Metrics, log: EventLogger) -> None:
        self._metrics = metrics
        self._log = log

    def note(self, part: InternalPart, error: BaseException, **fields: object) -> None:
        """Log and count an error that was caught; `fields` say of what (`job_id`, `kind` …)."""
        self._metrics.internal_error(part)
        self._log.error("internal error", part=part.value, exc_info=error, **fields)

    @contextlib.contextmanager
    def contained(self, part: InternalPart, **fields: object) -> Iterator[None]:
        """What fails in this block is noted, and the program goes on after it."""
        try:
            yield
        except Exception as error:
            self.note(part, error, **fields)
