"""Whether the livekit-agents that is installed still has the private parts that we stand on. Runs in templates.

Its job process is no public interface. A version whose parts differ is refused before any job, with the names of what
is missing, instead of failing in the middle of a call.
"""

import importlib
import inspect
from typing import Any

from livekit.agents.version import __version__
from msgspec import Struct

from agenthost.child.missing_packages import TRIED, untried
from agenthost.context.api import SERVICES
from agenthost.errors import EntrypointError
from agenthost.logs.events import get_logger

log = get_logger("voice")


class Part(Struct, frozen=True, kw_only=True):
    """`names` are attributes of `owner`, `assigned` of what it makes, `arguments` what calling it takes.

    `looked_up` are names of its module that its methods go by, so that something else can be put in their place.
    `abstract` is everything that a subclass of ours has to have.
    """

    owner: str
    names: tuple[str, ...] = ()
    assigned: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    looked_up: tuple[str, ...] = ()
    abstract: tuple[str, ...] = ()


PARTS = (
    # the job process, and what it says to its parent
    Part(
        owner="livekit.agents.ipc.job_proc_lazy_main:_JobProc",
        names=("initialize", "entrypoint"),
        assigned=("_job_proc", "_inf_client"),
        arguments=("initialize_process_fnc", "job_entrypoint_fnc", "session_end_fnc", "executor_type"),
    ),
    Part(owner="livekit.agents.ipc.proto:InitializeRequest", arguments=("http_proxy",)),
    Part(owner="livekit.agents.ipc.proto:StartJobRequest"),
    Part(owner="livekit.agents.ipc.proto:ShutdownRequest", arguments=("reason",)),
    Part(owner="livekit.agents.ipc.proto:ShuttingDown"),
    Part(owner="livekit.agents.ipc.proto:InferenceRequest", arguments=("request_id", "method", "data")),
    Part(owner="livekit.agents.ipc.proto:InferenceResponse", arguments=("request_id", "data", "error")),
    Part(
        owner="livekit.agents.job:RunningJobInfo",
        arguments=("accept_arguments", "job", "url", "token", "worker_id", "fake_job"),
    ),
    Part(owner="livekit.agents.job:JobAcceptArguments", arguments=("name", "identity", "metadata", "attributes")),
    Part(owner="livekit.agents.job:JobExecutorType", names=("PROCESS",)),
    Part(
        owner="livekit.agents.job:JobContext",
        names=("init_recording", "_stop_log_buffering"),
        assigned=("_on_shutdown", "_primary_agent_session", "_shutdown_callbacks", "_tempdir"),
        arguments=("proc", "info", "room", "on_connect", "on_shutdown", "inference_executor"),
    ),
    Part(owner="livekit.agents.job:JobRequest", arguments=("job", "on_reject", "on_accept")),
    Part(owner="livekit.agents.utils.aio:Chan", names=("send_nowait", "closed")),
    Part(owner="livekit.agents.inference_runner:_InferenceRunner", names=("registered_runners", "initialize", "run")),
    # what the user's objects say; an option that is kept under another name would be passed over
    Part(
        owner="livekit.agents.worker:AgentServer",
        names=("setup_fnc", "load_fnc", "run"),
        assigned=(
            "_entrypoint_fnc",
            "_request_fnc",
            "_session_end_fnc",
            "_agent_name",
            "_server_type",
            "_mp_ctx_str",
            "_load_threshold",
            "_num_idle_processes",
            "_drain_timeout",
            "_initialize_process_timeout",
            "_shutdown_process_timeout",
            "_session_end_timeout",
            "_job_memory_warn_mb",
            "_job_memory_limit_mb",
            "_permissions",
        ),
    ),
    Part(
        owner="livekit.agents.worker:WorkerOptions",
        arguments=("entrypoint_fnc", "request_fnc", "prewarm_fnc", "load_fnc", "agent_name", "worker_type"),
    ),
    Part(
        owner="livekit.agents.worker",
        names=("_default_setup_fnc", "_default_request_fnc", "_DefaultLoadCalc", "WorkerPermissions"),
    ),
    Part(owner="livekit.agents.worker:_DefaultLoadCalc", names=("get_load",)),
    Part(owner="livekit.agents.types", names=("NOT_GIVEN",)),
    Part(owner="livekit.agents.version", names=("__version__",)),
    # the command line and its log; what is called there has our answer instead
    Part(owner="livekit.agents.cli", names=("run_app",)),
    Part(owner="livekit.agents.cli.cli", names=("run_app",)),
    Part(owner="livekit.agents.cli.log", names=("NOISY_LOGGERS",)),
    # what the template does beforehand
    Part(owner="livekit.agents.utils.http_context"),
    Part(owner="livekit.agents.telemetry.traces"),
    Part(owner="livekit.rtc._ffi_client:FfiClient", names=("_instance",)),
    # the renewal of the token of a job without the key and secret
    Part(owner="livekit.api:LiveKitAPI", names=SERVICES, assigned=("_token",)),
    # the session topic
    Part(owner="livekit.agents.voice.agent_session:AgentSession", looked_up=("RoomSessionTransport",)),
    Part(
        owner="livekit.agents.voice.remote_session:SessionTransport",
        abstract=("start", "send_message", "close", "__aiter__", "__anext__"),
    ),
)


def check_parts(parts: tuple[Part, ...] = PARTS) -> None:
    """Raises EntrypointError that names everything which is missing; an untried version that fits is warned about."""
    missing = [text for part in parts for text in _missing(part)]
    if missing:
        oldest, newest = TRIED
        raise EntrypointError(
            f"livekit-agents {__version__} does not fit: it lacks {', '.join(missing)}. agenthost is tried with "
            f"{oldest} to {newest}: install one of those, or a newer agenthost"
        )
    if untried(__version__):
        log.warning("agenthost is not tried with this livekit-agents", version=__version__, tried=list(TRIED))


def _missing(part: Part) -> list[str]:
    module, _, attribute = part.owner.partition(":")
    owner: Any
    try:
        owner = importlib.import_module(module)
    except ModuleNotFoundError:
        return [part.owner]
    if attribute:
        owner = getattr(owner, attribute, None)
        if owner is None:
            return [part.owner]
    missing = [f"{part.owner}.{name}" for name in part.names if not hasattr(owner, name)]
    missing += [f"{part.owner}().{name}" for name in sorted(set(part.assigned) - _assigned(owner))]
    found = _assigned(owner) & set(dir(importlib.import_module(module))) if part.looked_up else set()
    missing += [f"{part.owner}() going by {module}.{name}" for name in part.looked_up if name not in found]
    if part.abstract:
        more = sorted(owner.__abstractmethods__ - set(part.abstract))
        missing += [f"{part.owner} without {name}()" for name in more]
    if part.arguments:
        known = inspect.signature(owner).parameters
        missing += [f"{part.owner}({name}=)" for name in part.arguments if name not in known]
    return missing


def _assigned(owner: Any) -> set[str]:
    """The names that the methods of a class use of its objects: without making one, there is no more to be seen."""
    return {name for method in vars(owner).values() if inspect.isfunction(method) for name in method.__code__.co_names}
