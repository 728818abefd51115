"""What is reported as changed, look by look."""

import os
import time
from pathlib import Path

import pytest

from agenthost.watching import contents
from agenthost.watching.contents import Contents, Look
from agenthost.watching.places import Selection

NOTHING = Look(settled=frozenset(), unsettled=frozenset())


class Watched:
    """Contents of `paths`, adopted as they are."""

    def __init__(self, *paths: Path, since: float | None = None) -> None:
        self.contents = Contents()
        self.select(*paths, since=since)

    def select(self, *paths: Path, since: float | None = None) -> None:
        new = self.contents.select(Selection(paths=frozenset(paths)))
        self.contents.adopt(new, since=since)

    def look(self, *, quiet: bool = True) -> tuple[set[str], set[str]]:
        """Names of the settled and of the unsettled."""
        look = self.contents.look(quiet=quiet)
        return {path.name for path in look.settled}, {path.name for path in look.unsettled}

    def report(self) -> None:
        self.contents.report(self.contents.look(quiet=True).settled)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.py"
    path.write_text("1")
    return path


def test_nothing_differs_at_first(file: Path) -> None:
    """What is there when watching begins is known."""
    assert Watched(file).contents.look(quiet=True) == NOTHING


def test_edit_is_reported_once(file: Path) -> None:
    """The next look compares with what was reported."""
    watched = Watched(file)
    file.write_text("2")
    assert watched.look() == ({"a.py"}, set())
    watched.report()
    assert watched.look() == (set(), set())


def test_touch_and_rewriting_the_same_is_nothing(file: Path) -> None:
    """The content decides."""
    watched = Watched(file)
    os.utime(file, (1, 1))
    assert watched.look() == (set(), set())
    file.write_text("1")
    assert watched.look() == (set(), set())


def test_edit_that_was_undone_before_the_look_is_nothing(file: Path) -> None:
    """Nobody has seen it."""
    watched = Watched(file)
    file.write_text("2")
    assert watched.look(quiet=False) == (set(), {"a.py"})
    file.write_text("1")
    assert watched.look() == (set(), set())


def test_edit_of_equal_size_and_time_is_seen(file: Path) -> None:
    """Two writes within one tick of the file system differ in nothing but the content."""
    watched = Watched(file)
    file.write_text("2")
    known = watched.contents._files[file]
    known.signature = contents._signature(file)  # as it is where both writes fall into one tick
    assert watched.look() == ({"a.py"}, set())


def test_missing_file_takes_two_looks(file: Path) -> None:
    """Deleted and made anew in between: an edit, and with the same content nothing."""
    watched = Watched(file)
    file.unlink()
    assert watched.look() == (set(), {"a.py"})
    assert watched.look() == ({"a.py"}, set())
    file.write_text("1")
    assert watched.look() == (set(), set())


def test_file_that_is_being_written_is_not_settled(file: Path) -> None:
    """Not before two looks found the same."""
    watched = Watched(file)
    for text in ("2", "3"):
        file.write_text(text)
        assert watched.look(quiet=False) == (set(), {"a.py"})
    assert watched.look(quiet=False) == ({"a.py"}, set())


def test_new_and_deleted_files_of_a_folder(file: Path) -> None:
    """Both are changes of the folder, each once."""
    watched = Watched(file.parent)
    new = file.with_name("b.py")
    new.write_text("b")
    assert watched.look() == ({"b.py"}, set())
    watched.report()
    new.unlink()
    watched.look()
    assert watched.look() == ({"b.py"}, set())
    watched.report()
    assert watched.look() == (set(), set())


def test_selecting_again_loses_no_edit(file: Path) -> None:
    """An edit during a reload, at whose end the new set of files is watched."""
    watched = Watched(file)
    other = file.with_name("b.py")
    other.write_text("b")
    file.write_text("2")
    watched.select(file, other)
    assert watched.look() == ({"a.py"}, set())


def test_new_file_of_a_folder_that_stays_selected_is_not_adopted(file: Path) -> None:
    """It appeared between the last look and the new selection."""
    watched = Watched(file.parent)
    file.with_name("b.py").write_text("b")
    watched.select(file.parent, file)
    assert watched.look() == ({"b.py"}, set())


def test_file_that_is_no_longer_selected_is_forgotten(file: Path) -> None:
    """Selected again, it is known as it is then."""
    watched = Watched(file)
    watched.select()
    file.write_text("2")
    assert watched.look() == (set(), set())
    watched.select(file)
    assert watched.look() == (set(), set())


def test_file_written_after_it_was_read_counts_as_changed(file: Path) -> None:
    """`since`: it was imported before it was watched; what was imported is not known any more."""
    assert Watched(file, since=time.time() + 60).look() == (set(), set())
    assert Watched(file, since=time.time() - 60).look() == ({"a.py"}, set())


class WrittenWhileRead(type(Path())):  # type: ignore[misc]  # Path itself makes its own kind of path
    """A file that is written between the look at its times and the look at its content."""

    def read_bytes(self) -> bytes:
        Path(self).write_text("2")
        return super().read_bytes()


def test_file_written_while_it_is_read_for_the_first_time_counts_as_changed(file: Path) -> None:
    """`since`: what was imported is not what was found at the first look."""
    file.write_text("hangs")
    assert Watched(WrittenWhileRead(file), since=time.time() + 60).look() == ({"a.py"}, set())


def test_pipe_is_not_read(tmp_path: Path) -> None:
    """Opening it would wait for a writer, for ever."""
    os.mkfifo(tmp_path / "pipe")
    assert Watched(tmp_path).look() == (set(), set())


def test_file_that_becomes_a_folder_has_its_files(tmp_path: Path) -> None:
    """A path need not exist when it is selected, nor stay what it was."""
    path = tmp_path / "prompts"
    watched = Watched(path)
    path.mkdir()
    (path / "a.md").write_text("a")
    assert watched.look() == ({"a.md"}, set())
