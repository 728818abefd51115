"""What the program's values are made of: msgspec's `Struct`, here with fields that are not shown or not compared.

A frozen dataclass would do the same, but takes 40 times as long to define (five methods are generated and compiled for
each), and a host defines some 170 when it starts: a quarter of the start. Only the values that users handle (`context`,
`testing`) are dataclasses, since those are what they know.
"""

from msgspec import Struct


class Discreet(Struct, frozen=True):
    """A value whose fields in `not_shown` are no business of those who read logs and tracebacks."""

    not_shown = frozenset[str]()

    def __repr__(self) -> str:
        shown = (f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__ if name not in self.not_shown)
        return f"{type(self).__name__}({', '.join(shown)})"


class Alike(Discreet, frozen=True):
    """A value that equals another of its class which differs only in the fields of `not_compared`."""

    not_compared = frozenset[str]()

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        compared = (name for name in self.__struct_fields__ if name not in self.not_compared)
        return all(getattr(self, name) == getattr(other, name) for name in compared)
