"""`CodeValues`: what an agent's own code says about how it is hosted.

livekit-agents users write agent name, permissions, timeouts and the like in Python. The template that imported the
code reports them to the host, where `taking_over.py` lays the file over them.
"""

from collections.abc import Mapping
from typing import Any

from msgspec import Struct, field, structs


class CodeValues(Struct, frozen=True, kw_only=True):
    """None: the code does not say. Times in seconds, memory in bytes; `type` is a value of JobType.

    `framework` is what the code is written for, with its version. `prewarm`, `handler` and `load` tell whether the
    code brings such a function; `load_limit` is the value of its load function at which it counts as full.
    `passed_over` are options that have no effect here, each with what holds instead.
    """

    framework: str
    agent_name: str | None = None
    type: str | None = None
    deployment: str | None = None
    permissions: Mapping[str, Any] = field(default_factory=dict)
    prewarm: bool = False
    handler: bool = False
    load: bool = False
    load_limit: float | None = None
    cpu_limit: float | None = None
    num_idle_processes: int | None = None
    drain_timeout: float | None = None
    limits: Mapping[str, float] = field(default_factory=dict)
    passed_over: Mapping[str, str] = field(default_factory=dict)

    @property
    def without_effect(self) -> str:
        """`passed_over` as one text."""
        return "; ".join(f"`{name}` ({instead})" for name, instead in self.passed_over.items())

    def encode(self) -> dict[str, Any]:
        """As JSON values, for `CodeValues(**…)` on the other side of a process border."""
        return structs.asdict(self)
