"""Findings as text, JSON and annotations."""

import json

import pytest

from agenthost.config.findings import Finding, Fix, Related, Severity
from agenthost.config.findings_text import as_github, as_json, plain, render, render_stages


def finding(**changes: object) -> Finding:
    values: dict[str, object] = {
        "code": "AH120",
        "severity": Severity.ERROR,
        "message": "a duration needs a unit",
        "file": "f.yaml",
        "line": 2,
        "column": 4,
        "end_column": 6,
        "path": "x",
        "hint": "write `1h`",
    }
    return Finding(**{**values, **changes})  # type: ignore[arg-type]


SOURCE = "first\nab 12\nlast"


def test_a_finding_is_a_header_a_line_and_carets() -> None:
    """In the shape that every surface shares."""
    assert plain(render([finding()], SOURCE, file="f.yaml")).splitlines() == [
        "f.yaml:2:4  error[AH120] a duration needs a unit",
        "    2 │ ab 12",
        "      │    ^^ write `1h`",
        "",
        "1 error",
    ]


def test_fixable_stands_in_one_column() -> None:
    """Unless the line is too long for it."""
    fix = Fix(line=2, column=4, end_column=6, text="1h")
    short, long = (
        plain(render([finding(fix=fix, hint=hint)], SOURCE, file="f.yaml")).splitlines()[2] for hint in ("a", "a" * 90)
    )
    assert short.index("[fixable]") == 76
    assert long.endswith("a  [fixable]")


def test_related_places_come_in_the_order_of_the_file() -> None:
    """Each with its own words."""
    related = (Related(line=1, column=1, end_column=6, message="first here"),)
    lines = plain(render([finding(related=related)], SOURCE, file="f.yaml")).splitlines()
    assert lines[1:5] == ["    1 │ first", "      │ ----- first here", "    2 │ ab 12", "      │    ^^ write `1h`"]


def test_other_files_and_no_place_show_only_the_hint() -> None:
    """An env file's lines may be secrets; an option has none."""
    for other in (finding(file="x.env"), finding(line=0, column=0, end_column=0)):
        lines = plain(render([other], SOURCE, file="f.yaml")).splitlines()
        assert lines[1] == "      │ write `1h`"


@pytest.mark.parametrize(
    ("line", "column", "end", "shown", "carets"),
    [
        ("日本 x", 4, 5, "日本 x", "     ^"),
        ("\tx", 2, 3, " x", " ^"),
        ("e\u0301 x", 4, 5, "e\u0301 x", "  ^"),
        ("a\x1b[31m", 1, 2, "a·[31m", "^"),
        ("ab", 3, 9, "ab", "  ^"),
    ],
)
def test_carets_stand_below_what_they_mean(line: str, column: int, end: int, shown: str, carets: str) -> None:
    """Wide characters, combining ones, tabs, control characters, and places behind the end."""
    lines = plain(render([finding(line=1, column=column, end_column=end, hint="")], line, file="f.yaml")).splitlines()
    assert lines[1] == f"    1 │ {shown}"
    assert lines[2] == f"      │ {carets}"


def test_of_a_very_long_line_the_part_around_the_carets_is_shown() -> None:
    """A minified file must not fill the terminal."""
    line = "a" * 500 + "BAD" + "b" * 500
    shown = plain(render([finding(line=1, column=501, end_column=504, hint="")], line, file="f.yaml")).splitlines()
    assert max(map(len, shown)) < 140
    start = shown[2].index("^")
    assert shown[1][start : start + 3] == "BAD"
    assert shown[2].count("^") == 3


def test_the_summary_counts_errors_warnings_and_fixes() -> None:
    """Singular and plural."""
    warning = finding(severity=Severity.WARNING, fix=Fix(line=2, column=4, end_column=6, text="x"))
    assert plain(render([finding(), finding(), warning], SOURCE, file="f.yaml")).splitlines()[-1] == (
        "2 errors · 1 warning · 1 fixable with --fix"
    )


def test_stages_have_three_marks() -> None:
    """Passed, failed, not reached."""
    assert plain([render_stages({"syntax": True, "schema": False, "server": None})]) == (
        "checked: syntax ✓  schema ✗  server –"
    )


def test_json_holds_everything() -> None:
    """For editors and scripts."""
    fix = Fix(line=2, column=4, end_column=6, text="1h")
    data = json.loads(json.dumps(as_json(finding(fix=fix))))
    assert data["fix"] == {"line": 2, "column": 4, "end_column": 6, "text": "1h"}
    assert {key: data[key] for key in ("code", "severity", "line", "column", "path")} == {
        "code": "AH120",
        "severity": "error",
        "line": 2,
        "column": 4,
        "path": "x",
    }


def test_annotations_are_escaped() -> None:
    """A message cannot end the command early."""
    line = as_github(finding(message="50%\nof", file="a,b:c.yaml"))
    assert line == "::error file=a%2Cb%3Ac.yaml,line=2,col=4,endColumn=6,title=AH120::50%25%0Aof: write `1h`"
    assert as_github(finding(line=0, severity=Severity.WARNING)).startswith("::warning file=f.yaml,line=1,title=")


LONG = "a message that goes on and on, " * 5


@pytest.mark.parametrize("width", [60, 80, 120])
@pytest.mark.parametrize("column", [1, 40, 100, 180])
def test_no_line_is_wider_than_asked_for(width: int, column: int) -> None:
    """Header, snippet, hint and what is related, wherever the carets stand; no word is lost."""
    related = (Related(line=1, column=1, end_column=6, message=LONG),)
    fix = Fix(line=2, column=column, end_column=column + 3, text="x")
    place = finding(message=LONG, hint=LONG, column=column, end_column=column + 3, related=related, fix=fix)
    text = plain(render([place], "first\n" + "ab12" * 50, file="f.yaml", width=width))
    assert max(map(len, text.splitlines())) <= width
    words = text.replace("│", " ").split()
    assert words.count("message") == 3 * LONG.count("message")
    assert words.count("[fixable]") == 1


def test_a_hint_that_has_no_room_stands_below_its_carets() -> None:
    """Not in a column of three letters at the right edge."""
    place = finding(line=1, column=50, end_column=53, hint="words that need more room than there is")
    lines = plain(render([place], "x" * 52, file="f.yaml", width=64)).splitlines()
    assert lines[2].endswith("^^^")
    assert lines[3].endswith("words that need more room than there is")


def test_a_message_of_several_lines_is_one_paragraph() -> None:
    """Exceptions of user code may be called anything."""
    lines = plain(render([finding(message="one\ntwo")], SOURCE, file="f.yaml")).splitlines()
    assert lines[0] == "f.yaml:2:4  error[AH120] one two"


def test_what_a_file_says_cannot_colour_the_terminal() -> None:
    """Keys and values are quoted in messages and hints, whatever they hold."""
    text = plain(render([finding(message="`\x1b[31mred`", hint="\x1b[0m\x07")], SOURCE, file="f.yaml"))
    assert "\x1b" not in text
    assert "\x07" not in text


def test_long_texts_and_long_lists_are_cut() -> None:
    """A file of another kind may have any number of mistakes, each as long as it is."""
    text = plain(render([finding(message="x" * 5000)] * 1000, SOURCE, file="f.yaml"))
    assert len(text) < 200_000
    assert text.splitlines()[-3:] == ["… and 800 more", "", "1000 errors"]
