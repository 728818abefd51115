"""Layers over the file: the chosen profile, then `--set` and the other options. Key by key at the same path. Pure."""

from msgspec.structs import replace

from agenthost.config.collector import Collector
from agenthost.config.document import parse
from agenthost.config.nodes import Node, Origin, OriginKind, Scalar
from agenthost.config.scalars import read_scalar
from agenthost.errors import UsageError


def merge(base: Node, over: Node) -> Node:
    """`over` on top of `base`: mappings are merged key by key, everything else (lists too) is replaced."""
    if over.value is base.value or not (base.entries and over.entries):
        return over
    entries = dict(base.entries)
    for key, child in over.entries.items():
        entries[key] = merge(entries[key], child) if key in entries else child
    return replace(base, value=entries)


def relabel(node: Node, origin: Origin) -> Node:
    """The node and everything below it with another origin."""
    value = node.value
    if isinstance(value, tuple):
        value = tuple(relabel(child, origin) for child in value)
    elif node.entries:
        value = {key: relabel(child, origin) for key, child in node.entries.items()}
    return replace(node, value=value, origin=origin)


def select_profile(root: Node, name: str | None, *, command: str, findings: Collector) -> Node:
    """Merge the profile `name` (under `dev` the one called `dev`, if there is one) into the file."""
    profiles = root.entries.get("profiles")
    known = profiles.entries if profiles else {}
    chosen = name or ("dev" if command == "dev" and "dev" in known else None)
    if chosen is None:
        return root
    if chosen not in known or profiles is None:
        names = ", ".join(f"`{profile}`" for profile in known) or "none"
        findings.report("AH220", f"there is no profile `{chosen}`", file="--profile", hint=f"the file has {names}")
        return root
    partial = relabel(known[chosen], Origin(kind=OriginKind.PROFILE, name=chosen))
    left = {key: child for key, child in known.items() if key != chosen}
    base = replace(root, value={**root.entries, "profiles": replace(profiles, value=left)})
    return merge(base, partial) if partial.entries else base


def read_override(text: str) -> Node:
    """`a.b=value` from the command line as a tree of its own. Raises UsageError when it is none."""
    path, equals, written = text.partition("=")
    steps = path.strip().split(".")
    if not equals or not all(steps):
        raise UsageError(f"--set {text}: write it as --set PATH=VALUE, for example --set load.max_jobs=20")
    origin = Origin(kind=OriginKind.OPTION, name=f"--set {path.strip()}")
    node = _override_value(text, written.strip(), origin)
    for index in range(len(steps), 0, -1):
        node = Node(value={steps[index - 1]: replace(node, path=tuple(steps[:index]))}, origin=origin)
    return node


def option(path: str, value: str, name: str) -> Node:
    """The tree for a part of the command line that stands for one key; `name` is what findings call it."""
    origin = Origin(kind=OriginKind.OPTION, name=name)
    steps = path.split(".")
    node = Node(value=value, text=value, quoted=True, path=tuple(steps), origin=origin)
    for step in reversed(steps):
        node = Node(value={step: node}, origin=origin)
    return node


def _override_value(text: str, written: str, origin: Origin) -> Node:
    if not written.startswith(("[", "{", '"', "'")):
        value: Scalar = read_scalar(written)
        return Node(value=value, text=written, origin=origin)
    findings = Collector("--set")
    document = parse(f"value: {written}", "--set", findings)
    if document is None or findings.has_errors():
        raise UsageError(f"--set {text}: {findings.findings()[0].message}")
    return _placeless(relabel(document.root.entries["value"], origin))


def _placeless(node: Node) -> Node:
    """An option has no line in the file."""
    bare = Node(value=node.value, text=node.text, quoted=node.quoted, origin=node.origin)
    if node.items:
        return replace(bare, value=tuple(_placeless(child) for child in node.items))
    if node.entries:
        return replace(bare, value={key: _placeless(child) for key, child in node.entries.items()})
    return bare
