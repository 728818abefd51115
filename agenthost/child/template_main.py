"""An agent template: forked from the base, for one agent, and for all generations that differ in its own code alone.

Takes the agent's environment and working directory, imports the libraries that the agent's code imports, freezes the
heap, and then only forks: job processes and, where the agent has a request handler or load function, a hook process, or
the main process of a script. Each imports the agent's own code itself (`own_import.py`). Under `imports: shared` it is
imported here, once for all, and a shared prewarm is run.
"""

import gc
import importlib
import os
import socket
import sys
import time
from typing import Any

from msgspec import Struct, field

from agenthost import kernel
from agenthost.child.agent_code import AgentCode, load_code, reported
from agenthost.child.bytecode import write_no_bytecode_of_users
from agenthost.child.deferred_filters import FILTERS
from agenthost.child.fork_server import ForkServer
from agenthost.child.framework import prepare_framework
from agenthost.child.hook_main import run_hook_process
from agenthost.child.huge_pages import collapse_large
from agenthost.child.job_main import run_job_process, run_shared_prewarm
from agenthost.child.libraries import import_libraries
from agenthost.child.library_scan import scan
from agenthost.child.main_process import run_main_process
from agenthost.child.main_script import place_of_code
from agenthost.child.own_import import Imported, Learning, import_own
from agenthost.child.process_setup import Descriptors, reseed, show_arguments
from agenthost.child.shared_state import SharedState
from agenthost.child.user_errors import describe_failure
from agenthost.child.user_modules import find_targets, user_modules
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import (
    ForkProcess,
    Hello,
    LeftOut,
    Library,
    Ready,
    TemplateReady,
    TemplateSpec,
    decode,
    encode,
)
from agenthost.logs import pipe_handler
from agenthost.logs.events import get_logger

log = get_logger("template")


class Loaded(Struct, kw_only=True):
    """What a template has for its forks: `code` only where the user's own is shared, with what its prewarm left.

    `phase` is what it is at.
    """

    phase: str = "import"
    code: AgentCode | None = None
    userdata: dict[str, Any] = field(default_factory=dict)
    libraries: tuple[Library, ...] = ()
    left_out: tuple[LeftOut, ...] = ()
    framework: bool = False


def run_template(descriptors: Descriptors, *, host_pid: int, host_id: str) -> int:
    """The whole life of an agent template; returns its exit code."""
    assert descriptors.file is not None
    spec = _read_spec(descriptors.file)
    control = socket.socket(fileno=descriptors.channel)
    control.send(encode(Hello(pid=os.getpid())))
    began = time.monotonic()
    loaded = Loaded()
    try:
        enter_environment(spec, descriptors.log)
        _load(spec, loaded)
    except BaseException as error:
        control.send(encode(describe_failure(loaded.phase, error)))
        return 1
    pipe_handler.set_levels(spec.log_level, spec.log_levels)  # whatever was set by what was imported
    gc.collect()
    gc.freeze()
    collapse_large()
    kernel.outlive_parent()  # to kill what it leaves behind; the base may be gone

    def run(fork: ForkProcess, ends: Descriptors) -> int:
        pipe_handler.install(ends.log, level=fork.log_level, levels=fork.log_levels)
        os.close(descriptors.log)  # the template's: a process holds no end of another one's pipes
        channel = BlockingChannel(socket.socket(fileno=ends.channel))
        return run_process(fork, channel, ends.file, loaded.code, loaded.userdata)

    server = ForkServer(control, host_pid=host_pid, host_id=host_id, run=run)
    server.report(
        TemplateReady(
            pid=os.getpid(),
            import_seconds=time.monotonic() - began,
            modules=user_modules(),
            left_out=loaded.left_out,
            framework=loaded.framework,
            libraries=loaded.libraries if spec.libraries is None else (),
            code=None if loaded.code is None else reported(loaded.code),
        )
    )
    return server.serve()


def enter_environment(spec: TemplateSpec, log: int) -> None:
    """Environment, folder, import path and logging of the agent, for a template or a spawned process."""
    kernel.forget_variables(set(os.environ) - set(spec.env))
    os.environ.update(spec.env)
    os.chdir(spec.working_dir)
    sys.path[:0] = [folder for folder in spec.path if folder not in sys.path]
    show_arguments(place_of_code(spec.code.entrypoint), spec.arguments)
    find_targets((spec.working_dir, *spec.path))
    write_no_bytecode_of_users()
    importlib.invalidate_caches()
    pipe_handler.install(log, level=spec.log_level, levels=spec.log_levels)


def run_process(
    request: ForkProcess,
    channel: BlockingChannel,
    file: int | None,
    code: AgentCode | None,
    userdata: dict[str, Any],
) -> int:
    """What a job or hook process does from its first word; `code` is what its template has of the user's, if any.

    Returns its exit code.
    """
    try:
        channel.send(Hello(pid=os.getpid()))
        began = time.monotonic()
        if code is not None:
            return _serve(request.kind, channel, Imported(code=code, report=Ready), userdata, began)
        learning = Learning(request, file)
        if request.kind == "main":
            return run_main_process(request, channel, learning)
        try:
            imported = import_own(request, learning)
        except BaseException as error:
            channel.send(describe_failure("import", error))
            return 1
        reseed()
        return _serve(request.kind, channel, imported, userdata, began)
    except EOFError:
        return 0  # the host has no use for this process any more


def _serve(kind: str, channel: BlockingChannel, imported: Imported, userdata: dict[str, Any], began: float) -> int:
    if kind == "hook":
        return run_hook_process(channel, imported.code, report=imported.report)
    return run_job_process(channel, imported.code, userdata, began=began, report=imported.report)


def _read_spec(file: int) -> TemplateSpec:
    with open(file, "rb") as stream:
        spec = decode(stream.read())
    assert isinstance(spec, TemplateSpec)
    return spec


def _load(spec: TemplateSpec, loaded: Loaded) -> None:
    if not spec.shared:
        _load_libraries(spec, loaded)
        return
    with SharedState() as state:
        loaded.code = load_code(spec.code)
        if loaded.code.prewarm is not None and spec.code.prewarm_shared:
            loaded.phase = "prewarm"
            run_shared_prewarm(loaded.code, loaded.userdata)
    for what, place in state.check(spec.code, loaded.phase):
        log.warning("shared by all jobs", what=what, at=place, hint="imports: own gives each job its own")


def _load_libraries(spec: TemplateSpec, loaded: Loaded) -> None:
    found = scan(spec.code)
    loaded.framework = found.framework
    with FILTERS:
        loaded.libraries = found.found() if spec.libraries is None else spec.libraries
        loaded.left_out = import_libraries(loaded.libraries, spec.left_out)
    if not loaded.left_out:
        prepare_framework()
