"""What `agenthost init` writes into a folder: the starter, or a file made from a script, and what goes with it."""

import textwrap
from collections.abc import Sequence
from importlib import resources
from pathlib import Path

from msgspec import Struct

from agenthost.config.editor_schema import editor_schema_text
from agenthost.config.subjects import KINDS, SubjectKind
from agenthost.errors import EnvironmentRefused, UsageError
from agenthost.scaffold.script import ENV_FILE, read_script
from agenthost.scaffold.translation import Translation, translate
from agenthost.scaffold.yaml_text import render_file

CONFIG = "agenthost.yaml"
CODE = "my_agent.py"
SCHEMA = "schemas/agenthost.schema.json"
GUIDE = "AGENTS.md"
GUIDE_WIDTH = 118
_STARTER_ENTRYPOINT = "my_agent:entrypoint"


class NewFile(Struct, frozen=True, kw_only=True):
    """One file to be written. `name` is relative to the folder; `about` says in a few words what it is."""

    name: str
    text: str
    about: str


class Written(Struct, frozen=True, kw_only=True):
    """What became of a file: written, or kept because it was there before."""

    file: NewFile
    kept: bool


def starter_files() -> tuple[NewFile, ...]:
    """A commented file and a runnable agent."""
    return (
        NewFile(name=CONFIG, text=_read(CONFIG), about="the agent, its rules and its limits"),
        NewFile(name=CODE, text=_read(CODE), about="the agent's code"),
        *_companions(_STARTER_ENTRYPOINT, context="agenthost.JobContext"),
    )


def files_from_script(script: Path, folder: Path) -> tuple[tuple[NewFile, ...], Translation]:
    """A file for a livekit-agents script that lies in `folder`, with what could not be taken over.

    Raises UsageError when the script cannot be read, lies elsewhere or cannot be imported by its name.
    """
    shown = _shown(script, folder)
    settings = read_script(script, _module_name(shown), shown=str(shown))
    translation = _without_missing_env_file(translate(settings), folder)
    text = render_file(translation, source=str(shown))
    config = NewFile(name=CONFIG, text=text, about=f"what {shown} sets up")
    entrypoint = str(translation.keys.get("entrypoint", shown))
    return (config, *_companions(entrypoint, context="livekit.agents.JobContext")), translation


def write_files(files: Sequence[NewFile], folder: Path, *, force: bool) -> tuple[Written, ...]:
    """Write them into `folder`, the first, the configuration, only if it is not there yet or `force` is given.

    The others are never written over, but for the schema, which nobody edits. Raises UsageError, and
    EnvironmentRefused when the folder cannot be written to.
    """
    if not force and (folder / CONFIG).exists():
        raise UsageError(f"{folder / CONFIG} is already here; use --force to write over it")
    written = []
    for file in files:
        path = folder / file.name
        kept = path.exists() and file.name not in (CONFIG, SCHEMA)
        if not kept:
            _write(path, file.text)
        written.append(Written(file=file, kept=kept))
    return tuple(written)


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise EnvironmentRefused(f"cannot write {path}: {(error.strerror or str(error)).lower()}") from None


def _companions(entrypoint: str, *, context: str) -> tuple[NewFile, ...]:
    paths = [f"{root}.NAME" if kind is SubjectKind.ATTRIBUTE else root for root, kind in KINDS.items()]
    listed = ", ".join(f"`{path}`" for path in paths) + "."
    wrapped = textwrap.fill(listed, width=GUIDE_WIDTH, initial_indent="  ", subsequent_indent="  ")
    guide = _read(GUIDE).replace("@ENTRYPOINT@", f"`{entrypoint}`").replace("@CONTEXT@", context)
    guide = guide.replace("@PATHS@", wrapped)
    return (
        NewFile(name=GUIDE, text=guide, about="what a coding agent needs to know"),
        NewFile(name=SCHEMA, text=editor_schema_text(), about="lets editors complete and explain the file"),
    )


def _read(name: str) -> str:
    return (resources.files("agenthost.scaffold") / "starter" / name).read_text(encoding="utf-8")


def _shown(script: Path, folder: Path) -> Path:
    """The script's path below the folder, from where the file imports it."""
    try:
        return script.resolve().relative_to(folder.resolve())
    except ValueError:
        if not script.exists():
            raise UsageError(f"cannot read {script}: no such file or directory") from None
        raise UsageError(
            f"{script} is not below {folder}: write the file next to the code, `agenthost init {script.parent} "
            f"--from {script}`"
        ) from None


def _module_name(shown: Path) -> str:
    parts = [*shown.parent.parts, shown.stem]
    if parts[-1] == "__init__":
        parts.pop()
    if shown.suffix != ".py" or not parts or not all(part.isidentifier() for part in parts):
        raise UsageError(f"{shown} cannot be imported by its name: use letters, digits and `_`, and `.py` at the end")
    return ".".join(parts)


def _without_missing_env_file(translation: Translation, folder: Path) -> Translation:
    """`load_dotenv` passes over a file that is not there; as `env_file` it is an error."""
    name = translation.keys.get(ENV_FILE)
    if name is None or (folder / name).is_file():
        return translation
    keys = {key: value for key, value in translation.keys.items() if key != ENV_FILE}
    note = f"{ENV_FILE}: there is no {name} here; write `{ENV_FILE}: {name}` when there is"
    return Translation(keys=keys, notes=(*translation.notes, note))
