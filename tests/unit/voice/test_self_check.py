"""The private parts of livekit-agents that we stand on are looked at before the first job."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

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


SOURCES = sorted((Path(__file__).parents[3] / "agenthost" / "voice").glob("*.py"))
NOT_THEIRS = {"self", "cls", "os", "sys"}


def private_names(tree: ast.Module) -> Iterator[str]:
    """Attributes of somebody else that begin with an underscore, and texts that name one."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            if not (isinstance(node.value, ast.Name) and node.value.id in NOT_THEIRS):
                yield node.attr
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"_[A-Za-z]\w*", node.value):
                yield node.value
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("livekit."):
            yield from (
                alias.name for alias in node.names if alias.name.startswith("_") and not alias.name.startswith("__")
            )


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


@pytest.mark.parametrize("source", SOURCES, ids=lambda path: path.stem)
def test_every_private_name_that_is_used_is_looked_for(source: Path) -> None:
    """One that is not in the list would be missed in the middle of a call."""
    tree = ast.parse(source.read_text())
    listed = {
        name
        for part in PARTS
        for name in (*part.owner.replace(":", ".").split("."), *part.names, *part.assigned, *part.arguments)
    }
    if source.stem != "self_check":
        assert set(private_names(tree)) - asked_for_first(tree) - listed == set()
