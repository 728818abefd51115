"""An agent template: forked from the base, one per (agent, generation).

Takes the agent's environment and working directory, imports the agent's module, runs a shared prewarm, freezes the
heap, and then only forks: job processes and, where the agent has a request handler or load function, a hook process.
"""

import gc
import importlib
import os
import socket
import sys
import time
from typing import Any

from agenthost import kernel
from agenthost.child.agent_code import AgentCode, load_code, reported
from agenthost.child.bytecode import write_no_bytecode_of_users
from agenthost.child.fork_server import ForkServer
from agenthost.child.hook_main import run_hook_process
from agenthost.child.huge_pages import collapse_large
from agenthost.child.job_main import run_job_process, run_shared_prewarm
from agenthost.child.process_setup import Descriptors
from agenthost.child.thread_watch import ThreadWatch
from agenthost.child.user_errors import describe_failure
from agenthost.child.user_modules import user_modules
from agenthost.errors import EntrypointError
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import ForkProcess, Hello, TemplateReady, TemplateSpec, encode
from agenthost.logs import pipe_handler


def run_template(request: ForkProcess, descriptors: Descriptors, *, host_pid: int, host_id: str) -> int:
    """The whole life of an agent template; returns its exit code."""
    assert request.spec is not None
    spec = request.spec
    control = socket.socket(fileno=descriptors.channel)
    control.send(encode(Hello(pid=os.getpid())))
    began = time.monotonic()
    userdata: dict[str, Any] = {}
    watch = ThreadWatch()
    phase = "import"
    try:
        enter_environment(spec, descriptors.log)
        with watch:
            code = load_code(spec)
            if code.prewarm is not None and spec.prewarm_shared:
                phase = "prewarm"
                _prewarm_for_all(code, userdata, watch)
    except BaseException as error:
        control.send(encode(describe_failure(phase, error)))
        return 1
    pipe_handler.set_levels(spec.log_level, spec.log_levels)  # whatever user code set when it was imported
    gc.collect()
    gc.freeze()
    collapse_large()
    kernel.outlive_parent()  # to kill what it leaves behind; the base may be gone

    def run(fork: ForkProcess, ends: Descriptors) -> int:
        pipe_handler.install(ends.log, level=fork.log_level, levels=fork.log_levels)
        os.close(descriptors.log)  # the template's: a process holds no end of another one's pipes
        return run_forked(fork, ends, code, userdata)

    server = ForkServer(
        control,
        host_pid=host_pid,
        host_id=host_id,
        run=run,
        obstacle=lambda: "" if spec.forks_with_threads else "; ".join(watch.culprits()),
    )
    server.report(_report(code, watch, began))
    return server.serve()


def enter_environment(spec: TemplateSpec, log: int) -> None:
    """Environment, folder, import path and logging of the agent, for a template or a spawned process."""
    kernel.forget_variables(set(os.environ) - set(spec.env))
    os.environ.update(spec.env)
    os.chdir(spec.working_dir)
    sys.path[:0] = [folder for folder in spec.path if folder not in sys.path]
    write_no_bytecode_of_users()
    importlib.invalidate_caches()
    pipe_handler.install(log, level=spec.log_level, levels=spec.log_levels)


def run_forked(request: ForkProcess, descriptors: Descriptors, code: AgentCode, userdata: dict[str, Any]) -> int:
    """What a process forked from an agent template does, whichever kind it is."""
    channel = BlockingChannel(socket.socket(fileno=descriptors.channel))
    try:
        channel.send(Hello(pid=os.getpid()))
        return run_process(request.kind, channel, code, userdata)
    except EOFError:
        return 0  # the host has no use for this process any more


def run_process(
    kind: str,
    channel: BlockingChannel,
    code: AgentCode,
    userdata: dict[str, Any],
    *,
    init_began: float | None = None,
) -> int:
    """A job or hook process from where its code is loaded; returns its exit code. EOFError: the host is gone."""
    if kind == "hook":
        return run_hook_process(channel, code, user_modules() if init_began is not None else ())
    return run_job_process(channel, code, userdata, init_began=init_began)


def _prewarm_for_all(code: AgentCode, userdata: dict[str, Any], watch: ThreadWatch) -> None:
    before = watch.culprits()
    run_shared_prewarm(code, userdata)
    left = [culprit for culprit in watch.culprits() if culprit not in before]
    if left and not code.spec.forks_with_threads:
        raise EntrypointError(
            f"`{code.spec.prewarm}` is a shared prewarm, which may not leave a thread behind, since the processes of "
            f"all jobs are forked after it. Found {'; '.join(left)}. End the thread, or take `shared` away"
        )


def _report(code: AgentCode, watch: ThreadWatch, began: float) -> TemplateReady:
    return TemplateReady(
        pid=os.getpid(),
        import_seconds=time.monotonic() - began,
        modules=user_modules(),
        threads=watch.culprits(),
        code=reported(code),
    )
