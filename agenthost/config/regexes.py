"""The regexes of rules, on RE2: time grows with the length of the text, whatever the pattern.

The sole user of `re2`, which is imported late: its 12 ms and 5 MB are paid by files that hold a regex. Pure.
"""

from collections.abc import Sequence
from typing import Any

from agenthost.texts import encodable

MAX_PATTERN_BYTES = 8 << 20
"""Memory that one pattern's automaton may need; RE2 refuses larger ones (`(a{1000}){1000}`)."""

_ALWAYS = ""  # matches any text


def regex_problem(pattern: str) -> str:
    """Why RE2 refuses `pattern`, without repeating it, since a variable may have filled it; "" when it takes it."""
    import re2

    try:
        re2.compile(encodable(pattern).encode(), _options(MAX_PATTERN_BYTES))
    except re2.error as error:
        detail = error.args[0] if error.args else "not a regex"
        text = detail.decode(errors="replace") if isinstance(detail, bytes) else str(detail)
        return text.partition(": ")[0]
    return ""


class RegexSet:
    """Several patterns, found in one pass over the text. Each has to be one that `regex_problem` finds nothing in."""

    __slots__ = ("_always", "_set")

    def __init__(self, patterns: Sequence[str]) -> None:
        import re2

        # RE2 gives all patterns of a set one budget, and would not tell a match that failed for want of memory from
        # no match: hence the room for each, and the pattern that must match.
        self._set = re2.Set.SearchSet(_options(MAX_PATTERN_BYTES * (len(patterns) + 1)))
        for pattern in patterns:
            self._set.Add(encodable(pattern).encode())
        self._always: int = self._set.Add(_ALWAYS.encode())
        self._set.Compile()
        if self._always not in self._find(""):
            raise MemoryError(f"{len(patterns)} regexes need more memory than RE2 was given")

    def hits(self, text: str) -> frozenset[int]:
        """The indexes of the patterns found in `text`."""
        found = self._find(text)
        found.remove(self._always)
        return frozenset(found)

    def _find(self, text: str) -> list[int]:
        found: list[int] | None = self._set.Match(encodable(text).encode())
        return found or []


def _options(max_bytes: int) -> Any:
    import re2

    options = re2.Options()
    options.log_errors = False  # RE2 would write to stderr by itself
    options.max_mem = max_bytes
    return options
