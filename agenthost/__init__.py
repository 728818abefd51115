"""agenthost: one YAML file runs LiveKit agents.

`import agenthost` is what user code does; it stays cheap and pulls in neither the host nor its libraries.
"""

from typing import TYPE_CHECKING, Any

from agenthost.version import __version__

if TYPE_CHECKING:
    from agenthost.context import AutoSubscribe, JobContext, JobProcess, JobRequest, get_job_context

__all__ = ["AutoSubscribe", "JobContext", "JobProcess", "JobRequest", "__version__", "get_job_context"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from agenthost import context

        return getattr(context, name)
    raise AttributeError(f"module 'agenthost' has no attribute {name!r}")
