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


IGNORING = "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN)"
FORKED_TWICE = "from agenthost.child import forking; forking.run_briefly = lambda body: None"
"""As on a system where a process that shares our memory is not possible."""


@pytest.mark.parametrize("before", ["pass", IGNORING, FORKED_TWICE])
def test_new_process_is_a_child_of_the_subreaper_and_exits_with_its_code(before: str) -> None:
    """Not of the template, which may be gone; also when user code made the kernel reap children."""
    assert run_script(FORK.format(template=before)) == [True, 7]


@pytest.mark.parametrize(("before", "known"), [("pass", True), (FORKED_TWICE, False)])
def test_the_pid_is_told_once_the_host_is_the_parent(before: str, known: bool) -> None:
    """So that the host can be told of it; 0 where a second fork keeps it from us."""
    code = """
        import os, signal
        from agenthost import kernel
        from agenthost.child.forking import fork_detached
        {before}
        kernel.become_subreaper()
        pid = fork_detached(lambda: None, lambda: signal.pause() or 0, os.getpid())
        [child] = kernel.children()
        os.kill(child, signal.SIGKILL)
        result = [pid == child, pid == 0, os.waitpid(child, 0)[1]]
    """
    assert run_script(code.format(before=before)) == [known, not known, 9]


def test_template_ends_with_an_intermediate_process_that_is_killed() -> None:
    """It may have left our memory in the middle of something: another template is made."""
    code = """
        import os, signal
        from agenthost.child import forking
        forking._fork_orphan = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        template = os.fork()
        if template == 0:
            forking.fork_detached(lambda: None, lambda: 0, os.getppid())
            os._exit(0)
        result = os.waitstatus_to_exitcode(os.waitpid(template, 0)[1])
    """
    assert run_script(code) == 1


@pytest.mark.parametrize("which", ["brief", "first", "second"])
def test_refused_fork_is_an_error_with_its_reason(which: str) -> None:
    """The template cannot fork, or the intermediate process cannot: the template hears of both."""
    code = """
        import os
        from agenthost import kernel
        from agenthost.child import forking

        def refuse():
            raise BlockingIOError(11, "Resource temporarily unavailable")

        if "{which}" == "brief":
            forking.run_briefly = lambda body: refuse()
        elif "{which}" == "first":
            forking.run_briefly = lambda body: None
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


def test_fork_handlers_run_as_at_any_fork() -> None:
    """Those of user code, once for each process that is made: in the template around the fork, and in the new one."""
    code = """
        import os
        from agenthost.child.forking import fork_detached
        from agenthost import kernel
        kernel.become_subreaper()
        told = []
        for key in ("before", "after_in_child", "after_in_parent"):
            os.register_at_fork(**{key: lambda key=key: told.append(key)})
        reader, writer = os.pipe()
        fork_detached(lambda: None, lambda: os.write(writer, " ".join(told).encode()) and 0, os.getpid())
        result = [os.read(reader, 100).decode(), told]
        os.wait()
    """
    assert run_script(code) == ["before after_in_child", ["before", "after_in_parent"]]


def test_what_a_fork_handler_changes_is_changed_in_the_template() -> None:
    """Descriptors, signal handlers and the folder, not only memory: as if the template itself had forked."""
    code = """
        import os, re, signal
        from agenthost import kernel
        from agenthost.child.forking import fork_detached
        kernel.become_subreaper()
        opened = []

        def before():
            opened.append(os.open("/dev/zero", os.O_RDONLY))
            signal.signal(signal.SIGUSR2, signal.SIG_IGN)
            os.chdir("/proc")

        os.register_at_fork(before=before)
        fork_detached(lambda: None, lambda: 0, os.getpid())
        os.wait()
        [ignored] = re.findall(r"SigIgn:\\s+(\\w+)", open("/proc/self/status").read())
        bit = int(ignored, 16) >> (signal.SIGUSR2 - 1) & 1
        result = [os.read(opened[0], 2).hex(), bit, os.readlink("/proc/self/cwd")]
    """
    assert run_script(code) == ["0000", 1, "/proc"]


def test_template_ends_with_a_fork_handler_that_starts_a_thread() -> None:
    """It would run on in the template's memory; the new process is there, and the reason is told."""
    code = """
        import os, threading
        from agenthost import kernel
        from agenthost.child.forking import fork_detached
        kernel.become_subreaper()
        host = os.getpid()
        errors, stderr = os.pipe()
        reader, writer = os.pipe()
        template = os.fork()
        if template == 0:
            os.dup2(stderr, 2)
            gate = threading.Event()
            os.register_at_fork(after_in_parent=lambda: threading.Thread(target=gate.wait).start())
            fork_detached(lambda: None, lambda: os.write(writer, b"new") and 0, host)
            os._exit(0)
        code = os.waitstatus_to_exitcode(os.waitpid(template, 0)[1])
        result = [code, os.read(reader, 10).decode(), "has started a thread" in os.read(errors, 1000).decode()]
    """
    assert run_script(code) == [1, "new", True]


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
