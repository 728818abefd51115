"""What `dev` may be given instead of a file: code. Commands find its host by it, as they find others by their file."""

# By os.path, where a Path would raise for a name that is too long, or for links in a circle.
import os.path
from pathlib import Path


def names_code(argument: str) -> bool:
    """Whether an argument FILE is `module:attribute`, or the script of a livekit-agents agent."""
    return argument.endswith(".py") or (":" in argument and not os.path.exists(argument))  # noqa: PTH110


def code_name(argument: str) -> str:
    """The same for the same code: a script by its absolute path, `module:attribute` as it is.

    The latter is a name of the folder in which `dev` was started.
    """
    return os.path.realpath(argument) if argument.endswith(".py") else argument


def code_identity(argument: str) -> Path:
    """What `Config.identity` is of a host that was started in this folder on this code."""
    return Path.cwd() / code_name(argument)
