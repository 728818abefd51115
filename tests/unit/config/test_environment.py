"""Env files and `${file:…}`: what is read, what is refused, and that secrets in them are never shown."""

from pathlib import Path

import pytest

from agenthost.config.collector import Collector
from agenthost.config.environment import FileReader, read_env_file
from agenthost.config.interpolate import UnreadableFile


def env(tmp_path: Path, text: str) -> tuple[dict[str, str], list[str]]:
    file = tmp_path / ".env"
    file.write_text(text)
    findings = Collector("f")
    values = dict(read_env_file(file, findings))
    return values, [f"{finding.code}:{finding.line}" for finding in findings.findings()]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("A=1", "1"),
        ("export A = 1 ", "1"),
        ("A=", ""),
        ("A=a b # comment", "a b"),
        ("A=a#b", "a#b"),
        ("A='a # $B'", "a # $B"),
        ('A="a\\nb \\"c\\"" # comment', 'a\nb "c"'),
        ("A=${B}", "${B}"),
        ("A=# nothing", ""),
    ],
)
def test_lines_are_names_and_values(tmp_path: Path, line: str, value: str) -> None:
    """Quotes and comments as in a shell, and nothing is expanded."""
    assert env(tmp_path, f"# head\n\n{line}\n") == ({"A": value}, [])


def test_malformed_lines_are_reported_without_their_text(tmp_path: Path) -> None:
    """The line may be a secret, so only its number is said."""
    file = tmp_path / ".env"
    file.write_text("GOOD=1\ncanary\nB='canary\n")
    findings = Collector("f")
    assert dict(read_env_file(file, findings)) == {"GOOD": "1"}
    assert [finding.line for finding in findings.findings()] == [2, 3]
    assert "canary" not in repr(findings.findings())


def test_a_missing_or_binary_env_file_is_a_finding(tmp_path: Path) -> None:
    """It was named, so somebody counts on it."""
    findings = Collector("f")
    read_env_file(tmp_path / "gone", findings)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    read_env_file(tmp_path / "binary", findings)
    (tmp_path / "large").write_bytes(b"A=1\n" * 300_000)
    assert read_env_file(tmp_path / "large", findings) == {}
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
