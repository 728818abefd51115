"""The watcher on real files: every way to save gives one call or none, and the last edit is never missed.

That something gives no call is shown without waiting: another file is edited afterwards, and its call comes first.
"""

import asyncio
import os
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from agenthost.watching import notifier, watcher
from agenthost.watching.places import Interest
from agenthost.watching.watcher import Watcher

DEBOUNCE = 0.05
WAIT = 10.0


@pytest.fixture(autouse=True)
def never_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Edits have to be heard of; that they are also found by looking now and then is tested by itself."""
    monkeypatch.setattr(watcher, "_POLL_SECONDS", 3600.0)


class Edited:
    """A watched folder with `agent.py` in it; `calls` are the names that were reported, one set a call."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.file = folder / "agent.py"
        self.file.write_text("first\n")
        self.last = folder / "sentinel.py"
        self.last.write_text("0")
        self.calls: list[set[str]] = []
        self.called = asyncio.Event()
        self.in_call: Callable[[], None] = lambda: None
        self.watcher = Watcher(self._on_change, debounce=DEBOUNCE)

    def _on_change(self, files: frozenset[Path]) -> None:
        self.calls.append({path.relative_to(self.folder).as_posix() for path in files})
        self.called.set()
        self.in_call()

    async def until(self, *names: str) -> None:
        """Wait for a call with these files in it."""
        async with asyncio.timeout(WAIT):
            while not any(call >= set(names) for call in self.calls):
                self.called.clear()
                await self.called.wait()

    async def calls_until_quiet(self) -> list[set[str]]:
        """All calls so far, after everything that happened has been looked at."""
        self.last.write_text(str(int(self.last.read_text()) + 1))
        await self.until("sentinel.py")
        return [call - {"sentinel.py"} for call in self.calls if call != {"sentinel.py"}]


@pytest.fixture
async def edited(tmp_path: Path) -> AsyncIterator[Edited]:
    """Watching the two files of a folder, no more."""
    edited = Edited(tmp_path)
    edited.watcher.start()
    edited.watcher.watch([edited.file, edited.last])
    yield edited
    edited.watcher.stop()


def shell(command: str) -> Callable[[Path], None]:
    def save(file: Path) -> None:
        subprocess.run(["sh", "-ec", command], cwd=file.parent, check=True, capture_output=True, timeout=WAIT)

    return save


def vim(*options: str) -> Callable[[Path], None]:
    def save(file: Path) -> None:
        command = ["vim", "-u", "NONE", "-i", "NONE", "-es", "-N"]
        for option in ("backupskip=", *options):  # by itself vim makes no backups below /tmp, where tests are
            command += ["-c", f"set {option}"]
        command += ["-c", "normal Aedited", "-c", "wq", str(file)]
        subprocess.run(command, check=True, timeout=WAIT)
        assert "edited" in file.read_text()

    return save


def vscode(file: Path) -> None:
    """Truncates and writes in place, in two steps."""
    with file.open("w") as stream:
        stream.flush()
        stream.write("second\n")


def pycharm(file: Path) -> None:
    """Safe write: beside it, then the old one away, the new one in its place, the old one deleted."""
    new, old = file.with_name("agent.py___jb_tmp___"), file.with_name("agent.py___jb_old___")
    new.write_text("second\n")
    file.rename(old)
    new.rename(file)
    old.unlink()


def in_pieces(file: Path) -> None:
    """A slow writer: each piece is on disk before the next."""
    with file.open("w") as stream:
        for piece in ("sec", "ond", "\n"):
            stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())


needs_vim = pytest.mark.skipif(shutil.which("vim") is None, reason="vim is not installed")
SAVES = [
    pytest.param(vim("nobackup", "nowritebackup"), id="vim without backup", marks=needs_vim),
    pytest.param(vim("writebackup", "backupcopy=no"), id="vim by renaming", marks=needs_vim),
    pytest.param(vim("backup", "backupcopy=yes"), id="vim with a backup copy", marks=needs_vim),
    pytest.param(vscode, id="VS Code"),
    pytest.param(pycharm, id="PyCharm safe write"),
    pytest.param(in_pieces, id="in pieces"),
    pytest.param(shell("sed -i s/first/second/ agent.py"), id="sed -i"),
    pytest.param(shell("echo second > new; cp new agent.py"), id="cp"),
    pytest.param(shell("echo second > new; mv new agent.py"), id="mv"),
    pytest.param(shell("rm agent.py; echo second > agent.py"), id="delete and create"),
    pytest.param(shell("echo second > .agent.py.x; ln -f .agent.py.x agent.py"), id="hard link"),
    pytest.param(shell("mkdir -p v; echo second > v/agent.py; ln -sf v/agent.py agent.py"), id="becomes a link"),
]


@pytest.mark.parametrize("save", SAVES)
async def test_save_is_one_change(edited: Edited, save: Callable[[Path], None]) -> None:
    """However the editor does it, and within a moment."""
    save(edited.file)
    await edited.until("agent.py")
    assert await edited.calls_until_quiet() == [{"agent.py"}]


@pytest.mark.parametrize(
    "save",
    [
        pytest.param(shell("touch agent.py"), id="touch"),
        pytest.param(shell("chmod 600 agent.py"), id="chmod"),
        pytest.param(shell("cp agent.py new; mv new agent.py"), id="the same by renaming"),
        pytest.param(shell("cp agent.py new; rm agent.py; cp new agent.py"), id="the same, made anew"),
        pytest.param(shell("echo x > agent.py; echo first > agent.py"), id="undone at once"),
        pytest.param(shell("echo x > .agent.py.swp; echo x > agent.py~; echo x > 4913; rm 4913"), id="editor's files"),
        pytest.param(shell("mkdir __pycache__; echo x > __pycache__/agent.pyc; echo x > agent.log"), id="side files"),
    ],
)
async def test_what_changes_no_content_is_nothing(edited: Edited, save: Callable[[Path], None]) -> None:
    """No reload for it."""
    save(edited.file)
    assert await edited.calls_until_quiet() == []


async def test_deleted_file_is_reported_when_it_stays_away(edited: Edited) -> None:
    """And once more when it is back."""
    edited.file.unlink()
    await edited.until("agent.py")
    edited.calls.clear()
    edited.file.write_text("first\n")
    await edited.until("agent.py")
    assert await edited.calls_until_quiet() == [{"agent.py"}]


async def test_checkout_of_many_files_is_one_change(tmp_path: Path) -> None:
    """`git checkout`: files written, deleted and made, also in a folder that comes with it."""
    edited = Edited(tmp_path)
    git = "git -c user.name=a -c user.email=a@example.com -c init.defaultBranch=main"
    shell(
        f"""{git} init -q; printf 'sentinel.py\\n' > .gitignore; mkdir old; echo x > old/gone.py
        {git} add .; {git} commit -qm 1; {git} checkout -qb other; echo second > agent.py; rm -r old; mkdir new
        for n in 1 2 3 4 5 6 7 8 9; do echo $n > new/m$n.py; done
        {git} add .; {git} commit -qm 2; {git} checkout -q main"""
    )(edited.file)
    edited.watcher.start()
    edited.watcher.watch([], code_folders=[tmp_path])
    shell(f"{git} checkout -q other")(edited.file)
    await edited.until("agent.py")
    calls = await edited.calls_until_quiet()
    edited.watcher.stop()
    assert calls == [{"agent.py", "old/gone.py", *(f"new/m{n}.py" for n in range(1, 10))}]


class ConfigMap:
    """A mounted ConfigMap, projected as the kubelet does: a new folder, and one link swapped by renaming."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._count = 0

    def project(self, text: str) -> None:
        self._count += 1
        data = self.folder / f"..2026_01_{self._count:02}"
        data.mkdir()
        (data / "agent.py").write_text(text)
        old = (self.folder / "..data").resolve() if (self.folder / "..data").is_symlink() else None
        (self.folder / "..data_tmp").symlink_to(data.name)
        (self.folder / "..data_tmp").rename(self.folder / "..data")
        if not (self.folder / "agent.py").is_symlink():
            (self.folder / "agent.py").unlink(missing_ok=True)
            (self.folder / "agent.py").symlink_to("..data/agent.py")
        if old is not None:
            shutil.rmtree(old)


@pytest.mark.parametrize("whole_folder", [False, True], ids=["the file", "its folder"])
async def test_config_map_is_reloaded_when_its_content_changes(tmp_path: Path, whole_folder: bool) -> None:
    """1. Projected with the same content: nothing. 2. With another: one change. 3. And again."""
    edited = Edited(tmp_path)
    mount = ConfigMap(tmp_path)
    mount.project("1")
    edited.watcher.start()
    edited.watcher.watch([tmp_path] if whole_folder else [edited.file, edited.last])
    mount.project("1")
    assert await edited.calls_until_quiet() == []
    for text in ("2", "3"):
        edited.calls.clear()
        mount.project(text)
        await edited.until("agent.py")
        assert await edited.calls_until_quiet() == [{"agent.py"}]
    edited.watcher.stop()


async def test_folder_that_appears_later_is_watched(tmp_path: Path) -> None:
    """A path of `reload.paths` that did not exist, and folders in folders, with files that come at once."""
    edited = Edited(tmp_path)
    edited.watcher.start()
    edited.watcher.watch([tmp_path / "prompts", edited.last])
    (tmp_path / "prompts" / "de").mkdir(parents=True)
    (tmp_path / "prompts" / "de" / "a.md").write_text("1")
    await edited.until("prompts/de/a.md")
    edited.calls.clear()
    (tmp_path / "prompts" / "de" / "a.md").write_text("2")
    await edited.until("prompts/de/a.md")
    assert await edited.calls_until_quiet() == [{"prompts/de/a.md"}]
    edited.watcher.stop()


async def test_folder_that_was_replaced_is_watched_on(tmp_path: Path) -> None:
    """A deployment that moves the old folder away and the new one in its place."""
    edited = Edited(tmp_path)
    app = tmp_path / "app"
    app.mkdir()
    (app / "a.py").write_text("1")
    edited.watcher.start()
    edited.watcher.watch([edited.last], code_folders=[app])
    for text in ("2", "3"):
        edited.calls.clear()
        (tmp_path / "next").mkdir()
        (tmp_path / "next" / "a.py").write_text(text)
        app.rename(tmp_path / f"before{text}")
        (tmp_path / "next").rename(app)
        await edited.until("app/a.py")
    edited.calls.clear()
    (app / "a.py").write_text("4")
    await edited.until("app/a.py")
    edited.watcher.stop()


async def test_edit_during_the_callback_leads_to_another(edited: Edited) -> None:
    """The last edit is never missed: whoever reads the file in the callback may read the version before."""

    def edit_again() -> None:
        edited.in_call = lambda: None
        edited.file.write_text("third\n")

    edited.in_call = edit_again
    edited.file.write_text("second\n")
    async with asyncio.timeout(WAIT):
        while edited.calls.count({"agent.py"}) < 2:
            edited.called.clear()
            await edited.called.wait()


async def test_watching_anew_in_the_callback_loses_nothing(edited: Edited) -> None:
    """A reload ends with another set of files; the file edited meanwhile is in both."""

    def renew() -> None:
        edited.in_call = lambda: None
        edited.file.write_text("third\n")
        edited.watcher.watch([edited.file, edited.last, edited.folder / "more.py"])

    edited.in_call = renew
    edited.file.write_text("second\n")
    async with asyncio.timeout(WAIT):
        while edited.calls.count({"agent.py"}) < 2:
            edited.called.clear()
            await edited.called.wait()


async def test_storm_of_edits_is_few_calls_and_ends_with_the_last(edited: Edited) -> None:
    """A program rewrites a file without end; another file that was saved meanwhile is told all the same."""
    command = "import sys, time\nfor n in range(400): open(sys.argv[1], 'w').write(str(n)); time.sleep(0.005)"
    writer = await asyncio.create_subprocess_exec(sys.executable, "-c", command, str(edited.file))
    edited.last.write_text("1")
    await edited.until("sentinel.py")
    assert writer.returncode is None
    seen: list[str] = []
    edited.in_call = lambda: seen.append(edited.file.read_text())
    await writer.wait()
    async with asyncio.timeout(WAIT):
        while seen[-1:] != ["399"]:
            edited.called.clear()
            await edited.called.wait()
    assert len(edited.calls) < 40  # a tenth of the edits; a call in between takes a writer that was held up


async def test_file_made_in_a_new_folder_before_it_is_watched_is_found(
    edited: Edited, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It falls between looking into the folder and watching it."""
    watch, late = notifier.Notifier.watch, edited.folder / "pkg" / "late.py"

    def watch_late(self: notifier.Notifier, interests: dict[Path, Interest]) -> bool:
        if late.parent in interests and not late.exists():
            late.write_text("1")
        return watch(self, interests)

    edited.watcher.watch([edited.last], code_folders=[edited.folder])
    monkeypatch.setattr(notifier.Notifier, "watch", watch_late)
    late.parent.mkdir()
    await edited.until("pkg/late.py")


async def test_file_that_was_read_before_it_was_watched_is_looked_at(edited: Edited) -> None:
    """`since`: whoever imported it may have the version before, and nothing happens to it any more."""
    edited.watcher.watch([edited.file, edited.last, edited.folder / "more.py"])
    other = edited.folder / "other.py"
    other.write_text("1")
    edited.watcher.watch([edited.file, edited.last, other], since=time.time() - 60)
    await edited.until("other.py")
    assert await edited.calls_until_quiet() == [{"other.py"}]


async def test_looking_now_and_then_makes_no_deletion_of_a_save(
    edited: Edited, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is away for one and a half times the debounce: not yet for long enough."""
    edited.watcher.stop()
    monkeypatch.setattr(watcher, "_POLL_SECONDS", 0.005)
    edited.watcher = Watcher(edited._on_change, debounce=DEBOUNCE)
    edited.watcher.start()
    edited.watcher.watch([edited.file, edited.last])
    text = edited.file.read_text()
    edited.file.unlink()
    # on the loop of the watcher: timers ring in their order, however busy the machine is
    back = asyncio.Event()
    asyncio.get_running_loop().call_later(1.5 * DEBOUNCE, lambda: (edited.file.write_text(text), back.set()))
    await back.wait()
    assert await edited.calls_until_quiet() == []


async def test_files_are_polled_where_the_system_gives_no_notifications(
    edited: Edited, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """inotify is used up: one warning, and edits are found all the same."""
    edited.watcher.stop()
    monkeypatch.setattr(watcher, "_POLL_SECONDS_UNNOTIFIED", 0.05)
    monkeypatch.setattr(watcher, "_POLL_SHARE", 1)  # a look that a busy machine holds up puts off the next by so much

    def used_up(self: object, *args: object, **options: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("watchdog.observers.api.BaseObserver.schedule", used_up)
    edited.watcher = Watcher(edited._on_change, debounce=DEBOUNCE)
    edited.watcher.start()
    edited.watcher.watch([edited.file, edited.last])
    edited.watcher.watch([edited.file, edited.last, edited.folder / "more.py"])
    pycharm(edited.file)
    await edited.until("agent.py")
    assert await edited.calls_until_quiet() == [{"agent.py"}]
    assert [record.message for record in caplog.records if record.levelname == "WARNING"] == ["files are polled"]


async def test_edit_that_nobody_was_notified_of_is_found(edited: Edited, monkeypatch: pytest.MonkeyPatch) -> None:
    """Network file systems, more folders than are watched: looked at now and then."""
    edited.watcher.stop()
    monkeypatch.setattr(watcher, "_POLL_SECONDS", 0.05)
    monkeypatch.setattr(watcher, "_POLL_SHARE", 1)
    monkeypatch.setattr(notifier, "MOST_DIRECTORIES", 0)
    edited.watcher = Watcher(edited._on_change, debounce=DEBOUNCE)
    edited.watcher.start()
    edited.watcher.watch([edited.file, edited.last])
    edited.file.write_text("second\n")
    await edited.until("agent.py")
    assert await edited.calls_until_quiet() == [{"agent.py"}]


async def test_no_call_after_stop(edited: Edited, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Also not for what happened before."""
    edited.file.write_text("second\n")
    edited.watcher.stop()
    other = Edited(tmp_path_factory.mktemp("other"))
    other.watcher.start()
    other.watcher.watch([other.file, other.last])
    await other.calls_until_quiet()  # takes longer than the call would have
    other.watcher.stop()
    assert edited.calls == []
