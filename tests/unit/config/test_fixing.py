"""`--fix`: the file is corrected, and nothing else in it changes."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agenthost.config.findings import Fix
from agenthost.config.fixing import apply_fixes, fix_file, fix_text
from agenthost.config.loading import Options

OPTIONS = Options(environ={}, command="validate")


def test_comments_and_layout_are_kept(tmp_path: Path) -> None:
    """Only the wrong words are replaced."""
    text = "# head\nentrypont:   a:b   # the code\n\ndrain_timeout: 3600 # an hour\n"
    fixed, count = fix_text(text, tmp_path / "f.yaml", OPTIONS)
    assert count == 2
    assert fixed == "# head\nentrypoint:   a:b   # the code\n\ndrain_timeout: 1h # an hour\n"


def test_a_syntax_error_is_fixed_before_what_it_hides(tmp_path: Path) -> None:
    """Each round can bring new findings to light."""
    text = "entrypont: a:b\nlimits:\n\tinit: 10\n"
    assert fix_text(text, tmp_path / "f.yaml", OPTIONS) == ("entrypoint: a:b\nlimits:\n  init: 10s\n", 3)


def test_several_fixes_of_one_line_do_not_disturb_each_other(tmp_path: Path) -> None:
    """They are applied from the right."""
    fixed, count = fix_text("entrypoint: a:b\nload: { cpu: 70, max_job: 3 }\n", tmp_path / "f.yaml", OPTIONS)
    assert (fixed, count) == ("entrypoint: a:b\nload: { cpu: 70%, max_jobs: 3 }\n", 2)


def test_a_file_without_anything_to_fix_is_not_touched(tmp_path: Path) -> None:
    """Not even its time changes."""
    file = tmp_path / "agenthost.yaml"
    file.write_text("entrypoint: a:b\n")
    before = file.stat()
    assert fix_file(file, OPTIONS) == 0
    assert file.stat().st_mtime_ns == before.st_mtime_ns
    assert file.stat().st_ino == before.st_ino


def test_permissions_line_endings_and_links_survive(tmp_path: Path) -> None:
    """A configuration may be 0600, come from Windows, and be reached through a link."""
    file = tmp_path / "real.yaml"
    file.write_bytes(b"\xef\xbb\xbfentrypoint: a:b\r\ndrain_timeout: 60\r\n")
    file.chmod(0o600)
    link = tmp_path / "agenthost.yaml"
    link.symlink_to(file)
    assert fix_file(link, OPTIONS) == 1
    assert file.read_bytes() == b"\xef\xbb\xbfentrypoint: a:b\r\ndrain_timeout: 1m\r\n"
    assert file.stat().st_mode & 0o777 == 0o600
    assert link.is_symlink()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["agenthost.yaml", "real.yaml"]


def test_a_missing_file_is_left_to_the_findings(tmp_path: Path) -> None:
    """There is nothing to fix."""
    assert fix_file(tmp_path / "gone.yaml", OPTIONS) == 0


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=4))
def test_fixes_replace_exactly_their_columns(pairs: list[tuple[int, int]]) -> None:
    """On one line, as long as they do not overlap."""
    line = "abcdefghijklmnopqrstuvwxyz" * 2
    expected, fixes, position = "", [], 0
    for gap, width in pairs:
        start = position + gap
        expected += line[position:start] + "-"
        fixes.append(Fix(line=1, column=start + 1, end_column=start + width + 1, text="-"))
        position = start + width
        expected += line[position : position + 1]
        position += 1
    assert apply_fixes(line, fixes) == expected + line[position:]


@pytest.mark.parametrize("text", ["entrypoint: a:b\npermissions: { canPublish: yes, can_publish: yes }\n"])
def test_two_keys_never_become_one(text: str, tmp_path: Path) -> None:
    """A rename that would write a key twice is not offered."""
    fixed, _ = fix_text(text, tmp_path / "f.yaml", OPTIONS)
    assert "canPublish: yes, can_publish: true" in fixed
