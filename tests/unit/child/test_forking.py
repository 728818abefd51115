"""Forking twice: whose child the new process is, and that nothing buffered comes twice."""

import pytest

from tests.support.script import run_script

FORK = """
import os, sys, time
from agenthost import kernel
from agenthost.child.forking import fork_detached
kernel.become_subreaper()
host = os.getpid()
reader, writer = os.pipe()
template = os.fork()
if template == 0:
    {template}
    fork_detached(lambda: None, lambda: os.write(writer, f"{{os.getppid()}} {{os.getpid()}}".encode()) and 7, host)
    os._exit(0)
os.waitpid(template, 0)
parent, pid = map(int, os.read(reader, 100).split())
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
result = [parent == host, status]
"""


@pytest.mark.parametrize("before", ["pass", "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)"])
def test_new_process_is_a_child_of_the_subreaper_and_exits_with_its_code(before: str) -> None:
    """Not of the template, which may be gone; also when user code made the kernel reap children."""
    assert run_script(FORK.format(template=before)) == [True, 7]


@pytest.mark.parametrize("which", ["first", "second"])
def test_refused_fork_is_an_error_with_its_reason(which: str) -> None:
    """The template cannot fork, or the intermediate process cannot: the template hears of both."""
    code = """
        import os
        from agenthost import kernel
        from agenthost.child import forking

        def refuse():
            raise BlockingIOError(11, "Resource temporarily unavailable")

        if "{which}" == "first":
            kernel.fork_untold = refuse
        else:
            os.fork = refuse
        try:
            forking.fork_detached(lambda: None, lambda: 0, os.getpid())
            result = "no error"
        except OSError as error:
            result = [error.errno, error.strerror]
    """
    assert run_script(code.replace("{which}", which)) == [11, "Resource temporarily unavailable"]


def test_fork_handlers_run_in_the_new_process_and_not_in_the_template() -> None:
    """Those of user code: once before the fork that makes the new process, and once in it."""
    code = """
        import os
        from agenthost.child.forking import fork_detached
        from agenthost import kernel
        kernel.become_subreaper()
        told = []
        os.register_at_fork(before=lambda: told.append("before"), after_in_child=lambda: told.append("child"))
        reader, writer = os.pipe()
        fork_detached(lambda: None, lambda: os.write(writer, " ".join(told).encode()) and 0, os.getpid())
        result = [os.read(reader, 100).decode(), told]
        os.wait()
    """
    assert run_script(code) == ["before child", []]


def test_buffered_output_is_written_once() -> None:
    """What a template has printed and not flushed is not printed again by its forks: Python's and C's buffers."""
    code = """
        import ctypes, os, sys
        from agenthost import kernel
        from agenthost.child.forking import flush_output, fork_detached
        kernel.become_subreaper()
        reader, writer = os.pipe()
        os.dup2(writer, 1)
        os.close(writer)
        sys.stdout.write("python ")
        ctypes.CDLL(None).printf(b"native ")
        template = os.fork()
        if template == 0:
            # the fork of a fork flushes first
            fork_detached(lambda: None, lambda: 0, os.getppid())
            flush_output()
            os._exit(0)
        os.waitpid(template, 0)
        os.wait()
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # for what this process itself still holds
        with open(reader) as pipe:
            result = sorted(pipe.read().split())
    """
    assert run_script(code) == ["native", "python"]


def test_exception_is_printed_and_the_exit_code_is_1() -> None:
    """A defect of ours must not vanish with the process."""
    code = """
        import os, sys
        from agenthost.child.forking import exit_with

        def broken():
            raise LookupError("a defect")

        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(writer, 2)
            exit_with(broken)
        os.close(writer)
        with open(reader) as pipe:
            result = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), pipe.read().splitlines()[-1]]
    """
    assert run_script(code) == [1, "LookupError: a defect"]


def test_closed_and_missing_streams_are_no_obstacle() -> None:
    """User code may close sys.stdout, or set it to None."""
    code = """
        import sys
        from agenthost.child.forking import flush_output
        sys.stdout.close()
        flush_output()
        sys.stdout = None
        flush_output()
        result = "fine"
    """
    assert run_script(code) == "fine"
