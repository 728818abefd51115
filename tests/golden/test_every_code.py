"""Each finding code has a golden file that shows what it looks like."""

from pathlib import Path

from agenthost.config.codes import CODES

HERE = Path(__file__).parent
RECORDED = [*HERE.glob("config/*.yaml"), *HERE.glob("commands/*/command.txt")]
SEPARATOR = "\n========\n"


def test_every_code_has_a_golden_file() -> None:
    """No code without an example, and no example of a code that is gone."""
    shown = "".join(file.read_text(encoding="utf-8").partition(SEPARATOR)[2] for file in RECORDED)
    assert {code for code in CODES if f"[{code}]" not in shown} == set()
