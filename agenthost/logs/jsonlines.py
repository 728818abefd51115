"""Log lines for machines: one JSON object a line. Runs on the host's writer thread.

Texts are what they were, colours of a job's output included; what a terminal would act on is escaped (`texts.to_json`).
"""

from collections.abc import Mapping
from datetime import UTC, datetime

from agenthost.logs.levels import level_name
from agenthost.logs.lines import LogLine
from agenthost.texts import to_json

CONTEXT = ("agent", "job_id", "room", "pid")


class JsonLines:
    """timestamp (ISO 8601, UTC, milliseconds), level, name, message; then agent, job_id, room, pid; then the rest.

    `rename` maps these names, and those of other fields, to the wanted ones; a field of user code that would take
    the name of one before it gets a `_` behind its own. `pid` is written where a line has none: the host's.
    """

    def __init__(self, *, rename: Mapping[str, str], pid: int) -> None:
        self._rename = rename
        self._pid = pid

    def __call__(self, line: LogLine) -> str:
        fields = {"pid": self._pid, **line.fields}
        body: dict[str, object] = {}
        self._add(body, "timestamp", _timestamp(line.created))
        self._add(body, "level", level_name(line.level))
        self._add(body, "name", line.logger)
        self._add(body, "message", line.message)
        for name in CONTEXT:
            if name in fields:
                self._add(body, name, fields.pop(name))
        for name, value in fields.items():
            self._add(body, name, value)
        if line.traceback:
            self._add(body, "traceback", line.traceback)
        return to_json(body) + "\n"

    def _add(self, body: dict[str, object], name: str, value: object) -> None:
        name = self._rename.get(name, name)
        while name in body:
            name += "_"
        body[name] = value


def _timestamp(created: float) -> str:
    return datetime.fromtimestamp(created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
