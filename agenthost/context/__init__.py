"""What user code sees of agenthost, in job and hook processes: the context of a job, and a job request.

`livekit` is imported when something needs it, so that importing these names stays cheap.
"""

from agenthost.context.auto_subscribe import AutoSubscribe
from agenthost.context.current import get_job_context
from agenthost.context.job_context import JobContext
from agenthost.context.job_process import JobProcess
from agenthost.context.job_request import JobRequest

__all__ = ["AutoSubscribe", "JobContext", "JobProcess", "JobRequest", "get_job_context"]
