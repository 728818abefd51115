"""Values that go to the LiveKit server must be text; what a variable holds need not be. Pure.

A path may be any bytes (`os.fsdecode` makes halves of surrogate pairs of them), so this is no rule for all values.
"""

from agenthost.config.collector import Collector
from agenthost.config.nodes import Keys, Node, OriginKind
from agenthost.texts import encodable


def check_utf8(node: Node, path: Keys, findings: Collector) -> bool:
    """Whether the value at `path` can be said to a server; a finding where it was taken from if not."""
    if not isinstance(node.value, str) or encodable(node.value) == node.value:
        return True
    message = f"`{path[-1]}` is not UTF-8 text, and the LiveKit server takes no other"
    hint = "correct the variable; was it set in a terminal of another encoding?"
    if node.origin.kind is OriginKind.ENVIRONMENT:
        findings.report("AH311", message, file=node.origin.name, path=path, hint=hint)
    else:
        findings.about("AH311", message, node, hint=hint)
    return False
