"""A process that was not forked: `python -m agenthost.child.spawn_main`, exec'd by the host, one per job.

For `start_method: spawn`, for systems without a safe fork, and for environments in which every interpreter has threads
from its start on. Its first message is the same ForkProcess that a template would have been sent.
"""

import os
import socket

from agenthost import kernel
from agenthost.child.forking import exit_with
from agenthost.child.process_setup import limit_resources, print_at_once, reset_signals, stand_alone
from agenthost.child.template_main import enter_environment, run_process
from agenthost.child.user_errors import describe_failure
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import ForkProcess

CHANNEL_FD = 3
LOG_FD = 4
FILE_FD = 5


def main() -> int:
    stand_alone()
    reset_signals()
    print_at_once()
    kernel.line_buffer_native_output()
    for descriptor in (CHANNEL_FD, LOG_FD, FILE_FD):
        os.set_inheritable(descriptor, False)
    channel = BlockingChannel(socket.socket(fileno=CHANNEL_FD))
    try:
        request = channel.receive()
        assert isinstance(request, ForkProcess)
        return _run(request, channel)
    except EOFError:
        return 0  # the host is gone, or has no use for this process any more


def _run(request: ForkProcess, channel: BlockingChannel) -> int:
    assert request.spec is not None
    limit_resources(request)
    try:
        enter_environment(request.spec, LOG_FD)
    except OSError as error:  # its folder is gone
        channel.send(describe_failure("import", error))
        return 1
    os.environ[kernel.PROCESS_NUMBER] = str(request.number)
    os.environ.update(request.credentials)
    return run_process(request, channel, FILE_FD, None, {})


if __name__ == "__main__":
    exit_with(main)
