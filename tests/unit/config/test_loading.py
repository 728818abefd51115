"""The whole way from a file to a Config, and what stands in its way."""

import gc
import random
import time
from pathlib import Path

import pytest

from agenthost.config import loading
from agenthost.config.findings import ConfigError, Severity
from agenthost.config.loading import Options, Stage, examine_text, find_file, load_entrypoint
from agenthost.errors import ExitCode, UsageError
from tests.unit.config.conftest import ENVIRON, Examine, Load

FLAT = "entrypoint: code_of_agent:entrypoint\n"
ROOT = Path(__file__).parents[3]
GOLDEN = ROOT / "tests" / "golden" / "config"


def test_a_valid_file_is_loaded_with_its_warnings(folder: Path) -> None:
    """Warnings do not stop anything, but somebody should see them."""
    file = folder / "agenthost.yaml"
    file.write_text(f"{FLAT}permissions: {{ hidden: true }}\n")
    loaded = loading.load(file, environ=ENVIRON, command="start")
    assert loaded.config.file == file
    assert [finding.code for finding in loaded.warnings] == ["AH214"]


def test_all_errors_are_raised_at_once(folder: Path) -> None:
    """Exit 78 tells a process manager not to try again."""
    file = folder / "agenthost.yaml"
    file.write_text("entrypont: a:b\ndrain_timeout: 5\n")
    with pytest.raises(ConfigError) as error:
        loading.load(file, environ=ENVIRON, command="start")
    assert error.value.exit_code is ExitCode.CONFIG
    assert [finding.code for finding in error.value.findings] == ["AH101", "AH120"]
    assert str(error.value).startswith(f"{file}:1:1 AH101")


@pytest.mark.parametrize("kind", ["missing", "folder", "binary"])
def test_a_file_that_cannot_be_read_is_a_finding(folder: Path, kind: str) -> None:
    """With the reason, and no traceback."""
    file = folder / "agenthost.yaml"
    if kind == "folder":
        file.mkdir()
    if kind == "binary":
        file.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError) as error:
        loading.load(file, environ=ENVIRON, command="start")
    assert [finding.code for finding in error.value.findings] == ["AH002" if kind == "binary" else "AH001"]


def test_the_file_is_named_or_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Argument, AGENTHOST_CONFIG, agenthost.yaml, agenthost.yml: in this order."""
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError, match=r"^agenthost.yaml AH001 "):
        find_file(None, {})
    (folder / "agenthost.yml").touch()
    assert find_file(None, {}) == Path("agenthost.yml")
    (folder / "agenthost.yaml").touch()
    assert find_file(None, {}) == Path("agenthost.yaml")
    assert find_file(None, {"AGENTHOST_CONFIG": "b.yaml"}) == Path("b.yaml")
    assert find_file("a.yaml", {"AGENTHOST_CONFIG": "b.yaml"}) == Path("a.yaml")


def test_an_entrypoint_needs_no_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`agenthost dev module:attribute`."""
    monkeypatch.chdir(folder)
    loaded = load_entrypoint("code_of_agent:entrypoint", Options(environ=ENVIRON, command="dev"))
    assert loaded.config.agents[0].entrypoint == "code_of_agent:entrypoint"
    assert loaded.config.folder == folder
    assert loaded.config.identity == folder / "code_of_agent:entrypoint"  # by which commands find its host
    assert loaded.config.file == folder / "agenthost.yaml"


def test_a_wrong_entrypoint_is_shown_as_it_was_typed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is no file to point at."""
    monkeypatch.chdir(folder)
    with pytest.raises(ConfigError) as error:
        load_entrypoint("code_of_agent:entrypont", Options(environ=ENVIRON, command="dev"))
    (finding,) = error.value.findings
    assert (finding.code, finding.file, finding.line) == ("AH263", "code_of_agent:entrypont", 0)


def test_names_that_no_file_can_have_are_findings(folder: Path) -> None:
    """The system refuses to look for them; that is no reason to fail."""
    name = "x" * 300
    text = f"entrypoint: {name}.py\nworking_dir: {name}\nenv_file: {name}\n"
    found = examine_text(text, folder / "agenthost.yaml", Options(environ=ENVIRON, command="validate")).findings
    assert {finding.code for finding in found if finding.severity is Severity.ERROR} == {"AH261", "AH222", "AH307"}


def test_a_development_profile_renames_the_agent(load: Load) -> None:
    """So that a host on a desk takes no calls meant for production, in both forms of the file."""
    flat = f"{FLAT}agent_name: support\nprofiles: {{ dev: {{ agent_name: support-me }} }}\n"
    assert [load(flat, command=name).agents[0].agent_name for name in ("start", "dev")] == ["support", "support-me"]
    several = (
        "agents:\n  support: code_of_agent:entrypoint\n"
        "profiles: { dev: { agents: { support: { agent_name: support-me } } } }\n"
    )
    assert [load(several, command=name).agents[0].agent_name for name in ("start", "dev")] == ["support", "support-me"]


def test_option_beats_profile_beats_file_beats_default(load: Load) -> None:
    """One key at each level of precedence."""
    text = f"{FLAT}log_level: WARNING\nprofiles: {{ p: {{ log_level: ERROR }} }}\n"
    assert load(FLAT).log.level == "INFO"
    assert load(text).log.level == "WARNING"
    assert load(text, profile="p").log.level == "ERROR"
    assert load(text, profile="p", overrides=["log_level=CRITICAL"]).log.level == "CRITICAL"
    assert load(text, profile="p", overrides=["log_level=CRITICAL"], log_level="TRACE").log.level == "TRACE"


def test_an_agents_own_key_beats_the_profiles_top_level_one(load: Load) -> None:
    """A profile is merged at its path, before the defaults of agents."""
    text = (
        "profiles: { dev: { num_idle_processes: 5 } }\nagents:\n  a: code_of_agent:entrypoint\n"
        "  b: { entrypoint: 'code_of_agent:entrypoint', num_idle_processes: 2 }\n"
    )
    assert [agent.num_idle_processes for agent in load(text, command="dev").agents] == [5, 2]


def test_variables_of_the_process_beat_those_of_the_env_file(folder: Path, load: Load) -> None:
    """Both reach the jobs; the env file's values see the process's, too."""
    (folder / "test.env").write_text("A=file\nB=file\nC=${A}\n")
    text = FLAT + "env_file: test.env\nsettings: { a: '${A}', b: '${B}', c: '${C}' }\n"
    config = load(text, environ={"A": "process"})
    assert dict(config.agents[0].settings) == {"a": "process", "b": "file", "c": "process"}
    assert (config.environment["A"], config.environment["B"]) == ("process", "file")
    assert folder / "test.env" in config.watched_files


def test_variables_of_the_pair_do_not_reach_the_jobs(load: Load) -> None:
    """Whatever they are called: the file says what they are for."""
    text = FLAT + "livekit: { api_key: '${MY_KEY}', api_secret: '${MY_SECRET}' }\nsettings: { a: '${OTHER}' }\n"
    config = load(text, environ={"MY_KEY": "k", "MY_SECRET": "s", "OTHER": "o"})
    assert (config.livekit.api_key, config.livekit.api_secret) == ("k", "s")
    assert {"MY_KEY", "MY_SECRET", "OTHER"} & set(config.environment) == {"OTHER"}


def test_dev_reads_dotenv_if_it_is_there_and_start_does_not(folder: Path, load: Load) -> None:
    """A `.env` is for the desk."""
    assert load(FLAT, command="dev").livekit.url == ENVIRON["LIVEKIT_URL"]
    (folder / ".env").write_text("MARK=1\n")
    assert load(FLAT, command="dev").environment["MARK"] == "1"
    assert "MARK" not in load(FLAT).environment


def test_interpolated_values_take_the_type_of_their_field(load: Load) -> None:
    """Numbers and booleans as such, everything free as text."""
    text = FLAT + (
        "num_idle_processes: ${N}\nregister: ${FLAG}\nload: { cpu: '${CPU}' }\nlimits: { init: '${INIT}' }\n"
        "agent_name: ${N}\nsettings: { n: '${N}' }\n"
    )
    config = load(text, environ={"N": "3", "FLAG": "false", "CPU": "0.5", "INIT": "5s"})
    agent = config.agents[0]
    assert (agent.num_idle_processes, agent.register, config.load.cpu, agent.limits.init) == (3, False, 0.5, 5)
    assert (agent.agent_name, agent.settings["n"]) == ("3", "3")


def test_a_value_with_yaml_in_it_stays_one_text(load: Load) -> None:
    """Interpolation happens after parsing, so nothing can be injected."""
    evil = "> a: b \"'\n- x\n${HOME}"
    assert load(FLAT + "agent_name: ${EVIL}\n", environ={"EVIL": evil}).agents[0].agent_name == evil


def test_the_files_of_references_are_watched(folder: Path, load: Load) -> None:
    """A changed prompt is a changed configuration."""
    (folder / "prompt.md").write_text("Be kind.\n")
    config = load(FLAT + "settings: { prompt: '${file:prompt.md}' }\n")
    assert config.agents[0].settings["prompt"] == "Be kind."
    assert config.watched_files == (folder / "agenthost.yaml", folder / "prompt.md")


@pytest.mark.parametrize(
    ("command", "severity"), [("start", Severity.ERROR), ("validate", Severity.WARNING), ("dev", None)]
)
def test_only_start_insists_on_a_server(folder: Path, command: str, severity: Severity | None) -> None:
    """`dev` starts one of its own, `validate` cannot know which of the two comes next."""
    examination = loading.examine_text(FLAT, folder / "f.yaml", Options(environ={}, command=command))
    found = {finding.severity for finding in examination.findings}
    assert found == ({severity} if severity else set())


def test_variables_in_unused_profiles_need_not_be_set(examine: Examine) -> None:
    """But their keys are checked."""
    assert examine(FLAT + "profiles: { prod: { agent_name: '${NAME}', num_idle_processes: '${N}' } }\n").findings == ()
    assert [f.code for f in examine(FLAT + "profiles: { prod: { agent_nam: x } }\n").findings] == ["AH101"]


def test_no_secrets_reads_a_file_whose_variables_are_elsewhere(folder: Path) -> None:
    """What is unknown is not judged, what is known is."""
    text = (
        f"{FLAT}env_file: gone.env\ntype: ${{T}}\nlimits: {{ init: '${{I}}', connect: '${{C}}' }}\n"
        "env: { A: '${A:?x}' }\nload: { max_jobs: '${M}' }\n"
    )
    options = Options(environ={}, command="start", secrets=False)
    assert loading.examine_text(text, folder / "f.yaml", options).findings == ()
    broken = loading.examine_text(f"{text}log_level: loud\n", folder / "f.yaml", options)
    assert [finding.code for finding in broken.findings] == ["AH111"]


def test_a_malformed_override_is_a_usage_error(examine: Examine) -> None:
    """Not a finding: the file has nothing to do with it."""
    with pytest.raises(UsageError):
        examine(FLAT, overrides=["nonsense"])


def test_stages_stop_at_the_first_that_fails(examine: Examine) -> None:
    """Errors that follow from earlier ones would only hide those."""
    assert examine("a: [").stages == {Stage.SYNTAX: False}
    assert examine("entrypont: a:b\n").stages == {Stage.SYNTAX: True, Stage.SCHEMA: False}
    assert examine("agent_name: a\n").stages[Stage.MEANING] is False
    assert examine("entrypoint: nowhere:x\n").stages[Stage.IMPORTS] is False
    assert all(examine(FLAT).stages.values())


def test_windows_line_endings_change_no_position(examine: Examine) -> None:
    """Nor does a carriage return become part of a value."""
    (finding,) = examine("entrypoint: code_of_agent:entrypoint\r\ndrain_timeout: 5\r\n").findings
    assert (finding.line, finding.column, finding.end_column) == (2, 16, 17)


@pytest.mark.quiet
def test_checking_takes_as_long_as_there_are_agents(examine: Examine) -> None:
    """Reload latency depends on it: 200 agents take five times as long as 40, not 25 times."""
    agent = (
        "  agent-%d:\n    entrypoint: code_of_agent:entrypoint\n    limits: { memory: 1GiB, init: 20s }\n"
        "    permissions: { can_publish: true }\n    requests:\n      rules:\n"
        '        - { name: vip, when: { room.name: ["vip-*", "/^gold-[0-9]+$/"] }, action: accept }\n'
        '        - { name: rec, when: { job.metadata.tier: "rec" }, action: terminate }\n'
    )

    def seconds(agents: int) -> float:
        text = "agents:\n" + "".join(agent % number for number in range(agents))
        gc.disable()  # it goes through all that the tests before have left
        try:
            started = time.process_time()
            assert examine(text).findings == ()
            return time.process_time() - started
        finally:
            gc.enable()

    seconds(1)  # what is loaded for the first file
    assert min(seconds(200) for _ in range(3)) < 10 * max(seconds(40) for _ in range(3))


def test_a_bad_url_of_the_environment_is_reported_by_its_variable(examine: Examine) -> None:
    """Nothing in the file is wrong, so nothing in it is pointed at, and the URL is not repeated."""
    (finding,) = examine(FLAT, environ={"LIVEKIT_URL": "canary.example.com"}).findings
    assert (finding.code, finding.file, finding.line) == ("AH309", "LIVEKIT_URL", 0)
    assert "canary" not in repr(finding)


@pytest.mark.parametrize("url", ["ws://", "ftp://a", "ws://a:b", "ws://[", "http://:80", ""])
def test_urls_that_cannot_work_are_refused(examine: Examine, url: str) -> None:
    """Scheme, host, and a port that is a number."""
    codes = {finding.code for finding in examine(f"{FLAT}livekit: {{ url: '{url}' }}\n").findings}
    assert codes == {"AH309" if url else "AH301"}


def test_http_can_be_switched_off(load: Load) -> None:
    """And listen on one address of either family."""
    assert load(f"{FLAT}http: {{ listen: none }}\n").http.host is None
    http = load(f"{FLAT}http: {{ listen: '[::1]:9000' }}\n").http
    assert (http.host, http.port) == ("::1", 9000)


def test_random_mutations_never_raise_or_hang(examine: Examine) -> None:
    """Whatever is typed, cut or pasted: findings, or a Config. Seeded, so that a failure can be repeated."""
    files = [*sorted(GOLDEN.glob("valid_*.yaml")), *sorted(ROOT.glob("samples/*/agenthost.yaml"))]
    texts = [file.read_text().split("\n========\n")[0] for file in files]
    assert len(texts) > 8
    source = random.Random(20260302)
    for round_number in range(250):
        text = mutate(source.choice(texts), source)
        examination = examine(text, command=source.choice(["dev", "start", "validate"]))
        assert (examination.config is not None) or examination.findings, (round_number, text)


def mutate(text: str, source: random.Random) -> str:
    pieces = [
        *"{}[]:*&!|>%@`\"'#-?,~\t\n ",
        "${",
        "\r",
        "\u2028",
        "}",
        "null",
        "true",
        "- ",
        ": ",
        "<<: ",
        "0x",
        "\x00",
        "é",
        "[[",
        "x: y\n",
    ]
    for _ in range(source.randint(1, 6)):
        start = source.randrange(len(text) + 1)
        end = min(len(text), start + source.choice([0, 0, 1, 1, 3, 20]))
        match source.randrange(3):
            case 0:
                text = text[:start] + source.choice(pieces) + text[end:]
            case 1:
                text = text[:start] + text[end:]
            case _:
                other = source.randrange(len(text) + 1)
                text = text[:start] + text[other : other + source.choice([5, 40])] + text[start:]
    return text


@pytest.mark.parametrize(
    "line", ["entrypoint: ${S}", "type: ${S}", "timezone: ${S}", "http: { listen: '${S}' }", "drain_timeout: ${S}"]
)
def test_an_interpolated_value_is_never_quoted(examine: Examine, line: str) -> None:
    """It may be a secret that was put into the wrong variable."""
    text = line + "\n" if line.startswith("entrypoint") else f"{FLAT}{line}\n"
    findings = examine(text, environ={"S": "canary 4711"}).findings
    assert findings
    assert "canary" not in repr(findings)


def test_files_are_watched_even_when_they_are_the_problem(folder: Path, examine: Examine) -> None:
    """Creating the missing one is what makes the next look worthwhile."""
    examination = examine(FLAT + "settings: { a: '${file:gone.md}' }\n")
    assert examination.config is None
    assert examination.watched_files == (folder / "agenthost.yaml", folder / "gone.md")
    assert examine("a: [").watched_files == (folder / "agenthost.yaml",)
    assert folder / ".env" in examine(FLAT, command="dev").watched_files
    assert examine(FLAT + "env_file: prod.env\n").watched_files == (folder / "agenthost.yaml", folder / "prod.env")


LONG = 200_000
PIECES = ["x", "secret", "a.", "a:", "a: ", "{a}", "{a", "a{", "${", "{job.", "/a{2,3}", "a,", " ", "[", "*a ", "- "]


@pytest.mark.parametrize("piece", PIECES)
def test_no_line_is_too_long(piece: str, tmp_path: Path) -> None:
    """Nothing here takes time that grows with the square of a line: it would run into the test's time-out."""
    line = piece * (LONG // len(piece))
    for text in (f"settings: {line}", f"settings: {{ a: {line} }}", f'requests: {{ accept: {{ name: "{line}" }} }}'):
        options = Options(environ={}, command="validate")
        examination = examine_text(f"entrypoint: a:b\n{text}\n", tmp_path / "agenthost.yaml", options)
        assert examination.findings
