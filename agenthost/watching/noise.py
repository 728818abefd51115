"""Names that are never code or content: what editors, git, Python and package managers leave about. Pure."""

import re

_FOLDERS = frozenset({"__pycache__", "node_modules", "site-packages"})
_VENV_MARK = "pyvenv.cfg"
_FILES = re.compile(
    r"""
      \..*                 # hidden: .agent.py.swp, .#agent.py, .goutputstream-X1
    | \#.*\#               # emacs saves here until it is asked to save
    | .*~                  # the backups of vim, emacs, gedit
    | .*\.(swp|swo|swx)
    | .*\.(tmp|bak|orig|rej|pyc|pyo)
    | .*___jb_(tmp|old)___ # PyCharm's safe write
    | [0-9]{4,5}           # vim tries whether it may write: 4913, 5036 ...
    """,
    re.VERBOSE,
)


def is_noise_file(name: str) -> bool:
    """Whether a file of this name in a watched folder means nothing. A file that is named itself always counts."""
    return _FILES.fullmatch(name) is not None


def is_noise_folder(name: str, entries: frozenset[str]) -> bool:
    """Whether a folder below a watched one holds nothing of the user's own; `entries` are the names in it."""
    return name.startswith(".") or name in _FOLDERS or _VENV_MARK in entries
