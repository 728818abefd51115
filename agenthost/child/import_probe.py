"""`python -m agenthost.child.import_probe`: imports one agent's code as a process of it would, reports, and ends.

Exec'd by `agenthost validate --import`, one process per agent, thrown away afterwards. Its arguments are the time limit
in seconds, a descriptor, and the modules of `preload`; stdin is a ForkProcess with a TemplateSpec; what it found goes
to the descriptor as TemplateReady or InitFailed, or, when the limit is over, as the stacks of all threads.
"""

import faulthandler
import importlib
import os
import signal
import sys
import time
from collections.abc import Mapping

from agenthost import kernel
from agenthost.child.agent_code import load_code, reported
from agenthost.child.deferred_filters import FILTERS
from agenthost.child.libraries import import_libraries
from agenthost.child.library_scan import scan
from agenthost.child.shared_state import SharedState
from agenthost.child.template_main import enter_environment
from agenthost.child.thread_watch import ThreadWatch
from agenthost.child.user_errors import describe_failure
from agenthost.ipc.messages import (
    ForkProcess,
    InitFailed,
    LeftOut,
    Message,
    TemplateReady,
    TemplateSpec,
    decode,
    encode,
)


def main() -> None:
    kernel.die_with_parent()
    request = decode(sys.stdin.buffer.read())
    assert isinstance(request, ForkProcess)
    assert request.spec is not None
    spec = request.spec
    importlib.import_module("livekit.rtc")  # as in the base: its own thread is not the user's
    limit, result = float(sys.argv[1]), int(sys.argv[2])
    os.set_inheritable(result, False)
    # An alarm and not dump_traceback_later: that one is a thread, and threads are what is looked for. `chain` goes on
    # to what SIGALRM does by itself, which is to end the process.
    faulthandler.register(signal.SIGALRM, file=result, all_threads=True, chain=True)
    signal.setitimer(signal.ITIMER_REAL, limit)
    answer = _preload(spec, sys.argv[3:]) or _import(spec, request.credentials)
    signal.setitimer(signal.ITIMER_REAL, 0)
    with os.fdopen(result, "wb") as stream:
        stream.write(encode(answer))
    os._exit(0)  # whatever threads the code has started shall not keep this process alive


def _preload(spec: TemplateSpec, modules: list[str]) -> Message | None:
    """What is wrong with the modules of `preload`, which the base imports before any agent's environment is there."""
    sys.path[:0] = spec.path
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


def _import(spec: TemplateSpec, credentials: Mapping[str, str]) -> Message:
    began = time.monotonic()
    left_out: tuple[LeftOut, ...] = ()
    try:
        enter_environment(spec, os.open(os.devnull, os.O_WRONLY))
        found = scan(spec.code)
        os.environ.update(credentials if found.framework else {})
        if spec.shared:
            with SharedState() as state:
                code = load_code(spec.code)
            state.check(spec.code, "import")
        else:
            with FILTERS:
                left_out = import_libraries(found.found(), ())
            code = load_code(spec.code)
    except BaseException as error:
        return describe_failure("import", error)
    seconds = time.monotonic() - began
    return TemplateReady(pid=os.getpid(), import_seconds=seconds, left_out=left_out, code=reported(code))


if __name__ == "__main__":
    main()
