"""Where an agent's code is looked for; and what `dev` may be given instead of a file: code.

Commands find its host by it, as they find others by their file.
"""

# By os.path, where a Path would raise for a name that is too long, or for links in a circle.
import os.path
from pathlib import Path


def code_folders(folder: Path) -> tuple[str, ...]:
    """What comes first on the import path: the file's folder, and a `src` in it that holds packages."""
    source = os.path.join(folder, "src")  # noqa: PTH118
    if os.path.isdir(source) and not os.path.exists(os.path.join(source, "__init__.py")):  # noqa: PTH110, PTH112, PTH118
        return os.fspath(folder), source
    return (os.fspath(folder),)


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
