"""The user's own code as a generation was proven with it: what its processes import, whatever the files say by then.

Runs in job and hook processes. Each imports the user's modules itself, also an hour later, when the files may have been
edited, and be broken, while nothing was reloaded. So the first process of a generation leaves the compiled modules in
a file without a name, which comes along with every later fork; that also saves compiling them each time.
"""

import marshal
import os
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from msgspec import Struct

from agenthost.child.user_modules import is_users

_get_code: Any = SourceFileLoader.get_code


class Compiled(Struct, frozen=True, array_like=True):
    """One module: its file, whether it is a package, its code as `marshal` writes it."""

    file: str
    is_package: bool
    code: bytes


class CodeSnapshot:
    """A finder for `sys.meta_path`, with what the file `descriptor` has. None: nothing is kept, nothing is found."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        data = _read(descriptor) if descriptor is not None else b""
        found: dict[str, tuple[str, bool, bytes]] = marshal.loads(data) if data else {}
        self._modules = {name: Compiled(*fields) for name, fields in found.items()}

    def install(self, *, learns: bool) -> None:
        """From now on the user's modules come from here. A process that `learns` keeps those that do not, and saves."""
        global _installed
        _installed = self
        if self._modules:
            sys.meta_path.insert(0, self)
        if not learns and self._descriptor is not None:
            os.close(self._descriptor)
        if learns:
            snapshot = self

            def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
                code: CodeType | None = _get_code(loader, name)
                if code is not None and is_users(str(loader.path)):
                    snapshot._keep(name, str(loader.path), loader.is_package(name), code)
                return code

            setattr(SourceFileLoader, "get_code", get_code)  # noqa: B010  an assignment is not allowed to a method

    def save(self) -> None:
        """Leave what was kept in the file, and keep no more."""
        setattr(SourceFileLoader, "get_code", _get_code)  # noqa: B010
        assert self._descriptor is not None
        fields = {name: (each.file, each.is_package, each.code) for name, each in self._modules.items()}
        data = memoryview(marshal.dumps(fields))
        written = 0
        while written < len(data):
            written += os.pwrite(self._descriptor, data[written:], written)
        os.ftruncate(self._descriptor, written)
        os.close(self._descriptor)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """As of a finder."""
        kept = self._modules.get(name)
        if kept is None:
            return None
        folders = [str(Path(kept.file).parent)] if kept.is_package else None
        loader = _SnapshotLoader(name, kept)
        return spec_from_file_location(name, kept.file, loader=loader, submodule_search_locations=folders)

    def script(self, file: Path) -> CodeType:
        """The code of a script. Raises what reading and compiling it raises."""
        kept = self._modules.get(str(file))
        if kept is not None:
            code: CodeType = marshal.loads(kept.code)
            return code
        code = compile(file.read_bytes(), str(file), "exec", dont_inherit=True)
        self._keep(str(file), str(file), False, code)
        return code

    def _keep(self, name: str, file: str, is_package: bool, code: CodeType) -> None:
        self._modules[name] = Compiled(file, is_package, marshal.dumps(code))


class _SnapshotLoader(SourceFileLoader):
    def __init__(self, name: str, kept: Compiled) -> None:
        super().__init__(name, kept.file)
        self._kept = kept

    def get_code(self, fullname: str) -> CodeType:
        code: CodeType = marshal.loads(self._kept.code)
        return code


_installed = CodeSnapshot(None)


def snapshot() -> CodeSnapshot:
    """The one of this process."""
    return _installed


def _read(descriptor: int) -> bytes:
    """From its beginning: the position is shared by all who were sent it."""
    size = os.fstat(descriptor).st_size
    parts: list[bytes] = []
    while size > sum(map(len, parts)):
        parts.append(os.pread(descriptor, size, sum(map(len, parts))))
    return b"".join(parts)
