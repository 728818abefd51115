"""Who stands in the way of a fork, by name and line; each in an interpreter without the tests' own threads."""

from pathlib import Path

import pytest

from tests.support.script import run_script

WATCH = """
from agenthost.child.thread_watch import ThreadWatch, ffi_in_use
watch = ThreadWatch()
with watch:
    import user
result = watch.culprits()
"""
NATIVE = """
import ctypes
libc = ctypes.CDLL(None)
thread = ctypes.c_ulong()
libc.pthread_create(ctypes.byref(thread), None, libc.sleep, ctypes.c_void_p(300))
"""


def culprits(folder: Path, user: str, **modules: str) -> list[str]:
    for name, code in {"user": user, **modules}.items():
        (folder / f"{name}.py").write_text(code)
    return list(run_script(WATCH, cwd=folder))


def test_module_without_threads_may_be_forked(tmp_path: Path) -> None:
    """Also one whose thread has ended by the time it is imported."""
    assert culprits(tmp_path, "import threading\nt = threading.Thread(target=int)\nt.start()\nt.join()\n") == []


def test_thread_is_named_with_the_line_that_started_it(tmp_path: Path) -> None:
    """The user's own line."""
    code = "import threading, time\n\nthreading.Thread(target=time.sleep, args=(9,), name='t', daemon=True).start()\n"
    [culprit] = culprits(tmp_path, code)
    assert culprit.startswith("thread 't', started at ")
    assert culprit.endswith("user.py:3")


def test_thread_of_the_standard_library_is_blamed_on_the_line_that_asked_for_it(tmp_path: Path) -> None:
    """An executor starts its threads itself."""
    code = (
        "import concurrent.futures, threading\npool = concurrent.futures.ThreadPoolExecutor()\n"
        "pool.submit(threading.Event().wait, 1)\n"
    )
    [culprit] = culprits(tmp_path, code)
    assert "user.py:3" in culprit


def test_native_thread_is_blamed_on_the_innermost_import(tmp_path: Path) -> None:
    """Python does not see it start, but an import statement was running."""
    [culprit] = culprits(tmp_path, "import outer\n", outer="x = 1\nimport native\n", native=NATIVE)
    assert culprit.startswith("a native thread, started by `import native` at ")
    assert culprit.endswith("outer.py:2")


@pytest.mark.parametrize(
    "imports",
    ["import pkg.native", "from pkg import native", "from pkg.inner import relative", "from pkg.inner import above"],
)
def test_native_thread_is_seen_whichever_way_a_module_of_a_loaded_package_is_imported(
    tmp_path: Path, imports: str
) -> None:
    """What is loaded is passed over: that must be the module that is meant, and all that is wanted of it."""
    inner = tmp_path / "pkg" / "inner"
    inner.mkdir(parents=True)
    for file, code in {
        "pkg/__init__.py": "",
        "pkg/native.py": NATIVE,
        "pkg/inner/__init__.py": "",
        "pkg/inner/native.py": NATIVE,
        "pkg/inner/relative.py": "from . import native\n",
        "pkg/inner/above.py": "from ..native import thread\n",
    }.items():
        (tmp_path / file).write_text(code)
    [culprit] = culprits(tmp_path, f"import pkg.inner\nimport native\n{imports}\n", native="thread = None\n")
    assert culprit.startswith("a native thread, started by `import ")
    file = imports.rpartition(" ")[2] if "inner" in imports else "user"
    assert f"{file}.py:" in culprit


def test_native_thread_outside_any_import_is_counted(tmp_path: Path) -> None:
    """There is no line to name."""
    code = WATCH.replace("result", NATIVE + "result")
    (tmp_path / "user.py").write_text("")
    assert run_script(code, cwd=tmp_path) == ["1 native thread(s) of unknown origin"]


@pytest.mark.parametrize("how", ["import", "line"])
def test_ffi_is_named_with_its_line(tmp_path: Path, how: str) -> None:
    """A client of livekit.rtc's FFI was made; its threads are not told one by one."""
    touch = "from livekit.rtc._ffi_client import FfiClient\nFfiClient.instance\n"
    watch = "import livekit.rtc\n" + WATCH
    files = {"user": "import toucher\n", "toucher": touch} if how == "import" else {"user": touch}
    for name, code in files.items():
        (tmp_path / f"{name}.py").write_text(code)
    [culprit] = run_script(watch, cwd=tmp_path)
    file = "toucher.py" if how == "import" else "user.py"
    assert culprit.startswith("the livekit FFI, used at ") and culprit.endswith(f"{file}:2")


def test_everything_is_as_before_afterwards(tmp_path: Path) -> None:
    """Imports and threads are not watched any longer than the import of user code."""
    code = """
        import builtins, threading
        before = (builtins.__import__, threading.Thread.start)
        from agenthost.child.thread_watch import ThreadWatch
        try:
            with ThreadWatch():
                raise ValueError
        except ValueError:
            pass
        result = before == (builtins.__import__, threading.Thread.start)
    """
    assert run_script(code) is True


def test_joined_threads_are_no_obstacle_however_often(tmp_path: Path) -> None:
    """The kernel shows a joined thread for a moment longer; that is nobody's fault."""
    (tmp_path / "user.py").write_text("")
    code = """
        import threading
        from agenthost.child.thread_watch import ThreadWatch
        watch = ThreadWatch()
        found = []
        for _ in range(300):
            thread = threading.Thread(target=int)
            thread.start()
            thread.join()
            found += watch.culprits()
        result = found
    """
    assert run_script(code, cwd=tmp_path) == []
