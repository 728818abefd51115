"""What user code registers to run at the end of its process, in real processes."""

import pytest

from agenthost.ipc.messages import Ended, Heartbeat, Started
from tests.support.job_process import Fork

HANGS = """
    import atexit, threading
    async def entrypoint(ctx):
        atexit.register(threading.Event().wait)
        atexit.register(hang)
    def hang():
        threading.Event().wait()
"""


def test_exit_functions_run_after_the_callbacks_the_last_one_first(fork: Fork) -> None:
    """In the main thread and with no loop running, as at the end of a script."""
    code = """
        import asyncio, atexit, threading
        async def entrypoint(ctx):
            ctx.add_shutdown_callback(lambda: print("callback"))
            atexit.register(print, "first")
            atexit.register(lambda: asyncio.run(flush()))
            atexit.register(lambda: print(threading.current_thread() is threading.main_thread()))
        async def flush():
            print("flushed")
    """
    process = fork(code)
    process.start()
    assert process.end().kind == "succeeded"
    assert process.output.splitlines() == ["callback", "True", "flushed", "first"]
    assert process.exit_code == 0


def test_batches_are_flushed(fork: Fork) -> None:
    """An exporter with a thread that is joined at exit, buffered log records, and what a finaliser cleans up."""
    code = """
        import atexit, logging, logging.handlers, queue, sys, threading, weakref
        class Exporter:
            def __init__(self):
                self.events = queue.Queue()
                self.thread = threading.Thread(target=self.work, daemon=True)
                self.thread.start()
                atexit.register(self.close)
            def work(self):
                batch = []
                while (event := self.events.get()) is not None:
                    batch.append(event)
                print("sent", *batch)
            def close(self):
                self.events.put(None)
                self.thread.join()
        class Resource: pass
        class Show(logging.Handler):
            def emit(self, record): print("logged", record.getMessage())
        async def entrypoint(ctx):
            global resource
            resource = Resource()
            weakref.finalize(resource, print, "finalised")
            exporter = Exporter()
            exporter.events.put("one")
            exporter.events.put("two")
            logger = logging.getLogger("batched")
            logger.addHandler(logging.handlers.MemoryHandler(1000, target=Show()))
            logger.info("three")
    """
    process = fork(code)
    process.start()
    process.end()
    assert process.output.splitlines() == ["sent one two", "finalised", "logged three"]


def test_exit_function_that_raises_is_logged(fork: Fork) -> None:
    """With its name and traceback, and the others have their turn."""
    code = """
        import atexit
        def flush(): raise OSError("no route")
        async def entrypoint(ctx):
            atexit.register(print, "still called")
            atexit.register(flush)
    """
    process = fork(code)
    process.start()
    assert process.end().kind == "succeeded"
    assert process.output == "still called\n"
    line = process.line("failed while the process was ending")
    assert line.fields["function"] == "flush"
    assert "OSError: no route" in (line.traceback or "")


def test_exit_function_that_is_not_pythons_own_is_named_too(fork: Fork) -> None:
    """It has no frame to be named by, and from Python 3.13 on atexit hands over no object either."""
    code = """
        import atexit
        async def entrypoint(ctx): atexit.register(open, "/nowhere/report")
    """
    process = fork(code)
    process.start()
    assert process.end().kind == "succeeded"
    line = process.line("failed while the process was ending")
    assert line.fields["function"] in ("open", "<built-in function open>")


def test_exit_function_that_hangs_is_named_and_left(fork: Fork) -> None:
    """The callbacks and the exit functions share `limits.shutdown`; how the job ended is told already."""
    process = fork(HANGS)
    process.start(shutdown_seconds=1.2)
    process.receive(Ended)
    assert Heartbeat(people=0) in process.rest()
    line = process.line("exit functions took too long; the process ends without them")
    assert str(line.fields["at"]).endswith(".py:7")
    assert line.fields["limit_seconds"] == pytest.approx(1.2, abs=0.1)
    assert process.exit_code == 0


def test_second_signal_cuts_the_exit_functions_short(fork: Fork) -> None:
    """A budget that comes while they run holds for them, too."""
    process = fork(HANGS)
    process.start(shutdown_seconds=1000.0)
    process.receive(Ended)
    process.stop("second signal", budget_seconds=0.05)
    process.rest()
    assert process.exit_code == 0


def test_host_that_is_gone_ends_the_process(fork: Fork) -> None:
    """Nobody is left to end it."""
    process = fork(HANGS)
    process.start(shutdown_seconds=1000.0)
    process.receive(Ended)
    process.hang_up()
    assert process.wait() == 1


def test_process_without_exit_functions_says_nothing_more(fork: Fork) -> None:
    """The end of its job is its last word."""
    process = fork("async def entrypoint(ctx): pass")
    process.start()
    process.receive(Started)
    assert process.end().kind == "succeeded"
