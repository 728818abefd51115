"""Reading the file in a process of its own: the same result, the same errors, none of the libraries."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.script import run_script

ENVIRON = {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "key", "LIVEKIT_API_SECRET": "secret"}
YAML = """
agents:
  a:
    entrypoint: module:entrypoint
    requests: { rules: [{ name: r, when: { room.name: "/^x/" }, action: reject }] }
    settings: { nested: { list: [1, two] } }
"""

CHILD = """
import os, sys
from pathlib import Path
from agenthost.cli.first_read import read_apart
def read():
    from agenthost.config.examination import Options
    from agenthost.config.loading import examine, loaded
    return loaded(examine(Path(sys.argv[1]), Options(environ=os.environ, command="start")))
config = read_apart(read)().config
print(config.agents[0].id, "jsonschema" in sys.modules, "yaml" in sys.modules)
"""


def file(folder: Path, text: str) -> Path:
    (folder / "module.py").write_text("async def entrypoint(ctx): ...\n")
    path = folder / "agenthost.yaml"
    path.write_text(text)
    return path


SAME = """
import os, sys
from pathlib import Path
from agenthost.cli.first_read import read_apart
from agenthost.config.examination import Options
from agenthost.config.findings import ConfigError
from agenthost.config.loading import examine, loaded

readers = []

def read():
    readers.append(os.getpid())
    return loaded(examine(Path({path!r}), Options(environ={environ}, command="start")))

def told(read):
    try:
        return read()
    except ConfigError as error:
        return error.findings, error.source

apart = told(read_apart(read))
assert not readers
result = apart == told(read)
"""


@pytest.mark.parametrize("text", [YAML, "entrypont: x:y\nlimits: { memory: 3 }\n"])
def test_what_comes_of_it_is_the_same_as_read_here(text: str, tmp_path: Path) -> None:
    """Rules, settings and read-only mappings cross the pipe unchanged, and so does each finding of a broken file."""
    assert run_script(SAME.format(path=str(file(tmp_path, text)), environ=ENVIRON))


def test_reader_that_dies_is_replaced_by_reading_here() -> None:
    """Killed, out of memory: the host finds out itself what is wrong."""
    code = """
        import os
        from agenthost.cli.first_read import read_apart
        parent = os.getpid()
        reader, writer = os.pipe()

        def read():
            if os.getpid() != parent:
                os.write(writer, b"yes")
                os._exit(9)
            return "read here"

        result = [read_apart(read)(), os.read(reader, 10).decode()]
    """
    assert run_script(code) == ["read here", "yes"]


def test_libraries_of_the_reader_stay_out_of_the_host(tmp_path: Path) -> None:
    """jsonschema and yaml are imported in the child alone."""
    path = file(tmp_path, YAML)
    command = [sys.executable, "-c", CHILD, str(path)]
    told = subprocess.run(command, capture_output=True, text=True, check=True, env={**ENVIRON, "PATH": ""})
    assert told.stdout.split() == ["a", "False", "False"]


def test_beside_a_thread_it_is_read_here() -> None:
    """A debugger or a tracer may have started one: a lock that it holds a fork would never get, and Python warns."""
    code = """
        import os, threading, warnings
        from agenthost.cli.first_read import read_apart
        warnings.simplefilter("error")
        gate = threading.Event()
        threading.Thread(target=gate.wait).start()
        result = read_apart(os.getpid)() == os.getpid()
        gate.set()
    """
    assert run_script(code)
