"""What faulthandler writes, as a traceback."""

import faulthandler
import re
import sys
import tempfile
import threading
from pathlib import Path

from agenthost.context import job_process
from agenthost.logs.stack_dumps import format_dump, innermost, innermost_in, start_of_dump

OURS = job_process.__file__
DUMP = f"""Thread 0x00007f0000000001 (most recent call first):
  File "{threading.__file__}", line 1 in run
  File "<frozen runpy>", line 88 in _run_code

Current thread 0x00007f0000000000 (most recent call first):
  File "/app/models.py", line 12 in load
  File "/app/voice.py", line 7 in prewarm
  File "{OURS}", line 3 in _prewarm
  File "<frozen runpy>", line 88 in _run_code
"""


def test_stack_reads_like_a_traceback_of_the_users_code() -> None:
    """The innermost frame last; neither our frames nor threads in which the user has no part."""
    told = format_dump(DUMP)
    assert told == (
        "Traceback (most recent call last):\n"
        '  File "/app/voice.py", line 7, in prewarm\n'
        '  File "/app/models.py", line 12, in load'
    )
    assert innermost(told) == ("/app/models.py", 12)


def test_an_import_is_its_line_and_not_the_import_system() -> None:
    """What hangs in a module that was imported from another one; what has no file is no place to look at."""
    told = format_dump(
        """Current thread 0x1 (most recent call first):
  File "<string>", line 9 in <module>
  File "/venv/site-packages/models.py", line 12 in <module>
  File "<frozen importlib._bootstrap_external>", line 940 in exec_module
  File "<frozen importlib._bootstrap>", line 1176 in _find_and_load
  File "/app/voice.py", line 3 in <module>
"""
    )
    assert "importlib" not in told
    assert innermost(told) == ("/venv/site-packages/models.py", 12)
    assert innermost_in("/app", told) == ("/app/voice.py", 3)
    assert innermost_in("/elsewhere", told) == innermost(told)


def test_source_lines_are_shown_as_they_are_now(tmp_path: Path) -> None:
    """The file was edited a moment ago: what was cached of it is of no use."""
    file = tmp_path / "voice.py"
    dump = f'Current thread 0x1 (most recent call first):\n  File "{file}", line 1 in prewarm\n'
    for text in ("time.sleep(600)", "while True: pass"):
        file.write_text(f"{text}\n")
        assert format_dump(dump).splitlines()[-1] == f"    {text}"


def test_stack_without_user_code_is_told_as_it_is() -> None:
    """It hangs in something of ours, and that is what to report."""
    told = format_dump(f'Current thread 0x1 (most recent call first):\n  File "{OURS}", line 3 in _prewarm\n')
    assert f'File "{OURS}", line 3, in _prewarm' in told


def test_dump_is_found_behind_other_output() -> None:
    """A library may have written a warning in the same moment."""
    text = b"some warning\n" + DUMP.encode()
    start = start_of_dump(text)
    assert start is not None
    assert text[:start] == b"some warning\n"
    assert start_of_dump(b"Thread 0x12 is what I talk about\n") is None


def test_it_is_what_this_python_writes() -> None:
    """Its wording is no interface, and differs between versions."""
    with tempfile.TemporaryFile() as file:
        faulthandler.dump_traceback(file, all_threads=True)
        file.seek(0)
        dump = file.read()
    assert start_of_dump(dump) == 0
    here = sys._getframe().f_code.co_name
    assert re.search(rf'File "{re.escape(__file__)}", line \d+, in {here}', format_dump(dump.decode()))
