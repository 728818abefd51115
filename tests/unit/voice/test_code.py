"""What a user of livekit-agents has written is recognised, whichever way."""

import pytest
from livekit.agents import AgentServer, JobContext, JobProcess, JobRequest, WorkerOptions, WorkerType

import agenthost
from agenthost.errors import EntrypointError
from agenthost.voice.code import recognise


async def entrypoint(ctx: JobContext) -> None: ...


async def request(req: JobRequest) -> None: ...


async def session_end(ctx: JobContext) -> None: ...


def setup(proc: JobProcess) -> None: ...


def load() -> float:
    return 0.5


def test_server_gives_all_that_was_registered_on_it() -> None:
    """Decorator arguments and properties alike."""
    server = AgentServer(setup_fnc=setup, load_fnc=load)
    server.rtc_session(
        entrypoint,
        agent_name="support",
        type=WorkerType.PUBLISHER,
        on_request=request,
        on_session_end=session_end,
    )
    code = recognise(server, "my_agent:server")
    assert code is not None
    assert (code.entrypoint, code.setup, code.request, code.session_end) == (entrypoint, setup, request, session_end)
    assert (code.load, code.agent_name, code.type) == (load, "support", WorkerType.PUBLISHER)


def test_options_give_the_same() -> None:
    """The older way to say it."""
    options = WorkerOptions(entrypoint_fnc=entrypoint, prewarm_fnc=setup, request_fnc=request, agent_name="support")
    code = recognise(options, "my_agent:options")
    assert code is not None
    assert (code.entrypoint, code.setup, code.request, code.agent_name) == (entrypoint, setup, request, "support")


async def of_options(ctx: JobContext) -> None: ...


OPTIONS = WorkerOptions(entrypoint_fnc=of_options, prewarm_fnc=setup, agent_name="support")


def test_a_function_brings_the_options_that_have_it() -> None:
    """Named by itself it must not lose what its module says of it."""
    code = recognise(of_options, "my_agent:of_options")
    assert code is not None
    assert (code.entrypoint, code.setup, code.agent_name) == (of_options, setup, "support")


def test_their_defaults_are_no_functions_of_the_users() -> None:
    """Nothing is asked where the user gave nothing to ask."""
    options = recognise(WorkerOptions(entrypoint_fnc=entrypoint), "my_agent:options")
    server = AgentServer()
    server.rtc_session(entrypoint)
    for code in (options, recognise(server, "my_agent:server")):
        assert code is not None
        assert (code.setup, code.request, code.session_end, code.load) == (None, None, None, None)


def test_a_function_is_told_by_the_context_it_takes() -> None:
    """Ours keeps agenthost's own context."""

    async def ours(ctx: agenthost.JobContext) -> None: ...

    assert recognise(entrypoint, "my_agent:entrypoint") is not None
    assert recognise(ours, "my_agent:ours") is None


def test_a_function_without_annotation_is_told_by_its_module() -> None:
    """This one imports livekit-agents."""

    async def unannotated(ctx) -> None: ...  # type: ignore[no-untyped-def]

    assert recognise(unannotated, "my_agent:unannotated") is not None


def test_what_has_nothing_to_do_with_them_is_not_theirs() -> None:
    """It is for the resolver of our own entrypoints to judge."""
    assert recognise(agenthost.get_job_context, "agenthost:get_job_context") is None
    assert recognise(42, "my_agent:answer") is None


def test_a_server_without_session_is_refused() -> None:
    """With the line that is missing."""
    with pytest.raises(EntrypointError, match=r"has no session: .*@server\.rtc_session\(\)"):
        recognise(AgentServer(), "my_agent:server")


@pytest.mark.parametrize("cls", [AgentServer, WorkerOptions])
def test_a_class_is_refused(cls: type) -> None:
    """The object is wanted."""
    with pytest.raises(EntrypointError, match="is the class"):
        recognise(cls, "my_agent:cls")


def test_an_entrypoint_of_the_wrong_kind_is_refused() -> None:
    """Their server would only notice when the first job comes."""

    def plain(ctx: JobContext) -> None: ...

    with pytest.raises(EntrypointError, match="plain function"):
        recognise(WorkerOptions(entrypoint_fnc=plain), "my_agent:options")  # type: ignore[arg-type]
