"""`agenthost test`: examples of a file, decided by its rules."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from agenthost.cli.main import main
from agenthost.errors import ExitCode

FILE = """\
timezone: Europe/Berlin
requests:
  accept: { name: Support }
  rules:
    - { name: recordings, when: { room.name: "rec-*" }, action: terminate }
    - name: office
      when: { time.hour: "8..18", job.metadata.tier: gold }
      action: accept
      permissions: { hidden: true }
    - { name: crowded, when: { agent.jobs: { ge: 3 } }, action: reject }
  otherwise: reject
"""
HEAD = "entrypoint: my_agent:entrypoint\n" + FILE
PASSING = """\
tests:
  - name: nobody serves recordings
    request: { room.name: rec-7 }
    expect: { action: terminate, rule: recordings, reason: rule }
  - name: gold in the office
    request: { job.metadata: { tier: gold } }
    at: 2026-07-01T06:30:00Z
    expect: { action: accept, name: Support, identity: agent-AJ_test, permissions: { hidden: true, can_publish: true } }
  - name: gold at night
    request: { job.metadata.tier: gold, agent.jobs: 3 }
    at: 2026-07-01T18:00:00
    expect: { action: reject, rule: crowded }
"""
FAILING = """\
tests:
  - name: names and attributes
    request: { job.metadata.tier: gold }
    at: 2026-07-01T12:00:00
    expect: { action: reject, name: Desk, attributes: { a: b }, permissions: { can_publish: false } }
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an agent; no LiveKit server is configured, for tests need none."""
    (tmp_path / "my_agent.py").write_text("async def entrypoint(ctx): ...\n")
    for name in ("LIVEKIT_URL", "LIVEKIT_API_KEY", "LIVEKIT_API_SECRET", "AGENTHOST_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(text: str, *arguments: str) -> int:
    Path("agenthost.yaml").write_text(text)
    return main(["test", *arguments])


def test_passing_tests_exit_0_and_show_who_decided(capsys: pytest.CaptureFixture[str]) -> None:
    """One line a test; times without an offset are in the file's timezone."""
    assert run(HEAD + PASSING) == ExitCode.OK
    expected = """\
  ✓ nobody serves recordings  terminate, agent by `recordings`
  ✓ gold in the office        accept, agent by `office`
  ✓ gold at night             reject, agent by `crowded`

3 tests: 3 passed
3 of 3 rules decided a test
"""
    assert capsys.readouterr().out == expected


def test_failing_test_exits_1_and_shows_every_difference(capsys: pytest.CaptureFixture[str]) -> None:
    """Expected and actual side by side, then the reason of the decision with its place in the file."""
    assert run(HEAD + FAILING) == ExitCode.FAILURE
    expected = """\
  ✗ names and attributes              agenthost.yaml:14:5
      action: expected reject, got accept
      name: expected Desk, got Support
      attributes.a: expected b, got nothing
      permissions.can_publish: expected false, got true
      why: rule `office` holds (agenthost.yaml:7:7)

1 test: 0 passed, 1 failed
1 of 3 rules decided a test
  – agent: `recordings` decided none  agenthost.yaml:6:7
  – agent: `crowded` decided none     agenthost.yaml:11:7
"""
    assert capsys.readouterr().out == expected


def test_file_without_tests_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """Nothing failed; what is not covered is still listed."""
    assert run(HEAD) == ExitCode.OK
    written = capsys.readouterr().out
    assert written.startswith("the file has no `tests:`\n0 of 3 rules decided a test\n")


def test_json_has_everything(capsys: pytest.CaptureFixture[str]) -> None:
    """For scripts: decisions, differences, coverage."""
    assert run(HEAD + FAILING, "--format", "json") == ExitCode.FAILURE
    report = json.loads(capsys.readouterr().out)
    (test,) = report["tests"]
    assert report["passed"] is test["passed"] is False
    assert test["decision"]["rule"] == "office"
    assert test["mismatches"][0] == {"what": "action", "expected": "reject", "actual": "accept"}
    assert [rule["reached"] for rule in report["rules"]] == [False, True, False]


def test_junit_file_has_a_case_for_each_test(folder: Path) -> None:
    """CI systems read names, places and the text of a failure."""
    run(HEAD + PASSING + FAILING.removeprefix("tests:\n"), "--junit", "results.xml")
    suite = ElementTree.parse(folder / "results.xml").getroot()[0]
    assert (suite.get("tests"), suite.get("failures")) == ("4", "1")
    assert [case.get("name") for case in suite][:2] == ["nobody serves recordings", "gold in the office"]
    (failure,) = suite.iter("failure")
    assert failure.get("message") == "action: expected reject, got accept"


def test_junit_file_that_cannot_be_written_is_one_sentence(capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback."""
    assert run(HEAD + PASSING, "--junit", "nowhere/results.xml") == ExitCode.FAILURE
    assert capsys.readouterr().err == "agenthost: cannot write nowhere/results.xml: no such file or directory\n"


def test_rule_among_the_defaults_is_covered_by_any_of_its_agents(capsys: pytest.CaptureFixture[str]) -> None:
    """It stands once in the file, so it is counted once."""
    agents = "agents: { a: my_agent:entrypoint, b: { agent_name: b, entrypoint: my_agent:entrypoint } }\n"
    tests = "tests: [{ name: t, agent: b, request: { room.name: rec-1 }, expect: { rule: recordings } }]\n"
    assert run(FILE + agents + tests) == ExitCode.OK
    assert "1 of 3 rules decided a test" in capsys.readouterr().out


def test_unset_variables_do_not_keep_tests_from_running() -> None:
    """CI tests rules without having the secrets of production."""
    assert run(HEAD + PASSING + 'env: { KEY: "${NOT_SET_ANYWHERE:?set it}" }\n') == ExitCode.OK


@pytest.mark.parametrize("place", ["rule", "test", "accept"])
def test_unset_variable_that_decides_is_refused(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Without its value the rule would be another one, and its test would prove nothing."""
    value = '"${NOT_SET_ANYWHERE}"'
    text = {
        "rule": HEAD.replace('"rec-*"', value),
        "test": HEAD + f"tests: [{{ name: t, request: {{ room.name: {value} }}, expect: {{ action: reject }} }}]\n",
        "accept": HEAD.replace("name: Support", f"name: {value}"),
    }[place]
    assert run(text) == ExitCode.USAGE
    assert "rules and tests need NOT_SET_ANYWHERE, which is not set here" in capsys.readouterr().err


def test_broken_file_exits_78(capsys: pytest.CaptureFixture[str]) -> None:
    """Findings are shown as `validate` shows them."""
    assert run(HEAD + "tests: [{ name: t, expect: { rule: offices } }]\n") == ExitCode.CONFIG
    assert "error[AH225] agent `agent` has no rule `offices`" in capsys.readouterr().err


def test_handlers_are_not_asked_and_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    """A handler is user code, and has the last word in the host."""
    Path("my_agent.py").write_text("async def entrypoint(ctx): ...\nasync def handler(req): ...\n")
    assert run("entrypoint: my_agent:entrypoint\nrequests: { handler: my_agent:handler }\n" + "tests: []\n") == 0
    assert "handlers were not asked" in capsys.readouterr().out
