"""Audio filters that a user's import asks for, kept for the processes that are forked from the template.

Runs in templates and job processes. `from livekit.plugins import noise_cancellation` loads a filter into the livekit
FFI when it is imported. The FFI has threads and works in no fork of the process that used it, so in a template the
request is only noted; each job process makes it for itself, which takes some tens of milliseconds.
"""

from typing import Any

from livekit.rtc import audio_filter


class DeferredFilters:
    """Context manager around the import of user code; `load` afterwards, in the process that will use the FFI."""

    def __init__(self) -> None:
        self._wanted: list[tuple[Any, tuple[Any, ...], dict[str, Any]]] = []
        self._original: Any = None

    def __enter__(self) -> "DeferredFilters":
        wanted = self._wanted

        def note(self: Any, *arguments: Any, **options: Any) -> None:
            wanted.append((self, arguments, options))

        self._original = audio_filter.AudioFilter.__init__
        setattr(audio_filter.AudioFilter, "__init__", note)  # noqa: B010  an assignment is not allowed to a method
        return self

    def __exit__(self, *_: object) -> None:
        setattr(audio_filter.AudioFilter, "__init__", self._original)  # noqa: B010

    def load(self) -> None:
        """Make every filter that was wanted. Raises what livekit.rtc raises for one that cannot be loaded."""
        for instance, arguments, options in self._wanted:
            self._original(instance, *arguments, **options)
        self._wanted.clear()


FILTERS = DeferredFilters()
"""Those of this process: what its template's libraries asked for, and its own code."""
