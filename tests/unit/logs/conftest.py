"""Fixtures for everything that touches the process-wide state of `logging`."""

import logging
from collections.abc import Iterator

import pytest

from agenthost.logs.lines import LogLine, line_of


class Collector(logging.Handler):
    """A root handler that keeps what it is given, as lines."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[LogLine] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(line_of(record, {}, user_code=False))

    @property
    def messages(self) -> list[str]:
        return [line.message for line in self.lines]


@pytest.fixture
def own_logging() -> Iterator[logging.Logger]:
    """The root logger without handlers; handlers, levels and the record factory are put back at the end."""
    root = logging.getLogger()
    handlers, level, factory = root.handlers[:], root.level, logging.getLogRecordFactory()
    root.handlers[:] = []
    yield root
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.setLogRecordFactory(factory)
    for logger in list(root.manager.loggerDict.values()):
        if not isinstance(logger, logging.Logger):
            continue
        logger.disabled = False
        if logger.name == "agenthost":
            logger.handlers[:] = []
        if logger.name.startswith(("test", "std")):
            logger.handlers[:] = []
            logger.setLevel(logging.NOTSET)
            logger.propagate = True


@pytest.fixture
def collected(own_logging: logging.Logger) -> Collector:
    """Everything that reaches the root logger, at any level."""
    collector = Collector()
    own_logging.addHandler(collector)
    own_logging.setLevel(1)
    return collector
