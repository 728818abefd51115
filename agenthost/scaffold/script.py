"""Reads how an existing livekit-agents script sets itself up, without running it.

Understood are `WorkerOptions(...)` and its successor `ServerOptions(...)`, `AgentServer(...)` with
`@server.rtc_session(...)` (as a decorator or a call), `server.setup_fnc = …`, `server.update_options(...)`, and
`load_dotenv(...)`. A script that only runs what it imports, or has made for it, is taken as a whole. Pure, but for
reading the file.
"""

import ast
import warnings
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from agenthost.errors import EntrypointError, UsageError
from agenthost.scaffold.expressions import Call, Expressions, Function, Literal, Named, Unknown, Value

OPTION_CLASSES = ("WorkerOptions", "ServerOptions")
SERVER_CLASS = "AgentServer"
ENTRYPOINT = "entrypoint_fnc"
ENV_FILE = "env_file"

_RENAMED = {
    "setup_fnc": "prewarm_fnc",
    "on_request": "request_fnc",
    "on_session_end": "session_end_fnc",
    "worker_type": "type",
    "server_type": "type",
}
_PROPERTIES = ("setup_fnc", "load_fnc", "log_level")


class Setting(Struct, frozen=True, kw_only=True):
    """One option of livekit-agents, by its name in WorkerOptions, with what it is set to and where."""

    name: str
    value: Value
    line: int


class Script(Struct, frozen=True, kw_only=True):
    """`name` is how the script was called; `settings` hold the last value of each option, in the order found.

    `whole`: its agent cannot be named within it, but it runs it, with `cli.run_app(…)` or `server.run()`, or does so
    when it is imported.
    """

    name: str
    settings: tuple[Setting, ...]
    whole: bool = False


def read_script(file: Path, module: str, *, shown: str) -> Script:
    """The settings of the script `file`, which the agenthost file can import as `module`; `shown` is its name.

    Raises UsageError when it cannot be read or sets up no agent, EntrypointError when it is not valid Python.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of the parser, about code that is not ours
            tree = ast.parse(file.read_bytes(), filename=shown)
        return _read(tree, module, shown)
    except OSError as error:
        raise UsageError(f"cannot read {shown}: {(error.strerror or str(error)).lower()}") from None
    except SyntaxError as error:
        raise EntrypointError(f"{shown}:{error.lineno or 1} is not valid Python: {error.msg}") from None
    except (ValueError, RecursionError, MemoryError):
        raise EntrypointError(f"{shown} is not valid Python") from None


def _read(tree: ast.Module, module: str, shown: str) -> Script:
    reading = _Reading(tree, Expressions(tree, module))
    settings = {setting.name: setting for setting in reading.settings()}
    runs = _runs_agent(tree)
    if ENTRYPOINT not in settings and not runs:
        raise UsageError(
            f"{shown} sets up no agent that can be read from it: there is no WorkerOptions(entrypoint_fnc=…), no "
            "@server.rtc_session(), and no cli.run_app(…); write a file with `agenthost init`, and name the function "
            "as `entrypoint:`"
        )
    named = ENTRYPOINT in settings and isinstance(settings[ENTRYPOINT].value, Function)
    at_import = any(_runs_agent(statement) for statement in tree.body if isinstance(statement, ast.Expr))
    return Script(name=shown, settings=tuple(settings.values()), whole=runs and (at_import or not named))


def _runs_agent(tree: ast.AST) -> bool:
    """Whether `run_app` is used in it, also as a thread's target, or a `….run()` is awaited or given to a loop."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id="run_app") | ast.Attribute(attr="run_app"):
                return True
            case ast.Await(value=run) if _is_run(run):
                return True
            case ast.Call(args=arguments) if any(map(_is_run, arguments)):
                return True
    return False


def _is_run(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "run"


class _Reading:
    """One walk over one script."""

    def __init__(self, tree: ast.Module, expressions: Expressions) -> None:
        self._tree = tree
        self._expressions = expressions
        self._servers = set(self._server_names())

    def settings(self) -> Iterator[Setting]:
        """Every option in the order of the text; a later one beats an earlier one of its name."""
        nodes = [node for node in ast.walk(self._tree) if hasattr(node, "lineno")]
        for node in sorted(nodes, key=lambda node: (getattr(node, "lineno", 0), getattr(node, "col_offset", 0))):
            match node:
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    yield from self._decorated(node)
                case ast.Assign(targets=[ast.Attribute(value=target, attr=name)]) if self._is_server(target):
                    if name in _PROPERTIES:
                        yield self._setting(name, self._expressions.read(node.value), node.lineno)
                case ast.Call():
                    yield from self._called(node)
                case _:
                    pass

    def _server_names(self) -> Iterator[str]:
        for node in ast.walk(self._tree):
            if isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if self._makes_server(node.value):
                    yield from (target.id for target in targets if isinstance(target, ast.Name))

    def _makes_server(self, call: ast.Call) -> bool:
        function = call.func
        if isinstance(function, ast.Attribute) and function.attr == "from_server_options":
            function = function.value
        return self._expressions.framework_name(function) == SERVER_CLASS

    def _is_server(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Name) and node.id in self._servers

    def _is_session(self, node: ast.expr) -> bool:
        return isinstance(node, ast.Attribute) and node.attr == "rtc_session" and self._is_server(node.value)

    def _decorated(self, function: ast.FunctionDef | ast.AsyncFunctionDef) -> Iterator[Setting]:
        for decorator in function.decorator_list:
            called = decorator.func if isinstance(decorator, ast.Call) else decorator
            if self._is_session(called):
                name = ast.Name(id=function.name, ctx=ast.Load())
                value = self._expressions.read(name) if function in self._tree.body else Unknown(text=function.name)
                yield self._setting(ENTRYPOINT, value, function.lineno)

    def _called(self, call: ast.Call) -> Iterator[Setting]:
        name = self._expressions.framework_name(call.func)
        if name in OPTION_CLASSES or self._makes_session(call):
            yield from self._positional_entrypoint(call)
            yield from self._keywords(call)
        elif name == SERVER_CLASS or self._updates_server(call):
            yield from self._keywords(call)
        elif self._expressions.full_name(call.func) in ("dotenv.load_dotenv", "load_dotenv"):
            yield from self._env_file(call)

    def _makes_session(self, call: ast.Call) -> bool:
        return self._is_session(call.func)

    def _updates_server(self, call: ast.Call) -> bool:
        function = call.func
        return (
            isinstance(function, ast.Attribute)
            and function.attr == "update_options"
            and self._is_server(function.value)
        )

    def _positional_entrypoint(self, call: ast.Call) -> Iterator[Setting]:
        if call.args:
            yield self._setting(ENTRYPOINT, self._expressions.read(call.args[0]), call.lineno)

    def _keywords(self, call: ast.Call) -> Iterator[Setting]:
        for keyword in call.keywords:
            if keyword.arg is None:
                yield Setting(name="**", value=Unknown(text=ast.unparse(keyword.value)), line=call.lineno)
            else:
                name = "entrypoint_fnc" if keyword.arg == "func" else keyword.arg
                yield self._setting(name, self._expressions.read(keyword.value), keyword.value.lineno)

    def _env_file(self, call: ast.Call) -> Iterator[Setting]:
        arguments = [*call.args, *(word.value for word in call.keywords if word.arg == "dotenv_path")]
        value = self._expressions.read(arguments[0]) if arguments else Literal(value=".env")
        yield Setting(name=ENV_FILE, value=value, line=call.lineno)

    def _setting(self, name: str, value: Value, line: int) -> Setting:
        return Setting(name=_RENAMED.get(name, name), value=value, line=line)


def describe(value: Value) -> str:
    """A value as it stands in the script, for a comment. Texts are not shown: one may be a secret."""
    match value:
        case Literal(value=inner):
            return repr(inner) if isinstance(inner, bool | int | float | None) else f"a {type(inner).__name__}"
        case Unknown(text=text):
            return f"`{text}`" if len(text) <= 60 and not set(text) & set("\n'\"") else "an expression"
        case Function(reference=reference):
            return f"`{reference}`"
        case Named(name=name) | Call(name=name):
            return f"`{name.rpartition('.')[2]}`"
        case _:
            return f"the variable {value.name}"
