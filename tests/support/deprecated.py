"""Which lines of agenthost use what Python says will go away, told by every process of an environment.

A warning in a child is seen by nobody. So every process runs `CODE` first, as its `sitecustomize` or from a `.pth`
file; where the variable `FILE` names a file, it gets a line for each such use.
"""

from pathlib import Path

import agenthost

FILE = "AGENTHOST_TEST_DEPRECATED"
CODE = f"""
import os

def record(file):
    import warnings

    shown = warnings.showwarning

    def note(message, category, filename, lineno, *rest):
        if filename.startswith({str(Path(agenthost.__file__).parent)!r}):
            with open(file, "a") as lines:
                test = os.environ.get("PYTEST_CURRENT_TEST", "")
                lines.write(f"{{filename}}:{{lineno}}: {{category.__name__}}: {{message}} {{test}}\\n")
        else:
            shown(message, category, filename, lineno, *rest)

    warnings.showwarning = note
    for category in (DeprecationWarning, PendingDeprecationWarning, FutureWarning, SyntaxWarning):
        warnings.filterwarnings("always", category=category, module=r"agenthost\\b|__main__$")

if {FILE!r} in os.environ:
    record(os.environ[{FILE!r}])
"""


def install(folder: Path) -> None:
    """Have every Python that reads the `.pth` files of `folder` run `CODE`."""
    (folder / "record_deprecated.py").write_text(CODE)
    (folder / "record_deprecated.pth").write_text("import record_deprecated\n")


def recorded(file: Path) -> list[str]:
    """The uses so far, each once."""
    return sorted(set(file.read_text().splitlines())) if file.exists() else []
