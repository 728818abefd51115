"""What can happen to a host from outside or inside itself: commands in one queue with one consumer."""

from msgspec import Struct

from agenthost.signals import Signalled


class Started(Struct, frozen=True):
    """Every agent's code is proven and every registration was opened."""


class Failed(Struct, frozen=True):
    """Something the host cannot go on without failed; `error` becomes the exit code."""

    error: Exception


Command = Signalled | Started | Failed
