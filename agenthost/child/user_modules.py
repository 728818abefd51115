"""Which files of user code this process has imported: what a reload watches and compares. Runs in templates."""

import sys
import sysconfig
from pathlib import Path

_NOT_THE_USERS = tuple(
    f"{folder}/"
    for folder in (str(Path(__file__).parents[1]), *map(sysconfig.get_path, ("stdlib", "purelib", "platlib")))
)


def user_modules() -> tuple[str, ...]:
    """The source files in sys.modules: editable installs included, site-packages, Python and agenthost not."""
    files = (getattr(module, "__file__", None) for module in list(sys.modules.values()))
    return tuple(sorted({file for file in files if file and is_users(file)}))


def is_users(file: str) -> bool:
    """Whether `file` is the user's own, which they edit; their editable installs are, too."""
    return not file.startswith(_NOT_THE_USERS)
