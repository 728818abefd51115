"""Which entries of which directories decide what a path leads to, and what a folder holds. Reads directories only.

An editor saves by renaming, Kubernetes by swapping a link two levels up: so what has to be watched are the real
directories of every link on the way to a file, and in them the names that are passed through.
"""

import os
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct, field

from agenthost.watching.noise import is_noise_file, is_noise_folder

_MOST_LINKS = 40  # as in the kernel: more is a loop


class Interest(Struct, kw_only=True):
    """What matters in one directory: entries called `names`, `any_file` that is no noise, or any `code` (`*.py`).

    `identity` is the directory's device and inode: another directory of the same path needs another watch.
    """

    identity: tuple[int, int]
    names: set[str] = field(default_factory=set)
    any_file: bool = False
    code: bool = False

    def covers(self, name: str, *, is_folder: bool) -> bool:
        """Whether something done to the entry `name` may have changed a watched file."""
        if name in self.names:
            return True
        if is_folder:
            return (self.any_file or self.code) and not is_noise_folder(name, frozenset())
        return (self.any_file or (self.code and name.endswith(".py"))) and not is_noise_file(name)


class Selection(Struct, frozen=True, kw_only=True):
    """What somebody wants watched: files, folders of which any file counts, and folders of code."""

    paths: frozenset[Path] = frozenset()
    code_folders: frozenset[Path] = frozenset()

    def holds(self, file: Path) -> bool:
        """Whether `file` would be found by `survey` if it existed, apart from noise."""
        roots = self.paths | self.code_folders
        return file in self.paths or any(parent in roots for parent in file.parents)


class Survey(Struct, frozen=True, kw_only=True):
    """What there is now. `files` also has the selected paths that do not exist; `interests` are by real directory."""

    files: frozenset[Path]
    interests: dict[Path, Interest]


def survey(selection: Selection) -> Survey:
    """Find the files of a selection and the directories to watch for them."""
    return _Surveyor().survey(selection)


class _Surveyor:
    """One pass; remembers the directories that it resolved, because files come many to a directory."""

    def __init__(self) -> None:
        self._interests: dict[Path, Interest] = {}
        self._resolved: dict[Path, Path | None] = {}
        self._files: set[Path] = set()

    def survey(self, selection: Selection) -> Survey:
        for path in selection.paths:
            real = self._resolve(path)
            if real is not None and real.is_dir():
                self._enter(path, real, only_code=False, above=())
            else:
                self._files.add(path)
        for folder in selection.code_folders:
            real = self._resolve(folder)
            if real is not None and real.is_dir():
                self._enter(folder, real, only_code=True, above=())
        return Survey(files=frozenset(self._files), interests=self._interests)

    def _enter(self, folder: Path, real: Path, *, only_code: bool, above: tuple[Path, ...]) -> None:
        """Everything below `folder`; `above` are the real directories that lead here, to notice a link to one."""
        interest = self._interest(real)
        if interest is None:
            return
        interest.code |= only_code
        interest.any_file |= not only_code
        for entry, is_folder in _entries(real):
            path, is_link = folder / entry.name, entry.is_symlink()
            if not is_folder:
                if not is_noise_file(entry.name) and (not only_code or entry.name.endswith(".py")):
                    self._files.add(path)
                    if is_link:
                        self._resolve(path)
                continue
            below = self._resolve(path) if is_link else real / entry.name
            if below is not None and below not in (*above, real) and not is_noise_folder(entry.name, _names(below)):
                self._enter(path, below, only_code=only_code, above=(*above, real))

    def _resolve(self, path: Path) -> Path | None:
        """The real path, None if there is nothing; notes every entry on the way that decides about it."""
        return self._follow(path.parent, path.name, links=0)

    def _follow(self, parent: Path, name: str, *, links: int) -> Path | None:
        real_parent = self._real_folder(parent, links)
        if real_parent is None:
            return None
        if not name or name == "..":
            return real_parent.parent if name else real_parent
        interest = self._interest(real_parent)
        if interest is not None:
            interest.names.add(name)
        return self._target(real_parent / name, links)

    def _target(self, path: Path, links: int) -> Path | None:
        try:
            target = path.readlink()
        except OSError:  # no link
            return path if os.path.lexists(path) else None
        if links >= _MOST_LINKS:
            return None
        target = path.parent / target
        return self._follow(target.parent, target.name, links=links + 1)

    def _real_folder(self, folder: Path, links: int) -> Path | None:
        """As `_resolve`, for a folder on the way: it is noted only where it is a link or missing."""
        if folder in self._resolved:
            return self._resolved[folder]
        if folder == folder.parent:
            return folder
        parent = self._real_folder(folder.parent, links)
        if parent is None:
            real = None
        elif folder.name == "..":
            real = parent.parent
        elif (parent / folder.name).is_dir() and not (parent / folder.name).is_symlink():
            real = parent / folder.name
        else:
            real = self._follow(parent, folder.name, links=links)
        self._resolved[folder] = real
        return real

    def _interest(self, real: Path) -> Interest | None:
        """What is known to matter in a real directory; None if it has just vanished."""
        if real not in self._interests:
            try:
                found = real.stat()
            except OSError:
                return None
            self._interests[real] = Interest(identity=(found.st_dev, found.st_ino))
        return self._interests[real]


def _entries(folder: Path) -> Iterator[tuple["os.DirEntry[str]", bool]]:
    """The entries of a directory with whether each is (or leads to) a directory; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            found = list(entries)
    except OSError:
        return
    for entry in found:
        try:
            yield entry, entry.is_dir()
        except OSError:  # a link in a circle
            yield entry, False


def _names(folder: Path) -> frozenset[str]:
    try:
        return frozenset(entry.name for entry in folder.iterdir())
    except OSError:
        return frozenset()
