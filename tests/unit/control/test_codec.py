"""Values of the control socket as JSON and back."""

import json

import msgspec
import pytest
from hypothesis import given

from agenthost.config.findings import Finding, Fix, Related, Severity
from agenthost.control.codec import decode, encode
from agenthost.jobs import JobType
from agenthost.status import (
    AgentStatus,
    ChangeLine,
    GenerationStatus,
    HostState,
    HostStatus,
    LoadPart,
    RegistrationStatus,
    ReloadReport,
    ReloadStatus,
)
from agenthost.texts import encodable
from tests.support.any_text import any_text

STATUS = HostStatus(
    state=HostState.RUNNING,
    version="1.2.3",
    agents=(
        AgentStatus(
            id="a",
            agent_name="",
            type=JobType.PUBLISHER,
            slots_total=None,
            load_parts=(LoadPart(name="cpu", used=0.5, limit=0.7),),
            generations=(GenerationStatus(number=2, jobs=1, since=17.5), GenerationStatus(number=1, current=False)),
            registrations=(RegistrationStatus(agent_name="", type=JobType.PUBLISHER, state="draining"),),
        ),
    ),
    last_reload=ReloadStatus(ok=False, at=18.0, message="zurück"),
)
FINDING = Finding(
    code="AH101",
    severity=Severity.ERROR,
    message="unknown key",
    file="a.yaml",
    line=1,
    column=2,
    fix=Fix(line=1, column=2, end_column=3, text="b"),
    related=(Related(line=3, column=1, end_column=2, message="first here"),),
)
REPORT = ReloadReport(
    ok=False,
    changes=(ChangeLine(agent="a", kind="live", reasons=("limits.memory",), jobs=3),),
    findings=(FINDING,),
    refused=True,
)


@pytest.mark.parametrize("value", [STATUS, HostStatus(state=HostState.STARTING, version="1"), REPORT])
def test_value_comes_back_as_it_was(value: HostStatus | ReloadReport) -> None:
    """Nested values, enums, tuples and None included."""
    assert decode(type(value), encode(value)) == value


def test_host_of_another_version_is_understood() -> None:
    """A key that is new to the command is left out, one that the host did not know has its default."""
    data = json.loads(encode(STATUS)) | {"news": [1]}
    del data["pid"], data["agents"][0]["generations"]
    status = decode(HostStatus, json.dumps(data))
    assert (status.pid, status.agents[0].generations, status.version) == (0, (), "1.2.3")


@pytest.mark.parametrize("text", ["", "[]", "{}", '"x"', '{"state": "dancing", "version": "1"}', "null"])
def test_what_is_no_value_is_a_value_error(text: str) -> None:
    """Whatever answers on the socket, the command does not fail in a way of its own."""
    with pytest.raises(ValueError, match=r".+"):
        decode(HostStatus, text)


@given(any_text)
def test_any_text_can_be_told(text: str) -> None:
    """A path of the host's machine need not be UTF-8, and an error may quote anything."""
    status = msgspec.structs.replace(STATUS, file=text, last_reload=ReloadStatus(ok=False, at=1.0, message=text))
    told = encode(status)
    assert told.splitlines() == [told]
    back = decode(HostStatus, told.encode().decode())
    assert back.file == encodable(text)
