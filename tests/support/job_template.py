"""The process that job tests fork from: `python -m tests.support.job_template FD`, exec'd once for a test process.

It has imported what a template has, one thread and no loop. A test's own process could not be forked: it has the
threads of pytest's time-outs. Requests come over the socket whose descriptor is its argument: a JSON spec with three
descriptors (channel, log, output), or a pid to wait for.
"""

import gc
import importlib
import json
import os
import signal
import socket
import sys
import traceback
from typing import Any

from agenthost import kernel
from agenthost.child.agent_code import load_code
from agenthost.child.exit_functions import forget_the_templates
from agenthost.child.hook_main import run_hook_process
from agenthost.child.job_main import run_job_process
from agenthost.child.native_library import map_native_library
from agenthost.child.rehearsal import warm_up
from agenthost.child.user_errors import describe_failure
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import CodeSpec, InitFailed
from agenthost.logs import pipe_handler

PRELOAD = "JOB_TEMPLATE_PRELOAD"
"""Modules that all jobs shall find imported, as `preload` does for a host."""


def main() -> None:
    control = socket.socket(fileno=int(sys.argv[1]))
    kernel.die_with_parent()  # a test that times out ends pytest on the spot
    for module in os.environ.get(PRELOAD, "").split():
        importlib.import_module(module)
    map_native_library()
    warm_up()
    gc.collect()
    gc.freeze()
    control.send(b"ready")
    while True:
        packet, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 3)
        if not packet:
            return
        request = json.loads(packet)
        if "wait" in request:
            _, status = os.waitpid(request["wait"], 0)
            control.send(json.dumps(os.waitstatus_to_exitcode(status)).encode())
            continue
        pid = os.fork()
        if not pid:
            kernel.die_with_parent()
            control.close()
            forget_the_templates()
            _exit_with(request, *descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        control.send(json.dumps(pid).encode())


def _exit_with(request: dict[str, Any], channel: int, log: int, output: int) -> None:
    code = 99  # what no process of ours returns: a defect shows in the exit code and in the output
    try:
        os.dup2(output, 1)
        os.dup2(output, 2)
        os.close(output)
        code = _run(request, BlockingChannel(socket.socket(fileno=channel)), log)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


def _run(request: dict[str, Any], channel: BlockingChannel, log: int) -> int:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.chdir(request["folder"])
    sys.path.insert(0, request["folder"])
    sys.dont_write_bytecode = True
    importlib.invalidate_caches()
    pipe_handler.install(log, level=request["log_level"], levels={})
    failure: InitFailed | None = None
    try:
        code = load_code(CodeSpec(**request["code"] | {"functions": b""}))
    except BaseException as error:
        failure = describe_failure("import", error)
    if failure is not None:
        channel.send(failure)
        return 1
    return run_hook_process(channel, code) if request["kind"] == "hook" else run_job_process(channel, code, {})


if __name__ == "__main__":
    main()
