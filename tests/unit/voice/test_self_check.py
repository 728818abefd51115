"""The private parts of livekit-agents that we stand on are looked at before the first job."""

import ast
import functools
import importlib
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import livekit.agents
import pytest
from livekit.agents.ipc import proto

from agenthost.errors import EntrypointError
from agenthost.ipc.messages import CodeSpec
from agenthost.voice import door
from agenthost.voice.self_check import PARTS, Part, check_parts


def test_the_installed_version_has_them_all() -> None:
    """This is what fails first when livekit-agents changes."""
    check_parts()


def test_everything_that_is_missing_is_named() -> None:
    """Modules, attributes, arguments; with the versions that are known to fit."""
    parts = (
        Part(owner="livekit.agents.no_such_module"),
        Part(owner="livekit.agents.job:NoSuchClass"),
        Part(owner="livekit.agents.job:JobContext", assigned=("_tempdir", "_no_such_attribute")),
        Part(owner="livekit.agents.voice.agent_session:AgentSession", looked_up=("NoSuchTransport", "JobContext")),
        Part(owner="livekit.agents.voice.remote_session:SessionTransport", abstract=("start", "close")),
        Part(owner="livekit.agents.job:RunningJobInfo", names=("no_such_name",), arguments=("job", "no_such_argument")),
    )
    with pytest.raises(EntrypointError) as refused:
        check_parts(parts)
    for text in (
        "no_such_module",
        "job:NoSuchClass",
        "no_such_name",
        "no_such_argument=",
        "JobContext()._no_such_attribute",
        "AgentSession() going by livekit.agents.voice.agent_session.NoSuchTransport",
        "SessionTransport without send_message()",
        "tried with",
    ):
        assert text in str(refused.value)


def test_a_version_without_a_part_is_refused_at_the_door(monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anything that stands on it is used, and with one sentence."""
    monkeypatch.delattr(proto, "StartJobRequest")
    door._check_once.cache_clear()  # this process may have been there before
    with pytest.raises(EntrypointError, match=r"does not fit: it lacks livekit\.agents\.ipc\.proto:StartJobRequest\."):
        door.find(object(), CodeSpec(entrypoint="my_agent:server"))


PACKAGE = Path(__file__).parents[3] / "agenthost"
SOURCES = sorted(path for name in ("voice", "child", "context") for path in (PACKAGE / name).glob("*.py"))
NOT_THEIRS = {"self", "cls", *sys.stdlib_module_names}
ELSEWHERE = {"_name", "_preload"}  # of a library that ctypes has loaded; a module that is imported if it is there


def private_names(tree: ast.Module) -> Iterator[str]:
    """Attributes of somebody else that begin with an underscore, and texts and modules that name one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and is_private(node.attr) and root(node) not in NOT_THEIRS:
            yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"_[a-z]\w*|livekit(\.\w+)+", node.value):
                yield from filter(is_private, node.value.split("."))
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("livekit."):
            yield from filter(is_private, [*(node.module or "").split("."), *(alias.name for alias in node.names)])


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def root(node: ast.expr) -> str:
    """The name that a chain of attributes begins with."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else ""


def asked_for_first(tree: ast.Module) -> set[str]:
    """Names that are only used where they are there: texts in `hasattr` and in `getattr` with a default."""
    texts = {
        target.id: node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)]
    names = [
        call.args[1]
        for call in calls
        if isinstance(call.func, ast.Name) and (call.func.id, len(call.args)) in (("hasattr", 2), ("getattr", 3))
    ]
    found = [name.value if isinstance(name, ast.Constant) else texts.get(getattr(name, "id", "")) for name in names]
    return {str(name) for name in found if name}


@functools.cache
def own_names(package: Path) -> set[str]:
    """Of the objects of a package: what its classes assign to themselves, and their methods."""
    nodes = [node for path in package.glob("*.py") for node in ast.walk(ast.parse(path.read_text()))]
    methods = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    stored = (node for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store))
    return methods | {node.attr for node in stored if root(node) == "self"}


def named(part: Part) -> set[str]:
    return {*part.owner.replace(":", ".").split("."), *part.names, *part.assigned, *part.arguments}


def shown(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


@pytest.mark.parametrize("source", SOURCES, ids=shown)
def test_every_private_name_that_is_used_is_looked_for(source: Path) -> None:
    """One that is not in the list would be missed in the middle of a call."""
    tree = ast.parse(source.read_text())
    listed = {name for part in PARTS for name in named(part)}
    own = set() if source.parent.name == "voice" else own_names(source.parent)  # there, all are theirs
    if source.stem != "self_check":
        assert set(private_names(tree)) - asked_for_first(tree) - listed - own - ELSEWHERE == set()


def test_a_private_name_is_found_wherever_it_stands() -> None:
    """So that the test above can fail."""
    tree = ast.parse("""
from livekit.agents._one import _two
sys.modules["livekit.rtc._three"]
getattr(server, "_four")
context.room._five, self._ours, sys._getframe(1), atexit.x._clear
""")
    assert set(private_names(tree)) == {"_one", "_two", "_three", "_four", "_five"}


@pytest.mark.parametrize("source", SOURCES, ids=shown)
def test_every_import_from_inside_livekit_agents_is_looked_for(source: Path) -> None:
    """What the package itself exports is public; all else may go."""
    owners = {part.owner for part in PARTS}
    listed = {
        *owners,
        *(owner.partition(":")[0] for owner in owners),
        *(f"{part.owner}:{name}" for part in PARTS for name in part.names),
    }
    imports = [
        (node.module or "", alias.name)
        for node in ast.walk(ast.parse(source.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("livekit.agents")
        for alias in node.names
    ]
    public = {("livekit.agents", name) for name in livekit.agents.__all__}
    unknown = {pair for pair in imports if not {":".join(pair), ".".join(pair)} & listed}
    if source.stem != "self_check":
        assert unknown - public == set()


NAMES = [(part.owner, name) for part in PARTS for name in part.names if name != "PROCESS"]  # an Enum keeps its members


@pytest.mark.parametrize(("owner", "name"), NAMES)
def test_each_name_that_goes_away_is_told(owner: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    module, _, attribute = owner.partition(":")
    found = importlib.import_module(module)
    monkeypatch.delattr(getattr(found, attribute) if attribute else found, name)
    with pytest.raises(EntrypointError, match=rf"it lacks (.*, )?{re.escape(owner)}\.{name}[.,]"):
        check_parts()
