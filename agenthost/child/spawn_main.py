"""A process that was not forked: `python -m agenthost.child.spawn_main`, exec'd by the host, one per job.

For agents whose module starts threads or touches the livekit FFI when imported, for `start_method: spawn`, and for
systems without a safe fork. Its first message is the same ForkProcess that a template would have been sent; from
there on it is an agent template and a job process in one.
"""

import os
import socket
import time
from typing import Any

from agenthost import kernel
from agenthost.child.agent_code import load_code
from agenthost.child.forking import exit_with
from agenthost.child.job_main import run_shared_prewarm
from agenthost.child.process_setup import limit_resources, print_at_once, reseed, reset_signals, stand_alone
from agenthost.child.template_main import enter_environment, run_process
from agenthost.child.user_errors import describe_failure
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import ForkProcess, Hello

CHANNEL_FD = 3
LOG_FD = 4


def main() -> int:
    stand_alone()
    reset_signals()
    print_at_once()
    kernel.line_buffer_native_output()
    for descriptor in (CHANNEL_FD, LOG_FD):
        os.set_inheritable(descriptor, False)
    channel = BlockingChannel(socket.socket(fileno=CHANNEL_FD))
    try:
        channel.send(Hello(pid=os.getpid()))
        request = channel.receive()
        assert isinstance(request, ForkProcess)
        return _run(request, channel)
    except EOFError:
        return 0  # the host is gone, or has no use for this process any more


def _run(request: ForkProcess, channel: BlockingChannel) -> int:
    assert request.spec is not None
    limit_resources(request)
    began = time.monotonic()
    userdata: dict[str, Any] = {}
    phase = "import"
    try:
        enter_environment(request.spec, LOG_FD)
        os.environ[kernel.PROCESS_NUMBER] = str(request.number)
        os.environ.update(request.credentials)
        code = load_code(request.spec)
        if code.prewarm is not None and request.spec.prewarm_shared and request.kind == "job":
            phase = "prewarm"
            run_shared_prewarm(code, userdata)
        # As after the import in a template: what careless modules did there is the same for no job.
        reset_signals()
        reseed()
    except BaseException as error:
        channel.send(describe_failure(phase, error))
        return 1
    return run_process(request.kind, channel, code, userdata, init_began=began)


if __name__ == "__main__":
    exit_with(main)
