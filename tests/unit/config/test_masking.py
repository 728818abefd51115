"""Secrets are not shown, wherever the file's text is."""

import pytest

from agenthost.config.collector import Collector
from agenthost.config.document import parse
from agenthost.config.masking import fingerprint, looks_secret, mask_text

CANARY = "canary-4711"


def masked(text: str) -> str:
    document = parse(text, "f", Collector("f"))
    return mask_text(text, document.root if document else None)


@pytest.mark.parametrize(
    "text",
    [
        f"livekit: {{ api_secret: {CANARY} }}\n",
        f"livekit:\n  api_key: '{CANARY}'\n",
        f"env:\n  PLAIN: {CANARY}\n",
        f"env:\n  PLAIN: |\n    {CANARY}\n    {CANARY}\n",
        f"agents:\n  a: {{ env: {{ X: {CANARY} }} }}\n",
        f"profiles:\n  p: {{ livekit: {{ api_secret: {CANARY} }} }}\n",
        f"settings:\n  openai_api_key: {CANARY}\n",
        f"settings:\n  password: '{CANARY}'\n",
        f'api_secret: "{CANARY}\n',
        f"a: [\n  OPENAI_API_KEY: {CANARY}\n",
        f"livekit: {{ secret_in_jobs: true, api_key: {CANARY} }}\n",
    ],
)
def test_a_secret_is_masked_in_place(text: str) -> None:
    """By its field, or by its name; also in a file that cannot be parsed. Columns stay."""
    shown = masked(text)
    assert CANARY not in shown
    assert len(shown) == len(text)


@pytest.mark.parametrize(
    "text",
    [
        "livekit: { api_secret: '${SECRET}' }\n",
        "env: { A: '${B:?set it}' }\n",
        "agent_name: a\n",
        "livekit: { secret_in_jobs: yes }\n",
    ],
)
def test_references_and_other_values_stay_readable(text: str) -> None:
    """A variable's name is what the reader needs to see."""
    assert masked(text) == text


def test_names_of_secrets() -> None:
    """Not everything with `key` in it."""
    assert all(map(looks_secret, ["OPENAI_API_KEY", "apikey", "db-password", "token", "aws_secret_access_key"]))
    assert not any(map(looks_secret, ["keyboard", "agent_name", "voice", "monkey"]))


def test_a_fingerprint_tells_two_secrets_apart() -> None:
    """And is the same for the same one."""
    assert fingerprint("a") == fingerprint("a") != fingerprint("b")
    assert len(fingerprint("a")) == 8
