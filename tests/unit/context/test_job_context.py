"""`JobContext` without a room; what it does in one is tried in tests/e2e/test_job_context.py."""

import subprocess
import sys

from livekit.protocol.agent import Job

from agenthost.context.api import ApiAccess
from agenthost.context.job_context import JobContext
from agenthost.context.job_info import JobInfo
from agenthost.context.job_parts import JobParts
from agenthost.context.job_process import JobProcess
from agenthost.context.job_room import JobRoom
from agenthost.context.participants import Participants


def _context(reasons: list[str]) -> JobContext:
    room = JobRoom("lobby")
    info = JobInfo(
        job=Job(id="AJ_1"), url="ws://", token="t", worker_id="AW_1", agent="support", attempt=1, settings={"a": 1}
    )
    parts = JobParts(
        info=info,
        process=JobProcess(),
        room=room,
        participants=Participants(room),
        api=ApiAccess(url="ws://", token="t"),
        end=reasons.append,
    )
    return JobContext(parts)


def test_names_for_user_code_are_cheap_to_import() -> None:
    """`from agenthost import JobContext` pulls in neither livekit nor the host nor its libraries."""
    heavy = ("livekit", "aiohttp", "jsonschema", "yaml", "rich", "agenthost.host", "agenthost.config")
    code = (
        "import sys; from agenthost import AutoSubscribe, JobContext, JobProcess, JobRequest, get_job_context; "
        f"print([name for name in {heavy!r} if name in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


async def test_context_says_which_job_it_is() -> None:
    """Where it is printed or logged."""
    assert repr(_context([])) == "<JobContext AJ_1 room='lobby'>"


async def test_shutdown_has_the_default_reason_of_livekit_agents() -> None:
    """It returns at once; the process that runs the job does the rest."""
    reasons: list[str] = []
    context = _context(reasons)
    context.shutdown()
    context.shutdown("done")
    assert reasons == ["user requested", "done"]


async def test_log_fields_stay_the_same_dictionary() -> None:
    """The log handler reads it: assigning others must reach it as well."""
    context = _context([])
    held = context.log_context_fields
    context.log_context_fields = {"tenant": "acme"}
    assert held == {"tenant": "acme"}
    assert context.log_context_fields is held
