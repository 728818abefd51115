"""`python -m agenthost.child.import_probe`: imports one agent's code as a host would, reports, and ends.

Exec'd by `agenthost validate --import`, one process per agent, thrown away afterwards. Its arguments are the time limit
in seconds, a descriptor, and the modules of `preload`; stdin is a ForkProcess with a TemplateSpec; what it found goes
to the descriptor as TemplateReady or InitFailed, or, when the limit is over, as the stacks of all threads.

The user's own code is imported in a child, as by the first process of a generation: of a script that is its main
process, which may serve something for ever. Here the libraries are, as in a template; and then, of a script, what its
jobs would run.
"""

import faulthandler
import importlib
import os
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Mapping
from typing import NoReturn

from msgspec.structs import replace

from agenthost import kernel
from agenthost.child.agent_code import load_code, reported
from agenthost.child.deferred_filters import FILTERS
from agenthost.child.libraries import import_libraries
from agenthost.child.library_scan import Scan, scan
from agenthost.child.main_process import run_main_process
from agenthost.child.own_import import Learning, import_own
from agenthost.child.shared_state import SharedState
from agenthost.child.template_main import enter_environment
from agenthost.child.thread_watch import ThreadWatch
from agenthost.child.user_errors import describe_failure
from agenthost.ipc.channel import BlockingChannel
from agenthost.ipc.messages import (
    ForkProcess,
    InitFailed,
    Message,
    Ready,
    TemplateReady,
    TemplateSpec,
    decode,
    encode,
)


def main() -> None:
    kernel.die_with_parent()
    from_the_start = ThreadWatch().culprits()
    request = decode(sys.stdin.buffer.read())
    assert isinstance(request, ForkProcess)
    assert request.spec is not None
    importlib.import_module("livekit.rtc")  # as in the base: its own thread is not the user's
    limit, result = float(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(result, False)
    # An alarm and not dump_traceback_later: that one is a thread, and threads are what is looked for. `chain` goes on
    # to what SIGALRM does by itself, which is to end the process.
    faulthandler.register(signal.SIGALRM, file=result, all_threads=True, chain=True)
    signal.setitimer(signal.ITIMER_REAL, limit)
    answer = _preload(request.spec, sys.argv[3:], from_the_start) or _import(request, request.spec, limit)
    signal.setitimer(signal.ITIMER_REAL, 0)
    if isinstance(answer, TemplateReady):
        answer = replace(answer, threads=from_the_start)
    with os.fdopen(result, "wb") as stream:
        stream.write(encode(answer))
    os._exit(0)  # whatever threads the code has started shall not keep this process alive


def _preload(spec: TemplateSpec, modules: list[str], from_the_start: tuple[str, ...]) -> Message | None:
    """What is wrong with the modules of `preload`, which the base imports before any agent's environment is there.

    Where every interpreter has threads from its start on there is no base.
    """
    sys.path[:0] = spec.path
    if from_the_start:
        return None
    watch = ThreadWatch()
    try:
        with watch:
            for module in modules:
                importlib.import_module(module)
    except BaseException as error:
        return describe_failure("preload", error)
    culprits = "; ".join(watch.culprits())
    message = f"preload may not start threads, for the base template forks; it leaves {culprits}"
    return InitFailed(phase="preload", error="ThreadStarted", message=message) if culprits else None


def _import(request: ForkProcess, spec: TemplateSpec, limit: float) -> Message:
    began = time.monotonic()
    try:
        enter_environment(spec, os.open(os.devnull, os.O_WRONLY))
        found = scan(spec.code)
        credentials = request.credentials if found.framework else {}
        if spec.shared:
            ready = _import_shared(spec, credentials)
        else:
            ready = _import_own(replace(request, code=spec.code, credentials=credentials), found, limit)
    except BaseException as error:
        return describe_failure("import", error)
    return replace(ready, import_seconds=time.monotonic() - began) if isinstance(ready, TemplateReady) else ready


def _import_shared(spec: TemplateSpec, credentials: Mapping[str, str]) -> Message:
    """As in a template that imports everything. Raises whatever the code raises, EntrypointError for what it leaves."""
    os.environ.update(credentials)
    with SharedState() as state:
        code = load_code(spec.code)
    odd = state.check(spec.code, "import")
    return TemplateReady(pid=os.getpid(), import_seconds=0.0, code=reported(code), shared=odd)


def _import_own(request: ForkProcess, found: Scan, limit: float) -> Message:
    """As in a process of its own, and what of it comes from a template. Raises whatever the code raises."""
    assert request.code is not None
    first = _first_process(request, limit)
    if not isinstance(first, Ready):
        return first
    signal.setitimer(signal.ITIMER_REAL, limit)
    with FILTERS:
        left_out = import_libraries((*found.found(), *first.libraries), ())
    if first.functions:
        os.environ.update(request.credentials)
        load_code(replace(request.code, functions=first.functions))
    return TemplateReady(pid=os.getpid(), import_seconds=0.0, left_out=left_out, code=first.code)


def _first_process(request: ForkProcess, limit: float) -> Message:
    """The Ready or InitFailed of a child that imports the code; where it ends without one, so does this process."""
    assert request.code is not None
    is_script = bool(request.code.entrypoint) and ":" not in request.code.entrypoint
    ours, theirs = socket.socketpair()
    signal.setitimer(signal.ITIMER_REAL, 0)  # the child has the alarm
    pid = os.fork()
    if not pid:
        ours.close()
        signal.setitimer(signal.ITIMER_REAL, limit)
        _be_first(replace(request, kind="main" if is_script else "job", learns=True), BlockingChannel(theirs))
    theirs.close()
    try:
        answer = BlockingChannel(ours).receive()
    except EOFError:
        _end_alike(os.waitpid(pid, 0)[1])
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return answer


def _be_first(request: ForkProcess, channel: BlockingChannel) -> NoReturn:
    with tempfile.TemporaryFile() as file:
        learning = Learning(request, os.dup(file.fileno()))
        os.environ.update(request.credentials)
        if request.kind == "main":
            run_main_process(request, channel, learning)
        else:
            try:
                channel.send(import_own(request, learning).report())
            except BaseException as error:
                channel.send(describe_failure("import", error))
    os._exit(0)


def _end_alike(status: int) -> NoReturn:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        faulthandler.unregister(signal.SIGALRM)
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
    os._exit(os.WEXITSTATUS(status))


if __name__ == "__main__":
    main()
