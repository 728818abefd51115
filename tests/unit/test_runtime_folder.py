"""The private folder, and files that are valid only while their process lives."""

import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agenthost.errors import EnvironmentRefused
from agenthost.runtime_folder import HeldFile, held_files, name_for, remove_abandoned, runtime_folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)})


@pytest.fixture
def file_of_killed_process(folder: Path) -> Iterator[Path]:
    """`held.env`, made by a process that was then killed; given out after its end."""
    code = (
        "import sys, signal, pathlib; from agenthost.runtime_folder import HeldFile\n"
        "held = HeldFile.create(pathlib.Path(sys.argv[1]), 'text'); print('held', flush=True); signal.pause()"
    )
    path = folder / "held.env"
    with subprocess.Popen([sys.executable, "-c", code, str(path)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert held_files(folder, "*.env") == (path,)
        process.send_signal(signal.SIGKILL)
    yield path


def test_folder_is_private(folder: Path) -> None:
    """Nobody else may read keys or replace sockets in it."""
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_without_xdg_runtime_dir_the_folder_names_the_user(tmp_path: Path) -> None:
    """Two users of one /tmp do not meet."""
    assert runtime_folder({"TMPDIR": str(tmp_path)}) == tmp_path / f"agenthost-{os.getuid()}"


def test_runtime_dir_that_does_not_exist_is_passed_over(tmp_path: Path) -> None:
    """A container or `su` may leave the variable set without its folder."""
    environ = {"XDG_RUNTIME_DIR": str(tmp_path / "gone"), "TMPDIR": str(tmp_path)}
    assert runtime_folder(environ).parent == tmp_path
    assert not (tmp_path / "gone").exists()


def test_folder_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    """A folder somebody prepared under our name is not used."""
    (tmp_path / "agenthost").mkdir(mode=0o755)
    (tmp_path / "agenthost").chmod(0o755)
    with pytest.raises(EnvironmentRefused, match="0700"):
        runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)})


def test_link_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    """A link would lead our files to where its maker wants them."""
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    (tmp_path / "agenthost").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(EnvironmentRefused):
        runtime_folder({"XDG_RUNTIME_DIR": str(tmp_path)})


def test_folder_that_cannot_be_made_says_which_variable_to_set(tmp_path: Path) -> None:
    """The message names the variable, not only the error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(EnvironmentRefused, match="XDG_RUNTIME_DIR"):
        runtime_folder({"TMPDIR": str(tmp_path / "file")})


def test_one_config_file_has_one_name_however_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A relative and an absolute path to one file find the same things."""
    monkeypatch.chdir(tmp_path)
    assert name_for(Path("agenthost.yaml")) == name_for(tmp_path / "agenthost.yaml")
    assert name_for(Path("agenthost.yaml")) != name_for(Path("other.yaml"))


def test_held_file_is_for_its_owner_only(folder: Path) -> None:
    """It may hold keys."""
    held = HeldFile.create(folder / "a.env", "text")
    assert stat.S_IMODE(held.path.stat().st_mode) == 0o600
    assert held.path.read_text() == "text"
    held.remove()


def test_removed_file_is_gone_and_removing_twice_is_harmless(folder: Path) -> None:
    """Whoever cleans up need not know whether somebody did already."""
    held = HeldFile.create(folder / "a.env", "text")
    held.remove()
    held.remove()
    assert list(folder.iterdir()) == []


def test_file_of_a_killed_process_is_not_held(folder: Path, file_of_killed_process: Path) -> None:
    """What a killed process left behind is not taken for a running one."""
    assert file_of_killed_process.exists()
    assert held_files(folder, "*.env") == ()


def test_abandoned_files_are_removed_and_held_ones_stay(folder: Path, file_of_killed_process: Path) -> None:
    """The next start cleans up after a killed one and harms no running one."""
    alive = HeldFile.create(folder / "alive.env", "text")
    remove_abandoned(folder, "*.env")
    assert list(folder.iterdir()) == [alive.path]
    alive.remove()


def test_newest_held_file_comes_first(folder: Path) -> None:
    """`latest` is the first."""
    old, new = (HeldFile.create(folder / f"{name}.env", name) for name in ("old", "new"))
    os.utime(old.path, (1, 1))
    assert held_files(folder, "*.env") == (new.path, old.path)
    old.remove()
    new.remove()


def test_a_later_owner_keeps_the_name(folder: Path) -> None:
    """Two hosts of one config file: the end of the first does not unpublish the second."""
    first = HeldFile.create(folder / "a.env", "first")
    second = HeldFile.create(folder / "a.env", "second")
    first.remove()
    assert second.path.read_text() == "second"
    second.remove()


def test_claimed_file_is_left_to_its_owner(folder: Path) -> None:
    """Who comes second changes nothing; after the end of the first it may have it."""
    first = HeldFile.claim(folder / "a.lock", "first, a longer text")
    assert first is not None
    assert HeldFile.claim(folder / "a.lock", "second") is None
    assert first.path.read_text() == "first, a longer text"
    first.remove()
    second = HeldFile.claim(folder / "a.lock", "second")
    assert second is not None
    second.remove()
    assert list(folder.iterdir()) == []


def test_abandoned_guard_takes_what_it_guarded_along(folder: Path, file_of_killed_process: Path) -> None:
    """The socket of a killed host goes with its lock; nothing else does."""
    (folder / "held").write_text("guarded")
    (folder / "other").write_text("kept")
    remove_abandoned(folder, "*.env", with_stem=True)
    assert list(folder.iterdir()) == [folder / "other"]
