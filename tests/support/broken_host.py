"""`python broken_host.py MODULE:NAME python -m agenthost start …`: agenthost, one function of which can be broken.

Runs in the host process. While there is a file `broken` in its working folder the function, or method, raises. To be
put before the command line: `run_host(…, under=broken(…))`.
"""

import functools
import importlib
import sys
from pathlib import Path
from typing import Any

from agenthost.testing.host_process import AGENTHOST

SWITCH = "broken"
ERROR = "broken by the test"


def broken(target: str) -> tuple[str, ...]:
    """`target` is MODULE:NAME, a method's name with that of its class before it."""
    return (sys.executable, __file__, target)


def install(target: str) -> None:
    """In this process."""
    module, _, path = target.partition(":")
    *outer, name = path.split(".")
    owner: Any = functools.reduce(getattr, outer, importlib.import_module(module))
    original, switch = getattr(owner, name), Path.cwd() / SWITCH

    @functools.wraps(original)
    def breakable(*args: Any, **options: Any) -> Any:
        if switch.exists():
            raise RuntimeError(ERROR)
        return original(*args, **options)

    setattr(owner, name, breakable)


if __name__ == "__main__":
    install(sys.argv[1])
    sys.argv[1:] = sys.argv[2 + len(AGENTHOST) :]
    from agenthost.__main__ import main

    sys.exit(main())
