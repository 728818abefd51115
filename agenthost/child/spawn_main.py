"""A process that was not forked: `python -m agenthost.child.spawn_main`, exec'd by the host, one per job.

For agents whose module starts threads or touches the livekit FFI when imported, for `start_method: spawn`, and for
systems without a safe fork. Its first message is the same ForkProcess that a template would have been sent; from
there on it is an agent template and a job process in one.
"""

import os
import socket
import sys
import time

from agenthost import kernel
from agenthost.child.agent_code import load_code
from agenthost.child.forking import exit_with
from agenthost.child.hook_main import run_hook_process
from agenthost.child.job_main import run_job_process
from agenthost.child.process_setup import limit_resources, reset_signals
from agenthost.child.template_main import enter_environment
from agenthost.child.user_errors import describe_failure
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import ForkProcess, Hello

CHANNEL_FD = 3
LOG_FD = 4


def main() -> int:
    kernel.die_with_parent()
    reset_signals()
    for descriptor in (CHANNEL_FD, LOG_FD):
        os.set_inheritable(descriptor, False)
    channel = BlockingChannel(socket.socket(fileno=CHANNEL_FD))
    channel.send(Hello(pid=os.getpid()))
    try:
        request = channel.receive()
    except EOFError:
        return 0
    assert isinstance(request, ForkProcess)
    assert request.spec is not None
    limit_resources(request)
    enter_environment(request.spec, LOG_FD)
    began = time.monotonic()
    try:
        code = load_code(request.spec)
    except BaseException as error:
        channel.send(describe_failure("import", error))
        return 1
    if request.kind == "hook":
        return run_hook_process(channel, code)
    return run_job_process(channel, code, {}, init_began=began)


if __name__ == "__main__":
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    exit_with(main)
