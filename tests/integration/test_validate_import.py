"""`validate --import` with real processes: what raises, hangs or dies, and that nothing is left."""

import os
import time
from pathlib import Path

import psutil
import pytest

from agenthost.cli.import_check import check_by_importing
from agenthost.cli.main import main
from agenthost.config.loading import Options, examine_text
from agenthost.errors import ExitCode

ENTRYPOINT = "async def entrypoint(ctx): ...\n"
CODE = {
    "good": "import os\nassert os.environ['SHARED'] == 'yes'\nassert 'LIVEKIT_API_SECRET' not in os.environ\n",
    "raising": "def f():\n    raise RuntimeError('no key')\nf()\n",
    "missing": "import a_package_that_is_not_there\n",
    "hanging": "import time\nwhile True:\n    time.sleep(0.05)\n",
    "threaded": "import threading, time\nthreading.Thread(target=time.sleep, args=(600,), name='poller').start()\n",
    "exiting": "import os\nos._exit(3)\n",
    "leaving": "raise SystemExit('not run as a script')\n",
    "printing": "import sys\nprint('out')\nprint('err', file=sys.stderr)\n",
    "forking": "import subprocess\nsubprocess.Popen(['sleep', '7654'])\n",
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, text in CODE.items():
        (tmp_path / f"probed_{name}.py").write_text(text + ENTRYPOINT)
    monkeypatch.setenv("LIVEKIT_API_SECRET", "canary")
    return tmp_path


def probe(folder: Path, *names: str, preload: str = "[]") -> dict[str, str]:
    """Code and message of what importing each agent's code shows, by agent (or `preload`)."""
    agents = "".join(f"  {name}: probed_{name}:entrypoint\n" for name in names)
    text = f"preload: {preload}\nlimits: {{ init: 1s }}\nenv: {{ SHARED: 'yes' }}\nagents:\n{agents}"
    environ = dict(os.environ) | {"LIVEKIT_URL": "ws://127.0.0.1:1", "LIVEKIT_API_KEY": "key"}
    done = examine_text(text, folder / "agenthost.yaml", Options(environ=environ, command="start"))
    assert done.config is not None, done.findings
    assert done.resolved is not None
    imported = check_by_importing(done.config, done.resolved, "agenthost.yaml")
    return {
        ["preload", "", "", "", *names][finding.line - 1]: f"{finding.code} {finding.message} | {finding.hint}"
        for finding in imported.findings
    }


def test_each_way_to_fail_has_its_finding(folder: Path) -> None:
    """At the reference in the file, with the line of the user's code."""
    found = probe(folder, "good", "raising", "missing", "hanging", "threaded", "exiting", "leaving", "printing")
    assert set(found) == {"raising", "missing", "hanging", "exiting", "leaving"}  # a thread is the process's own
    assert found["raising"].startswith("AH265")
    assert "RuntimeError: no key | raised in probed_raising.py:2" in found["raising"]
    assert "a_package_that_is_not_there" in found["missing"]
    assert found["hanging"].startswith("AH266")
    assert "it stood at probed_hanging.py:3; if it only is slow, write a longer `limits.init`" in found["hanging"]
    assert found["exiting"].startswith("AH268 importing the code of `exiting` ended the process: exit code 3")
    assert found["leaving"].startswith("AH265")


def test_preload_is_imported_first_and_may_not_start_threads(folder: Path) -> None:
    """In the base, so its failure is not an agent's."""
    assert probe(folder, "good", preload="[probed_printing]") == {}
    assert "no key" in probe(folder, "good", preload="[probed_raising]")["preload"]
    assert "'poller'" in probe(folder, "good", preload="[probed_threaded]")["preload"]


def test_nothing_of_an_import_is_left(folder: Path) -> None:
    """Neither the process nor what it started."""
    assert probe(folder, "forking") == {}
    deadline = time.monotonic() + 5
    while any("7654" in process.info["cmdline"] for process in processes()) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any("7654" in process.info["cmdline"] for process in processes())


def processes() -> list[psutil.Process]:
    return [process for process in psutil.process_iter(["cmdline"]) if process.info["cmdline"]]


def test_the_command_shows_the_users_own_traceback(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """On stderr, without a frame of ours; the finding on stdout."""
    monkeypatch.chdir(folder)
    Path("agenthost.yaml").write_text("entrypoint: probed_raising:entrypoint\n")
    assert main(["validate", "--no-secrets", "--import"]) == ExitCode.CONFIG
    written = capsys.readouterr()
    assert "error[AH265]" in written.out
    assert "imports ✗" in written.out
    assert 'probed_raising.py", line 2, in f' in written.err
    assert "agenthost/child" not in written.err
