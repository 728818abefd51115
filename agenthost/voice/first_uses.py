"""What livekit-agents makes at its first use, made once in the template: each job would make it anew, and for itself.

Together it is half of what a session whose models take no time computes in Python: 60 of 125 ms under cProfile.
"""

import importlib
from contextlib import suppress
from types import ModuleType

from livekit.agents import llm
from livekit.agents.utils import http_context

_MODULES = (  # imported by a job's process at its start, or by a session that starts, speaks or ends
    "livekit.agents.ipc._preload",
    "livekit.agents.llm.async_toolset",
    "livekit.agents.voice.report",
    "numpy.fft",
)


def use_first() -> None:
    """Before the template freezes its heap. Leaves no thread behind."""
    for module in _MODULES:
        import_if_there(module)
    _read_authorities()
    _complete_messages()


def import_if_there(name: str) -> ModuleType | None:
    """Versions of livekit-agents differ in what they have."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return None


def _read_authorities() -> None:
    """The certificates of the authorities, for the HTTP session that each job has, be it only to close it.

    From 1.8.7 on, one context is kept for all sessions; before, each makes its own. A file that cannot be read is left
    for the job to tell about, as it may not need it.
    """
    with suppress(OSError):
        if hasattr(http_context, "_ssl_context_for") and hasattr(http_context, "_create_ssl_context"):
            http_context._create_ssl_context()


def _complete_messages() -> None:
    """The schema of a chat message is made for the first one: ten milliseconds of the event loop."""
    llm.ChatContext().add_message(role="system", content="")
