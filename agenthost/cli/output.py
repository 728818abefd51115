"""What commands write for people and scripts: results on stdout, everything else on stderr.

Both streams are looked up at each call, so that a caller may replace them.
"""

import sys

from agenthost.texts import encodable


def line(text: str = "") -> None:
    """One line of a command's result, on stdout, at once."""
    sys.stdout.write(encodable(text) + "\n")
    sys.stdout.flush()


def note(text: str) -> None:
    """One line about what is going on, on stderr, at once."""
    sys.stderr.write(encodable(text) + "\n")
    sys.stderr.flush()
