"""`make examples`, on a checkout with three small examples of our own: what it says, and when it fails."""

import asyncio
import sys
from pathlib import Path

import pytest

pytest.importorskip("livekit.agents")

pytestmark = [pytest.mark.e2e, pytest.mark.slow(30), pytest.mark.timeout(180)]

TALKS = """
from livekit.agents import Agent, AgentServer, AgentSession, JobContext, cli, inference

server = AgentServer()


@server.rtc_session()
async def entrypoint(ctx: JobContext) -> None:
    session = AgentSession(llm=inference.LLM("openai/gpt-4.1-mini"), tts=inference.TTS("cartesia/sonic-3"), vad=None)
    await session.start(agent=Agent(instructions="Be brief."), room=ctx.room)


if __name__ == "__main__":
    cli.run_app(server)
"""
FAILS = TALKS.replace("    session = ", "    raise RuntimeError('no key')\n    session = ")
IS_NO_EXAMPLE = "raise SystemExit('nobody runs a helper')\n"


async def test_an_example_that_comes_less_far_than_it_should_fails_the_command(tmp_path: Path) -> None:
    """The others are run all the same; a model is heard without a key and without a network."""
    for name, code in {"talks": TALKS, "fails": FAILS, "helper": IS_NO_EXAMPLE}.items():
        (tmp_path / "examples" / name).mkdir(parents=True)
        (tmp_path / "examples" / name / "agent.py").write_text(code)
    (tmp_path / "examples" / "talks" / ".env").write_text("LIVEKIT_URL=wss://of.somebody.example\n")
    code, said = await run(str(tmp_path), "--only", "agent")
    assert code == 1, said
    assert "| talks/agent.py | yes | yes | yes | yes | succeeded |  |" in said
    assert "| fails/agent.py | yes | yes | yes | – | failed |  |" in said
    assert "helper" not in said
    assert "1 of 2 reach a session" in said
    assert "\nfails/agent.py: expected session, succeeded; found job, failed. RuntimeError: no key\n" in said
    assert "\ntalks/agent.py: expected" not in said
    assert "asked llm, tts; heard 'This is a stand-in" in said


async def test_a_folder_that_is_no_checkout_is_named(tmp_path: Path) -> None:
    """Nothing is built or started for it."""
    code, said = await run(str(tmp_path))
    assert code == 2
    assert f"{tmp_path} has no folder `examples`" in said


async def run(*arguments: str) -> tuple[int | None, str]:
    """Exit code and output of the command."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.examples.run", *arguments),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode, said.decode()
