"""The first moments of a process, one by one; what they are together is in tests/integration/processes."""

from tests.support.script import run_script


def test_process_whose_host_is_gone_ends_at_once() -> None:
    """Its parent is neither the intermediate process nor the host: nobody would look after it."""
    code = """
        import os
        from agenthost.child.process_setup import wait_for_host
        pid = os.fork()
        if pid == 0:
            wait_for_host(intermediate=-1, host_pid=-2)
            os._exit(0)
        result = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    """
    assert run_script(code) == 1


def test_taken_over_streams_are_the_pipes_and_print_at_once() -> None:
    """stdin is empty, stdout and stderr are the host's pipes, and what is left over is closed on exec."""
    code = """
        import os, sys
        from agenthost.child.process_setup import Descriptors, take_over
        pipes = [os.pipe() for _ in range(3)]
        pid = os.fork()
        if pid == 0:
            received = [os.dup(end) for end in (pipes[2][1], pipes[0][1], pipes[1][1], pipes[2][1])]
            for end in received:
                os.set_inheritable(end, True)
            descriptors = Descriptors.of(received)
            take_over(descriptors)
            print("out")
            print("err", file=sys.stderr)
            facts = (os.read(0, 1), os.getsid(0) == os.getpid(), os.get_inheritable(descriptors.log))
            os.write(descriptors.log, repr(facts).encode())
            os._exit(0)
        os.waitpid(pid, 0)
        result = [os.read(pipe[0], 100).decode() for pipe in pipes]
    """
    assert run_script(code) == ["out\n", "err\n", "(b'', True, False)"]


def test_random_numbers_are_new() -> None:
    """Python's and, where it is imported, numpy's."""
    code = """
        import random, numpy
        from agenthost.child.process_setup import reseed
        draws = []
        for _ in range(2):
            random.seed(1)
            numpy.random.seed(1)
            reseed()
            draws.append((random.random(), float(numpy.random.random())))
        result = [first != second for first, second in zip(*draws)]
    """
    assert run_script(code) == [True, True]


def test_signals_for_a_group_do_not_end_it_but_what_it_forks() -> None:
    """The host alone decides when a process ends; a copy of it that user code makes is an ordinary process."""
    code = """
        import os, signal, time
        from agenthost.child.process_setup import reset_signals
        reset_signals()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(os.getpid(), number)
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(writer, b"!")
            time.sleep(20)
        os.read(reader, 1)
        os.kill(pid, signal.SIGTERM)
        result = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    """
    assert run_script(code) == -15


def test_signal_in_the_middle_of_a_fork_ends_what_is_forked() -> None:
    """Before the child has had its handlers back; its parent's mask is as before."""
    code = """
        import os, signal
        os.register_at_fork(after_in_child=lambda: os.kill(os.getpid(), signal.SIGTERM))  # it comes before ours
        from agenthost.child.process_setup import leave_signals_to_host
        leave_signals_to_host()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        pid = os.fork()
        if pid == 0:
            os._exit(0)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        result = [-status == signal.SIGTERM, signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before]
    """
    assert run_script(code) == [True, True]


def test_stacks_are_dumped_on_request() -> None:
    """SIGUSR1, also while the interpreter is busy in C."""
    code = """
        import os, signal
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.dup2(writer, 2)
            from agenthost.child.process_setup import reset_signals
            reset_signals()
            def hanging(): os.kill(os.getpid(), signal.SIGUSR1)
            hanging()
            os._exit(0)
        os.waitpid(pid, 0)
        os.close(writer)
        with open(reader) as pipe:
            result = "in hanging" in pipe.read()
    """
    assert run_script(code) is True


def test_signals_that_were_held_back_until_the_handlers_are_there_end_nothing() -> None:
    """A terminal's Ctrl-C in the moment in which a process is exec'd is for the host, as any later one."""
    code = """
        import os, signal
        from agenthost import kernel
        from agenthost.child.process_setup import reset_signals
        signal.pthread_sigmask(signal.SIG_BLOCK, kernel.HELD_BACK)
        for number in kernel.HELD_BACK:
            os.kill(os.getpid(), number)
        result = [signal.sigpending() == set(kernel.HELD_BACK)]
        stderr = os.dup(2)
        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # for the stacks that SIGUSR1 asks for
        reset_signals()
        os.dup2(stderr, 2)
        result.append(len(signal.sigpending()))
    """
    assert run_script(code) == [True, 0]


def test_print_of_half_an_emoji_is_escaped() -> None:
    """A job does not fail for it; a stream that has a way of its own keeps it."""
    code = """
        import io, sys
        from agenthost.child.process_setup import print_at_once
        ways = ("strict", "surrogateescape", "ignore")
        streams = [io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors=how) for how in ways]
        sys.stdout, sys.stderr, sys.__stdout__ = streams
        print_at_once()
        for stream in streams:
            print("a\\ud83d", file=stream)
        result = [stream.buffer.getvalue().decode() for stream in streams]
    """
    assert run_script(code) == ["a\\ud83d\n", "a\\ud83d\n", "a\n"]
