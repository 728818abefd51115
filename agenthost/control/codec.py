"""The values of `agenthost.status` as JSON, and back: both ends of the control socket are of this package.

A command and its host may be of different versions (an upgrade while calls run): keys that the reader does not
know are left out, and fields that the writer did not send keep their defaults.
"""

from typing import TypeVar

import msgspec

from agenthost.texts import to_json

Value = TypeVar("Value")


def encode(value: object) -> str:
    """A frozen value of ours as JSON text, in one line."""
    return to_json(msgspec.to_builtins(value))


def decode(kind: type[Value], text: str) -> Value:
    """The value of class `kind` that `encode` made `text` of. Raises ValueError when it is none."""
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise ValueError(f"no {kind.__name__}: {error}") from error
