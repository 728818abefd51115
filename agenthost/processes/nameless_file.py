"""A file without a name, in memory: its descriptor travels where a message would be too large, or has many readers.

Runs in the host, which makes, keeps and closes it; the processes below get copies of the descriptor.
"""

import os
import tempfile
from types import TracebackType

from agenthost.errors import ProcessFailed


class NamelessFile:
    """Open until `close`, or the end of its `with`. Raises ProcessFailed when there is no descriptor for it."""

    def __init__(self, content: bytes = b"") -> None:
        try:
            self.descriptor = _make()
            view = memoryview(content)
            while view:
                view = view[os.write(self.descriptor, view) :]
            os.lseek(self.descriptor, 0, os.SEEK_SET)
        except OSError as error:
            raise ProcessFailed(f"no descriptors for another process: {error.strerror}") from error

    def __enter__(self) -> "NamelessFile":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self.descriptor)


def _make() -> int:
    if hasattr(os, "memfd_create"):  # not on macOS, nor in a Python that was built for a glibc older than 2.27, as uv's
        return os.memfd_create("agenthost")
    descriptor, path = tempfile.mkstemp()
    os.unlink(path)  # noqa: PTH108
    return descriptor
