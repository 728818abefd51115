"""What `explain` and the reference page know."""

import pytest

from agenthost.config.codes import CODES
from agenthost.config.explain import UnknownTopic, every_explanation, explain_code, explain_path, overview
from agenthost.config.fields import descend
from agenthost.config.host_fields import FILE


@pytest.mark.parametrize(
    ("asked", "path"),
    [
        ("limits.memory", "agents.*.limits.memory"),
        ("agents.support.limits.memory", "agents.*.limits.memory"),
        ("profiles.dev.limits.memory", "agents.*.limits.memory"),
        ("requests.rules[3].when", "agents.*.requests.rules[].when"),
        ("requests.rules.when", "agents.*.requests.rules[].when"),
        ("http.listen", "http.listen"),
        ("agents", "agents"),
    ],
)
def test_a_path_is_understood_as_people_write_it(asked: str, path: str) -> None:
    """With or without ids and indexes."""
    assert [entry.path for entry in explain_path(asked)] == [path]


def test_a_key_with_two_meanings_has_two_explanations() -> None:
    """The host's and the agent's."""
    assert [entry.path for entry in explain_path("load.max_jobs")] == ["load.max_jobs", "agents.*.load.max_jobs"]


def test_a_last_part_alone_is_enough() -> None:
    """Whoever has forgotten where `memory` belongs sees all places."""
    assert {entry.path for entry in explain_path("memory")} == {
        "load.memory",
        "agents.*.load.memory",
        "agents.*.limits.memory",
    }


def test_examples_are_yaml_and_sections_have_no_default_of_their_own() -> None:
    """As one would write them."""
    (limits,) = explain_path("limits")
    assert limits.examples == ("{ memory: 1GiB, max_duration: 2h }",)
    assert limits.default == ""


def test_first_sentences_end_at_a_sentence() -> None:
    """Not inside of `code: like this`."""
    for _, rows in overview():
        assert all(text.count("`") % 2 == 0 for _, text in rows)


def test_an_unknown_topic_names_the_nearest() -> None:
    """Or nothing, when nothing is near."""
    with pytest.raises(UnknownTopic) as near:
        explain_path("limits.memry")
    assert near.value.close == "limits.memory"
    with pytest.raises(UnknownTopic) as far:
        explain_path("qqqqqqqqqqq")
    assert far.value.close == ""


def test_every_key_is_explained_once_and_with_everything() -> None:
    """Description, type and default; the class from its own or the section above."""
    entries = every_explanation()
    paths = [entry.path for entry in entries]
    assert len(paths) == len(set(paths))
    assert all(entry.description and entry.type for entry in entries)
    assert all(entry.default or entry.type == "section" for entry in entries)
    keys = {path.replace("agents.*.", "") for path in paths}
    assert {path for path, _ in descend(FILE) if not path.startswith(("agents.*", "profiles.*"))} <= keys
    (memory,) = explain_path("limits.memory")
    assert memory.apply == "L"


def test_dev_defaults_are_said() -> None:
    """They differ where somebody sits in front of it."""
    (entry,) = explain_path("num_idle_processes")
    assert entry.default == "`1`; under `dev` `0`"


def test_codes_are_found_in_any_case() -> None:
    """And each has a sentence to say."""
    assert explain_code("ah120") == CODES["AH120"]
    assert explain_code("AH999") is None
    assert all(code.text.endswith((".", ")")) for code in CODES.values())


def test_the_overview_has_every_top_level_key() -> None:
    """Once, or twice where host and agent both have it."""
    names = [name for _, rows in overview() for name, _ in rows]
    assert set(names) == set(FILE.children)
