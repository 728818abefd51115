"""What can happen to a host from outside or inside itself: commands in one queue with one consumer."""

from dataclasses import dataclass

from agenthost.signals import Signalled


@dataclass(frozen=True, slots=True)
class Started:
    """Every agent's code is proven and every registration was opened."""


@dataclass(frozen=True, slots=True)
class Failed:
    """Something the host cannot go on without failed; `error` becomes the exit code."""

    error: Exception


Command = Signalled | Started | Failed
