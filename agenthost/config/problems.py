"""A `Problem` is a finding that knows its path but not yet its line: what the checks of plain data report.

`loading` looks the path up in the document and turns a problem into a `Finding`. Pure; host and command line.
"""

from msgspec import Struct

from agenthost.config.findings import Severity
from agenthost.config.nodes import Keys


class Problem(Struct, frozen=True, kw_only=True):
    """One thing wrong at `path`. `related` is the path of another place that explains it, with what to say there.

    `fix`, where there is one, is the text that the scalar at `path` (for `at_key`: the key itself) should read.
    """

    path: Keys
    code: str
    message: str
    hint: str = ""
    severity: Severity = Severity.ERROR
    at_key: bool = False
    fix: str | None = None
    related: Keys | None = None
    related_message: str = ""
