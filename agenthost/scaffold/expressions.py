"""What an expression of a Python script says, found out without running it.

Literals, module constants, functions by name, `os.environ` look-ups and calls of known names are understood;
everything else is `Unknown`, with its text. Pure.
"""

import ast
import operator
from collections.abc import Callable, Mapping

from msgspec import Struct


class Literal(Struct, frozen=True, kw_only=True):
    """A number (`math.inf` is one), text, boolean, None, or a list of such."""

    value: object


class Function(Struct, frozen=True, kw_only=True):
    """A function that the file can name: `reference` is `module:attribute`."""

    reference: str


class Variable(Struct, frozen=True, kw_only=True):
    """An environment variable. `default` None: there is none, and `required` says whether the script insists on it."""

    name: str
    default: str | None
    required: bool


class Named(Struct, frozen=True, kw_only=True):
    """Something of livekit-agents by its full name: `livekit.agents.WorkerType.ROOM`."""

    name: str


class Call(Struct, frozen=True, kw_only=True):
    """A call of something of livekit-agents. `positional` in order, `keywords` by name."""

    name: str
    positional: tuple["Value", ...]
    keywords: Mapping[str, "Value"]


class Unknown(Struct, frozen=True, kw_only=True):
    """Only running the script would tell. `text` is the expression."""

    text: str


Value = Literal | Function | Variable | Named | Call | Unknown

FRAMEWORK = "livekit.agents"
_ENVIRONMENT = ("os.environ.get", "os.getenv")
_NUMBER_CASTS = ("int", "float", "str")
_OPERATORS: Mapping[type[ast.operator], Callable[[float, float], float]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
}


class Expressions:
    """Reads the expressions of one module; `module` is the dotted name under which the file can import it."""

    def __init__(self, tree: ast.Module, module: str) -> None:
        self._module = module
        self._imports = _imports(tree)
        self._functions = {
            node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)
        }
        self._constants = dict(_assignments(tree))
        self._open: set[str] = set()  # constants being read, so that a circle ends

    def full_name(self, node: ast.expr) -> str:
        """The dotted name of `a.b.c` with its import resolved (`agents.cli` → `livekit.agents.cli`); "" if none."""
        if isinstance(node, ast.Name):
            return self._imports.get(node.id, node.id)
        if isinstance(node, ast.Attribute):
            head = self.full_name(node.value)
            return f"{head}.{node.attr}" if head else ""
        return ""

    def framework_name(self, node: ast.expr) -> str:
        """What a name is called inside livekit-agents (`WorkerOptions`); "" for anything else."""
        name = self.full_name(node)
        return name.rpartition(".")[2] if name.startswith(f"{FRAMEWORK}.") else ""

    def read(self, node: ast.expr) -> Value:
        """What the expression says."""
        match node:
            case ast.Constant(value=value) if not isinstance(value, bytes | complex) and value is not ...:
                return Literal(value=value)
            case ast.Name() | ast.Attribute():
                return self._read_name(node)
            case ast.Call():
                return self._read_call(node)
            case ast.Subscript() if self.full_name(node.value) == "os.environ":
                return self._variable([node.slice], required=True) or _unknown(node)
            case ast.List() | ast.Tuple() | ast.BinOp() | ast.UnaryOp():
                return self._read_compound(node)
            case _:
                return _unknown(node)

    def _read_name(self, node: ast.Name | ast.Attribute) -> Value:
        name = self.full_name(node)
        if name == "math.inf":
            return Literal(value=float("inf"))
        if name.startswith(f"{FRAMEWORK}."):
            return Named(name=name)
        if isinstance(node, ast.Name):
            return self._read_own_name(node, name)
        return _unknown(node)

    def _read_own_name(self, node: ast.Name, name: str) -> Value:
        if node.id in self._functions:
            return Function(reference=f"{self._module}:{node.id}")
        if node.id in self._imports and "." in name:
            module, _, attribute = name.rpartition(".")
            return Function(reference=f"{module}:{attribute}")
        if node.id in self._constants and node.id not in self._open:
            self._open.add(node.id)
            try:
                return self.read(self._constants[node.id])
            finally:
                self._open.discard(node.id)
        return _unknown(node)

    def _read_call(self, node: ast.Call) -> Value:
        name = self.full_name(node.func)
        if name in _ENVIRONMENT:
            return self._variable(node.args, required=False) or _unknown(node)
        if name in _NUMBER_CASTS and len(node.args) == 1:
            inner = self.read(node.args[0])
            return _cast(name, inner) or _unknown(node)
        if name.startswith(f"{FRAMEWORK}."):
            keywords = {word.arg: self.read(word.value) for word in node.keywords if word.arg is not None}
            return Call(name=name, positional=tuple(self.read(part) for part in node.args), keywords=keywords)
        return _unknown(node)

    def _variable(self, arguments: list[ast.expr], *, required: bool) -> Variable | None:
        values = [self.read(argument) for argument in arguments]
        texts = [value.value for value in values if isinstance(value, Literal)]
        if len(texts) != len(values) or not 1 <= len(texts) <= 2 or not isinstance(texts[0], str):
            return None
        default = None if len(texts) == 1 or texts[1] is None else str(texts[1])
        return Variable(name=texts[0], default=default, required=required)

    def _read_compound(self, node: ast.expr) -> Value:
        try:
            return Literal(value=self._compute(node))
        except (ValueError, ArithmeticError):
            return _unknown(node)

    def _compute(self, node: ast.expr) -> object:
        match node:
            case ast.List(elts=parts) | ast.Tuple(elts=parts):
                return [self._compute(part) for part in parts]
            case ast.UnaryOp(op=ast.USub(), operand=operand):
                return -self._number(operand)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](self._number(left), self._number(right))
        value = None if isinstance(node, ast.BinOp | ast.UnaryOp) else self.read(node)
        if isinstance(value, Literal):
            return value.value
        raise ValueError("not a literal")

    def _number(self, node: ast.expr) -> float:
        value = self._compute(node)
        if isinstance(value, int | float):
            return value
        raise ValueError("not a number")


def _unknown(node: ast.expr) -> Unknown:
    return Unknown(text=ast.unparse(node))


def _cast(name: str, inner: Value) -> Value | None:
    """`float("inf")`, `int(os.environ["N"])`: the file has no types to cast between, so the cast is left out."""
    if isinstance(inner, Variable):
        return inner
    if not isinstance(inner, Literal):
        return None
    try:
        casts: Mapping[str, Callable[[str], object]] = {"int": int, "float": float, "str": str}
        return Literal(value=casts[name](str(inner.value)))
    except ValueError:
        return None


def _imports(tree: ast.Module) -> dict[str, str]:
    """Local name → full name, of every absolute import anywhere in the module."""
    names: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                names[alias.asname or alias.name.partition(".")[0]] = (
                    alias.name if alias.asname else alias.name.partition(".")[0]
                )
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            for alias in node.names:
                names[alias.asname or alias.name] = f"{node.module}.{alias.name}"
    return names


def _assignments(tree: ast.Module) -> list[tuple[str, ast.expr]]:
    """Names that the module gives a value once, at its top level."""
    found: dict[str, list[ast.expr]] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                if isinstance(target, ast.Name):
                    found.setdefault(target.id, []).append(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.value is not None:
            found.setdefault(node.target.id, []).append(node.value)
    return [(name, values[0]) for name, values in found.items() if len(values) == 1]
