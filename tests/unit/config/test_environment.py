"""Env files and `${file:…}`: what is read, what is refused, and that secrets in them are never shown."""

from pathlib import Path

import pytest

from agenthost.config.collector import Collector
from agenthost.config.environment import FileReader, read_env_file
from agenthost.config.findings import Severity
from agenthost.config.interpolate import UnreadableFile
from tests.unit.config.conftest import Examine


def env(tmp_path: Path, text: str, environ: dict[str, str] | None = None) -> tuple[dict[str, str], list[str]]:
    file = tmp_path / ".env"
    file.write_text(text)
    findings = Collector("f")
    values = dict(read_env_file(file, environ or {}, findings))
    assert not findings.has_errors()
    return values, [f"{finding.code}:{finding.line}" for finding in findings.findings()]


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ("A=1", {"A": "1"}),
        ("export A = 1 ", {"A": "1"}),
        ("A=", {"A": ""}),
        ("A=a b # comment", {"A": "a b"}),
        ("A=a#b", {"A": "a#b"}),
        ("A='a # $B'", {"A": "a # $B"}),
        ('A="a\\nb \\"c\\"" # comment', {"A": 'a\nb "c"'}),
        ("A= # nothing", {"A": ""}),
        ('KEY="-----BEGIN\nMII=\n-----END"\nB=2', {"KEY": "-----BEGIN\nMII=\n-----END", "B": "2"}),
        ("A.B=1\nC-D=2", {"A.B": "1", "C-D": "2"}),
        ("EMPTY\nA=1", {"A": "1"}),
        ("H=127.0.0.1\nURL=ws://${H}:7880", {"H": "127.0.0.1", "URL": "ws://127.0.0.1:7880"}),
        ("URL=ws://${H:-host}/${GONE}", {"URL": "ws://host/"}),
        ("URL=ws://${SET}", {"URL": "ws://shell"}),
        ("SET=file\nURL=ws://${SET}", {"SET": "file", "URL": "ws://shell"}),
        ("\ufeffA=1\r\nB=2\r\n", {"A": "1", "B": "2"}),
    ],
)
def test_variables_are_what_python_dotenv_makes_of_them(tmp_path: Path, text: str, values: dict[str, str]) -> None:
    """A variable that the process has set wins, in the file's own references, too."""
    assert env(tmp_path, f"# head\n\n{text}\n" if text[0] != "\ufeff" else text, {"SET": "shell"}) == (values, [])


def test_odd_lines_are_warnings_without_their_text(tmp_path: Path) -> None:
    """The line may be a secret, so only its number is said; the others are read."""
    file = tmp_path / ".env"
    file.write_text("GOOD=1\n\n=canary\nB='canary\nC=3\nD=can\0ary\n")
    findings = Collector("f")
    assert dict(read_env_file(file, {}, findings)) == {"GOOD": "1", "C": "3"}
    assert [finding.line for finding in findings.findings()] == [3, 4, 6]
    assert not findings.has_errors()
    assert "canary" not in repr(findings.findings())


@pytest.mark.parametrize("content", [b"\xff\xfe", b"A=1\n" * 300_000, None])
def test_file_that_nobody_asked_for_is_no_error(tmp_path: Path, content: bytes | None) -> None:
    """Whatever is wrong with it."""
    file = tmp_path / ".env"
    file.mkdir() if content is None else file.write_bytes(content)
    findings = Collector("f")
    assert read_env_file(file, {}, findings, asked=False) == {}
    (found,) = findings.findings()
    assert found.severity is Severity.WARNING


@pytest.mark.parametrize("command", ["dev", "start"])
def test_dev_starts_beside_an_odd_env_file(examine: Examine, folder: Path, command: str) -> None:
    """It is read under `dev` because it is there; what it says counts, and its odd line is told with its place."""
    (folder / ".env").write_text("TOKEN=${H}\nnot a variable\nH=1\n? =\n")
    examination = examine(
        "entrypoint: code_of_agent:entrypoint\nenv: { T: '${TOKEN:-none}' }\n", command=command, environ={"H": "2"}
    )
    assert examination.config is not None, examination.findings
    (agent,) = examination.config.agents
    found = [(Path(finding.file).name, finding.line) for finding in examination.findings if finding.code == "AH308"]
    assert (agent.env["T"], found) == (("2", [(".env", 2)]) if command == "dev" else ("none", []))


def test_a_missing_or_binary_env_file_is_a_finding(tmp_path: Path) -> None:
    """It was named, so somebody counts on it."""
    findings = Collector("f")
    read_env_file(tmp_path / "gone", {}, findings)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    read_env_file(tmp_path / "binary", {}, findings)
    (tmp_path / "large").write_bytes(b"A=1\n" * 300_000)
    assert read_env_file(tmp_path / "large", {}, findings) == {}
    assert sorted(finding.code for finding in findings.findings()) == ["AH307", "AH308", "AH308"]


def test_one_trailing_newline_is_stripped(tmp_path: Path) -> None:
    """A secret file written by an editor ends in one; the secret does not."""
    (tmp_path / "a").write_text("text\n\n")
    reader = FileReader(tmp_path)
    assert reader.read("a") == "text\n"
    assert reader.files == [tmp_path / "a"]


@pytest.mark.parametrize("kind", ["missing", "folder", "large", "binary"])
def test_files_that_cannot_be_text_say_why(tmp_path: Path, kind: str) -> None:
    """Each reason has its own words."""
    path = tmp_path / "x"
    if kind == "folder":
        path.mkdir()
    elif kind == "large":
        path.write_bytes(b"x" * (1024 * 1024 + 1))
    elif kind == "binary":
        path.write_bytes(b"\xff")
    words = {"missing": "no such file", "folder": "is a directory", "large": "1 MiB", "binary": "UTF-8"}
    with pytest.raises(UnreadableFile, match=words[kind]):
        FileReader(tmp_path).read("x")
