"""What of all that happens in a directory is worth a look."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watchdog import events

from agenthost.watching.notifier import Notifier
from agenthost.watching.places import Selection, survey


class Heard:
    """A notifier that watches the code of a folder; `is_told(event)` says whether its owner hears of it."""

    def __init__(self, folder: Path) -> None:
        self.count = 0
        self.notifier = Notifier(self._count)
        self.notifier.start()
        self.notifier.watch(survey(Selection(code_folders=frozenset({folder}))).interests)

    def _count(self) -> None:
        self.count += 1

    def is_told(self, event: events.FileSystemEvent) -> bool:
        before = self.count
        self.notifier._heard(event)
        return self.count > before


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[Heard]:
    heard = Heard(tmp_path.resolve())
    yield heard
    heard.notifier.stop()


class ClosedUnwritten(events.FileSystemEvent):
    """FileClosedNoWriteEvent, which watchdog 4 does not have."""

    event_type = "closed_no_write"


Event = Callable[[str], events.FileSystemEvent]


@pytest.mark.parametrize(
    ("event", "name", "told"),
    [
        (events.FileModifiedEvent, "a.py", True),
        (events.FileCreatedEvent, "a.py", True),
        (events.FileDeletedEvent, "a.py", True),
        (events.FileClosedEvent, "a.py", True),
        (events.DirCreatedEvent, "pkg", True),
        (events.DirDeletedEvent, "pkg", True),
        (events.FileOpenedEvent, "a.py", False),
        (ClosedUnwritten, "a.py", False),
        (events.DirModifiedEvent, "pkg", False),
        (events.FileModifiedEvent, "agent.log", False),
        (events.DirCreatedEvent, ".git", False),
        (events.FileModifiedEvent, "pkg/deeper/a.py", False),
    ],
)
def test_writing_is_heard_and_reading_is_not(heard: Heard, tmp_path: Path, event: Event, name: str, told: bool) -> None:
    """Reading is what we do ourselves; and a folder that contains a busy log file is modified all the time."""
    assert heard.is_told(event(str(tmp_path.resolve() / name))) is told


def test_either_end_of_a_move_is_heard(heard: Heard, tmp_path: Path) -> None:
    """A safe write arrives under the watched name; a deployment takes it away."""
    file, other = (str(tmp_path.resolve() / name) for name in ("a.py", "a.tmp"))
    assert heard.is_told(events.FileMovedEvent(other, file))
    assert heard.is_told(events.FileMovedEvent(file, other))
    assert not heard.is_told(events.FileMovedEvent(other, other + "x"))


def test_end_of_the_watched_directory_is_heard(heard: Heard, tmp_path: Path) -> None:
    """Another may take its place, and needs another watch."""
    assert heard.is_told(events.DirDeletedEvent(str(tmp_path.resolve())))


def test_stopped_notifier_hears_nothing_and_leaves_no_thread(heard: Heard, tmp_path: Path) -> None:
    """Also when it is stopped twice."""
    heard.notifier.stop()
    heard.notifier.stop()
    assert not heard.is_told(events.FileModifiedEvent(str(tmp_path.resolve() / "a.py")))
    assert not heard.notifier.watch({})
