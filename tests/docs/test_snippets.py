"""Every snippet of the README and of docs/ is true: files validate, commands exist, links lead somewhere."""

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from agenthost.cli.main import command_line, main
from agenthost.errors import ExitCode

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").glob("*.md")))
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)#]+)(?:#[^)]*)?\)")
REFERENCE = re.compile(r"\b([a-z_][\w.]*):([a-z_]\w*)\b")
# what a shell line may begin with besides our own commands
ELSEWHERE = {"cd", "curl", "export", "kill", "pip", "python", "set"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Snippet:
    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.name}:{self.line}"


def _snippets() -> Iterator[Snippet]:
    for page in PAGES:
        text = page.read_text()
        for block in BLOCK.finditer(text):
            line = text.count("\n", 0, block.start()) + 2
            yield Snippet(page=page, line=line, language=block[1], text=block[2])


def _in(*languages: str) -> list[Snippet]:
    return [snippet for snippet in _snippets() if snippet.language in languages]


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, "ws://127.0.0.1" if name.endswith("URL") else "x" * 32)


@pytest.mark.parametrize("snippet", _in("yaml"), ids=str)
def test_yaml_is_a_valid_agenthost_file(
    snippet: Snippet, tmp_path: Path, credentials: None, capsys: pytest.CaptureFixture[str]
) -> None:
    """What people copy works. Parts of a file are shown as parts of a whole one."""
    text = snippet.text
    if not {"entrypoint", "agents"} & set(yaml.safe_load(text)):
        text = f"entrypoint: my_agent:entrypoint\n{text}"
    _write_modules(text, tmp_path)
    file = tmp_path / "agenthost.yaml"
    file.write_text(text)
    assert main(["validate", str(file)]) == ExitCode.OK, capsys.readouterr()


def _write_modules(text: str, folder: Path) -> None:
    """The modules that a file refers to, with what it refers to in them."""
    for module, attribute in REFERENCE.findall(text):
        path = folder.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(f"async def {attribute}(ctx): ...\n")


@pytest.mark.parametrize("snippet", _in("bash", "sh"), ids=str)
def test_shell_lines_are_commands_that_exist(snippet: Snippet) -> None:
    """Each line parses with its own command's parser, or names a target of the Makefile."""
    targets = re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for line in snippet.text.splitlines():
        words = shlex.split(line, comments=True)
        if not words or words[0] in ELSEWHERE:
            continue
        if words[0] == "make":
            assert set(words[1:]) <= set(targets), line
            continue
        assert words[0] == "agenthost", line
        command_line().parse_args(words[1:])


@pytest.mark.parametrize("snippet", _in("python"), ids=str)
def test_python_compiles(snippet: Snippet) -> None:
    """No typing errors in what people copy."""
    ast.parse(snippet.text)


def test_every_block_says_its_language() -> None:
    """A block without one would be checked by nothing."""
    assert [str(snippet) for snippet in _snippets() if not snippet.language] == []


def test_readme_shows_the_help_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    """`agenthost --help` is pinned here, where readers see it."""
    assert main(["--help"]) == ExitCode.OK
    shown = [snippet.text for snippet in _in("text") if snippet.page.name == "README.md"]
    assert shown == [capsys.readouterr().out]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_to_files_that_exist(page: Path) -> None:
    """Links within the repository; others are not followed."""
    targets = [target for target in LINK.findall(page.read_text()) if "://" not in target]
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_every_sample_is_in_the_readme() -> None:
    """A sample nobody finds helps nobody."""
    readme = (ROOT / "README.md").read_text()
    folders = [path.parent.name for path in (ROOT / "samples").glob("*/agenthost.yaml")]
    assert [name for name in folders if f"samples/{name}" not in readme] == []


def test_every_page_of_docs_is_in_the_readme() -> None:
    """Nor a page."""
    readme = (ROOT / "README.md").read_text()
    assert [page.name for page in (ROOT / "docs").glob("*.md") if f"docs/{page.name}" not in readme] == []


def test_every_exit_code_is_documented() -> None:
    """Process managers are configured by this table."""
    rows = re.findall(r"^\| (\d+) \|", (ROOT / "docs" / "behaviour.md").read_text(), re.MULTILINE)
    assert [int(row) for row in rows] == sorted(ExitCode)
