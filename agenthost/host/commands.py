"""What can happen to a host from outside: signals and endings become commands, and one consumer acts on them."""

from dataclasses import dataclass
from enum import Enum


class Signalled(Enum):
    """A request to end: TERMINATE is SIGTERM or SIGINT, HANG_UP is SIGHUP."""

    TERMINATE = "terminate"
    HANG_UP = "hang up"


@dataclass(frozen=True, slots=True)
class Started:
    """Every agent's code is proven and every registration was opened."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Something the host cannot go on without failed; `error` becomes the exit code."""

    error: Exception


Command = Signalled | Started | Failed
