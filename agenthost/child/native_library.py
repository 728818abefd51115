"""The native library of livekit.rtc, mapped once for all jobs: each would spend four milliseconds on that, and 0.8 MB.

Runs in the base, and in whatever else forks jobs. It is only mapped; what makes threads, its initialisation, is left to
the job, which finds it in place.
"""

import mmap
import os

from livekit.rtc import _ffi_client

from agenthost import kernel
from agenthost.child.mappings import unwritten_mappings


def map_native_library() -> None:
    """Have the dynamic linker do its work on it. A library that cannot be loaded is left for the job to tell about."""
    try:
        library = _ffi_client.get_ffi_lib()
    except Exception:
        return
    _leave_unread(os.path.realpath(library._name))


def _leave_unread(file: str) -> None:
    """Forget what the linker has read of it, three megabytes: jobs read other parts, and they are in the page cache."""
    for mapping in list(unwritten_mappings()):
        if mapping.file == file:
            kernel.advise(mapping.start, mapping.size, mmap.MADV_DONTNEED)
