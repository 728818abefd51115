"""The files that are made from the field table: `python -m agenthost.config.published` writes them anew.

A test compares them with what they would be, so that they never grow old.
"""

import sys
from pathlib import Path

from agenthost.config.codes import CODES
from agenthost.config.editor_schema import editor_schema_text
from agenthost.config.explain import Explanation, every_explanation
from agenthost.config.fields import Apply

_HEAD = """# Reference of the agenthost file

Made from the field table by `python -m agenthost.config.published`; `agenthost explain PATH` says the same.

Durations need a unit (`500ms`, `10s`, `1h30m`), sizes too (`MB`, `GB` count by 1000, `MiB`, `GiB` by 1024); ratios are
`70%` or `0.7`. `null` means "back to the default". Keys that start with `x-` are ignored, for anchors to live in.

"""

_AGENT_KEYS = """Inside an agent under `agents:`, or at the top of the file as the defaults of all agents; in a file of
one agent they all stand at the top. `env`, `settings`, `permissions` and `limits` are merged key by key, everything
else replaces the default.
"""


def published() -> dict[Path, str]:
    """Path below the repository → content, of every file that is made from the field table."""
    return {
        Path("schemas/agenthost.schema.json"): editor_schema_text(),
        Path("docs/reference.md"): reference_text(),
    }


def reference_text() -> str:
    """The reference page, as Markdown."""
    host = [entry for entry in every_explanation() if not entry.path.startswith("agents.*.")]
    agent = [entry for entry in every_explanation() if entry.path.startswith("agents.*.")]
    classes = [f"- **{apply.value}**: {apply.meaning}" for apply in Apply]
    parts = [
        _HEAD + "What a change of a key means for a running host:\n\n" + "\n".join(classes) + "\n",
        "## Host keys\n\nThey stand at the top of the file.\n\n" + _table(host),
        "## Agent keys\n\n" + _AGENT_KEYS + "\n" + _table(agent),
        "## Findings\n\n`agenthost validate` names each problem by a code.\n\n" + _codes(),
    ]
    return "\n".join(parts)


def _table(entries: list[Explanation]) -> str:
    rows = ["| key | written as | default | meaning | class |", "|---|---|---|---|---|"]
    for entry in entries:
        key = entry.path.removeprefix("agents.*.")
        cells = (f"`{key}`", entry.type, entry.default, entry.description, entry.apply)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


def _codes() -> str:
    rows = ["| code | problem | explanation |", "|---|---|---|"]
    rows += [f"| {code.code} | {code.title} | {code.text.replace('|', chr(92) + '|')} |" for code in CODES.values()]
    return "\n".join(rows) + "\n"


def main(root: Path) -> None:
    """Write every published file below `root`."""
    for path, text in published().items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, encoding="utf-8")
        sys.stdout.write(f"wrote {path}\n")


if __name__ == "__main__":
    main(Path.cwd())
