"""Any text, wherever one can come from: the offer is answered, the job has an end that is told, the host lives.

Texts are half an emoji, NUL, right to left, megabytes; they come in the metadata and the attributes of jobs, rooms and
participants, through templates, from request handlers and in what a job's own code says. `make chaos` looks longer.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from livekit.protocol import models

from agenthost.jobs import JobStatus, JobType
from agenthost.testing.values import OfferOutcome, OfferResult
from tests.support.any_text import any_text, is_plain, one_odd, wire_text
from tests.support.effort import TIMEOUT_SECONDS, examples
from tests.support.standing_host import StandingHost

CODE = """
import json
import logging
import sys


def texts(job):
    try:
        return json.loads(job.metadata)
    except ValueError:
        return {}


async def entrypoint(ctx):
    said = texts(ctx.job)
    if not isinstance(said, dict):
        return
    text = said.get("says", "")
    match said.get("how"):
        case "raise":
            raise RuntimeError(text)
        case "shutdown":
            ctx.shutdown(text)
        case "print":
            print(text, flush=True)
        case "stderr":
            print(text, file=sys.stderr, flush=True)
        case "log":
            logging.getLogger(text).error(text, extra={"field": text})
            logging.info("%s", {text: text})
        case "context":
            ctx.log_context_fields = {"field": text, "more": {text: [text]}}
            logging.info("now")
        case "exit":
            sys.exit(text)


async def handler(request):
    said = texts(request.job)
    if said.get("handler") == "raise":
        raise RuntimeError(said["name"])
    await request.accept(
        name=said["name"], metadata=said["metadata"], attributes={"key": said["attribute"], said["key"]: "value"}
    )
"""
YAML = """
version: 1
agents:
  templates:
    entrypoint: my_agent:entrypoint
    num_idle_processes: 1
    requests:
      accept:
        identity: "{job.id} {job.metadata.name}"
        name: "{job.metadata.name}"
        metadata: "{job.metadata}"
        attributes:
          job: "{job.attributes.key}"
          nested: "{job.metadata.nested}"
          room: "{room.name}"
          "room metadata": "{room.metadata}"
      rules:
        - name: texts
          when: { room.name: "*a*", job.attributes.key: { not: "/^x/" }, room.metadata.x: { not: "y" } }
          action: accept
  handler:
    entrypoint: my_agent:entrypoint
    num_idle_processes: 1
    requests: { handler: "my_agent:handler" }
  people:
    entrypoint: my_agent:entrypoint
    type: participant
    num_idle_processes: 1
    requests:
      accept:
        identity: "{job.id} {participant.identity}"
        name: "{participant.name}"
        metadata: "{participant.metadata}"
        attributes: { theirs: "{participant.attributes.key}", room: "{room.name}", json: "{participant.metadata.name}" }
  plain:
    entrypoint: my_agent:entrypoint
    num_idle_processes: 1
load: { max_jobs: 10 }
http: { listen: "127.0.0.1:0" }
"""

pytestmark = [pytest.mark.slow(15), pytest.mark.timeout(TIMEOUT_SECONDS)]

SETTINGS = examples(40, long=2000)

room_name = wire_text.filter(bool)


@pytest.fixture
def standing(tmp_path: Path) -> Iterator[StandingHost]:
    with StandingHost(tmp_path, CODE, YAML, processes=10, agents=4) as standing:
        yield standing


async def serve(
    standing: StandingHost, agent_name: str, room: str, metadata: str, **more: Any
) -> tuple[OfferResult, JobStatus | None]:
    """What is answered to the offer, and the end of its job that is told; the host is as before."""
    server = standing.server
    connections = server.connections
    try:
        result = await server.offer(room, agent_name=agent_name, metadata=metadata, **more)
        assert result.outcome in (OfferOutcome.ASSIGNED, OfferOutcome.REJECTED), result
        end = None
        if result.assigned:
            end = (await server.wait_status(result.job_id, JobStatus.SUCCESS, JobStatus.FAILED, timeout=5)).status
            await standing.host.wait_event("job ended", job_id=result.job_id, timeout=5)
        assert server.connections == connections, "the connection was lost"
        await standing.wait_slots(0)
        assert standing.host.stray == []
        standing.check_lives()
    except (TimeoutError, OSError) as error:
        raise AssertionError(f"{error}\n{standing.said()}") from None
    except AssertionError as error:
        raise AssertionError(f"{error}\n{standing.said()}") from None
    return result, end


def on_wire(text: str) -> str:
    """What is left of it in a field of protobuf."""
    return text.encode(errors="ignore").decode()


def kept(asked: Mapping[str, str], got: Mapping[str, str]) -> None:
    """What is a usual text is not changed."""
    assert {key: got[key] for key, text in asked.items() if is_plain(text)} == {
        key: text for key, text in asked.items() if is_plain(text)
    }


@SETTINGS
@given(
    texts=one_odd(room=room_name, name=any_text, nested=any_text, key=wire_text, room_metadata=wire_text),
    as_json=st.sampled_from([True, True, False]),
)
def test_any_text_in_templates(standing: StandingHost, texts: dict[str, str], as_json: bool) -> None:
    """Of a job's metadata and attributes, and of its room."""
    name, room_metadata = texts["name"], texts["room_metadata"]
    metadata = json.dumps({"name": name, "nested": {"deep": [texts["nested"]]}}) if as_json else on_wire(name)
    with standing.example():
        more = {"attributes": {"key": texts["key"]}, "room_metadata": room_metadata}
        result, end = standing.run(serve(standing, "templates", texts["room"], metadata, **more))
        if result.assigned:
            kept({"name": name, "job": texts["key"]}, {"name": result.answer.name, **result.answer.attributes})
            assert end is JobStatus.SUCCESS


@SETTINGS
@given(
    texts=one_odd(name=any_text, metadata=any_text, attribute=any_text, key=any_text),
    raises=st.sampled_from([False, False, False, True]),
)
def test_any_text_of_a_request_handler(standing: StandingHost, texts: dict[str, str], raises: bool) -> None:
    """What it accepts with, and what it fails with."""
    with standing.example():
        said = json.dumps({**texts, "handler": "raise" if raises else "accept"})
        result, end = standing.run(serve(standing, "handler", "room", said))
        assert result.assigned != raises, f"{result}\n{standing.said()}"
        if result.assigned:
            kept(texts, {**texts, "name": result.answer.name, "metadata": result.answer.metadata})
            assert end is JobStatus.SUCCESS


@SETTINGS
@given(
    texts=one_odd(identity=wire_text, name=wire_text, metadata=wire_text, key=wire_text, inner=any_text),
    as_json=st.sampled_from([True, True, False]),
)
def test_any_text_of_a_participant(standing: StandingHost, texts: dict[str, str], as_json: bool) -> None:
    """Whoever joins may choose all of these."""
    with standing.example():
        person = models.ParticipantInfo(
            identity=texts["identity"],
            name=texts["name"],
            metadata=json.dumps({"name": texts["inner"]}) if as_json else texts["metadata"],
            attributes={"key": texts["key"]},
        )
        result, end = standing.run(serve(standing, "people", "room", "", type=JobType.PARTICIPANT, participant=person))
        if result.assigned:
            theirs = {"name": result.answer.name, **result.answer.attributes}
            kept({"name": texts["name"], "theirs": texts["key"]}, theirs)
            assert end is JobStatus.SUCCESS


@SETTINGS
@given(text=any_text, how=st.sampled_from(["raise", "shutdown", "print", "stderr", "log", "context", "exit"]))
def test_any_text_that_a_job_says(standing: StandingHost, text: str, how: str) -> None:
    """As its error, the reason of its end, its output, a line of its log."""
    with standing.example():
        result, end = standing.run(serve(standing, "plain", "room", json.dumps({"how": how, "says": text})))
        assert result.assigned, f"{result}\n{standing.said()}"
        assert end is not JobStatus.SUCCESS or how != "raise", standing.said()


@pytest.mark.parametrize("agent_name", ["templates", "handler", "plain"])
def test_texts_of_half_a_megabyte(standing: StandingHost, agent_name: str) -> None:
    """The server allows 512 KiB of metadata: it comes through, or is answered at least."""
    with standing.example():
        long = "é" * 250_000
        said = {"name": long, "metadata": long, "attribute": long, "key": "k", "how": "raise", "says": long}
        more = {"attributes": {"key": long}, "room_metadata": long}
        standing.run(serve(standing, agent_name, "room", json.dumps(said, ensure_ascii=False), **more))
