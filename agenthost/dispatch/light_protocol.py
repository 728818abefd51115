"""`livekit.protocol` one module at a time, for the host: the package's own `__init__` loads all of LiveKit's APIs.

A host needs four of its modules; the messages of ingress, SIP, analytics and the rest would be 2 MB and some
milliseconds of every start. Those of recovery are loaded with the others: later there may be no descriptor to do it.
"""

import importlib
import importlib.util
import sys
from types import ModuleType

_PACKAGE = "livekit.protocol"


def load_protocol_by_module() -> None:
    """Before the first import of `livekit.protocol`, or it has no effect: a module of it is then loaded when wanted."""
    if _PACKAGE in sys.modules:
        return
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None:
        return  # the import that follows says what is missing
    package = importlib.util.module_from_spec(spec)
    setattr(package, "__getattr__", _load)  # noqa: B010  as PEP 562 has it, where mypy allows no assignment
    sys.modules[_PACKAGE] = package


def _load(name: str) -> ModuleType:
    """What stands for an attribute that the package would have had from the start."""
    if name.startswith("__"):
        raise AttributeError(name)
    try:
        return importlib.import_module(f"{_PACKAGE}.{name}")
    except ModuleNotFoundError as error:
        if error.name != f"{_PACKAGE}.{name}":
            raise  # it is there, and lacks something itself
        raise AttributeError(f"module {_PACKAGE!r} has no attribute {name!r}") from None
