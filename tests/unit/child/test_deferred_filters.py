"""Audio filters that a module asks for when it is imported are loaded in the jobs, not in the template."""

import pytest
from livekit.rtc import AudioFilter

from agenthost.child.deferred_filters import DeferredFilters
from agenthost.child.thread_watch import ffi_in_use


@pytest.fixture
def loaded(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What livekit.rtc was asked to load; a real filter is a library of another company."""
    asked: list[tuple[str, str]] = []

    def load(self: AudioFilter, module_id: str, path: str, dependencies: list[str] | None = None) -> None:
        asked.append((module_id, path))

    monkeypatch.setattr(AudioFilter, "__init__", load)
    return asked


def test_a_filter_is_only_noted_at_first(loaded: list[tuple[str, str]]) -> None:
    """Its library would start the threads of the FFI, after which no fork can use it."""
    with DeferredFilters() as filters:
        AudioFilter("module", "/plugin.so")
    assert loaded == []
    filters.load()
    assert loaded == [("module", "/plugin.so")]
    filters.load()
    assert len(loaded) == 1


def test_filters_made_later_are_loaded_at_once(loaded: list[tuple[str, str]]) -> None:
    """A job that imports such a plugin itself is not in anybody's way."""
    with DeferredFilters():
        pass
    AudioFilter("module", "/plugin.so")
    assert loaded == [("module", "/plugin.so")]


def test_an_import_that_fails_leaves_nothing_behind(loaded: list[tuple[str, str]]) -> None:
    """The class is as it was."""
    with pytest.raises(ImportError), DeferredFilters():
        raise ImportError
    AudioFilter("module", "/plugin.so")
    assert loaded


def test_noting_uses_no_ffi() -> None:
    """With the real class: nothing of it runs."""
    before = ffi_in_use()
    with DeferredFilters():
        AudioFilter("module", "/no/such/plugin.so")
    assert ffi_in_use() == before
