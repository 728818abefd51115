"""A process in our own memory, for a moment; each test in a program of its own, since pytest has threads."""

import pytest

from tests.support.script import run_script


def test_it_is_another_process_in_the_same_memory() -> None:
    """It has ended when the call returns; what it returned is its exit code, what it changed stays changed."""
    code = """
        import os
        from agenthost.child.brief_process import run_briefly
        seen = []

        def body():
            seen.append(os.getpid())
            return 7

        pid = run_briefly(body)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        result = [seen == [pid], pid != os.getpid(), status]
    """
    assert run_script(code) == [True, True, 7]


def test_what_it_forks_has_a_memory_and_a_main_thread_of_its_own() -> None:
    """The fork goes on for long, deep in calls, with threads and signals; this process stays as it was."""
    code = """
        import os, signal, sys, threading
        from agenthost.child.brief_process import run_briefly
        from agenthost import kernel
        kernel.become_subreaper()
        seen = []

        def deep(left):
            return sorted([left], key=lambda number: deep(number - 1) if number else 0)

        def go_on(writer):
            seen.append("fork")
            deep(100)
            heard = []
            signal.signal(signal.SIGALRM, lambda *_: heard.append("alarm"))
            signal.raise_signal(signal.SIGALRM)
            thread = threading.Thread(target=lambda: heard.append(threading.current_thread().name), name="other")
            thread.start()
            thread.join()
            main = threading.current_thread() is threading.main_thread()
            tid = threading.get_native_id() == os.getpid()
            stack = [line for line in open("/proc/self/maps") if "[stack]" in line]
            low, high = (int(each, 16) for each in stack[0].split()[0].split("-"))
            pointer = int(open("/proc/self/syscall").read().split()[-2], 16)
            os.write(writer, repr([seen, heard, main, tid, low < pointer < high]).encode())
            os._exit(0)

        told = []
        for number in range(20):
            reader, writer = os.pipe()

            def body():
                if os.fork() == 0:
                    go_on(writer)
                seen.append(number)
                return 0

            os.waitpid(run_briefly(body), 0)
            told.append(eval(os.read(reader, 1000)))
            os.wait()
            os.close(reader)
            os.close(writer)
        right = [[[*range(number), "fork"], ["alarm", "other"], True, True, True] for number in range(20)]
        result = [seen == list(range(20)), told == right]
    """
    assert run_script(code) == [True, True]


def test_refusal_of_the_kernel_is_an_error() -> None:
    """EAGAIN: too many processes."""
    code = """
        import errno, json, os, resource
        from agenthost import kernel
        from agenthost.child.brief_process import run_briefly
        libc = kernel.libc_with_gil()
        os.setuid(65534)
        libc.prctl(4, 1, 0, 0, 0)  # inspectable again, by itself too
        resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        try:
            run_briefly(lambda: 0)
            result = "no error"
        except OSError as error:
            result = error.errno == errno.EAGAIN
    """
    assert run_script(code) is True


@pytest.mark.parametrize(
    "lack",
    [
        "resource.setrlimit(resource.RLIMIT_STACK, (512 * 1024, resource.RLIM_INFINITY))",
        "brief_process._POINTER_FILE = '/proc/no such file'",
        "brief_process._SHARING = 0x800",  # signal handlers without memory: the kernel takes it for nonsense
    ],
)
def test_nothing_is_called_where_it_cannot_be(lack: str) -> None:
    """A stack too small to go on with, or a system that does not tell where it is, or allows no such thing."""
    code = f"""
        import resource
        from agenthost.child import brief_process
        {lack}
        called = []
        result = [brief_process.run_briefly(lambda: called.append(1) or 0), called]
    """
    assert run_script(code) == [None, []]
