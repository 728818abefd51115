"""`validate --import`: import the code of every agent for real, each in a process that is thrown away.

A process has the agent's own environment, folder and time limit (`limits.init`); nothing of it survives.
"""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from msgspec import Struct

from agenthost.code_values import CodeValues
from agenthost.config.collector import Collector
from agenthost.config.findings import Finding
from agenthost.config.model import AgentConfig, Config, Imports
from agenthost.config.named_code import code_folders
from agenthost.config.nodes import Node
from agenthost.config.resolve import Resolved
from agenthost.config.units import format_duration
from agenthost.ipc.messages import (
    CodeSpec,
    ForkProcess,
    InitFailed,
    Message,
    TemplateReady,
    TemplateSpec,
    decode,
    encode,
)
from agenthost.logs.stack_dumps import format_dump, innermost_in
from agenthost.processes.base_exec import THREAD_LIMITS
from agenthost.processes.reaper import ExitStatus

AT_ONCE = 4
START_SECONDS = 20.0
"""What a process may need before the import itself starts to count: its interpreter and livekit.rtc."""

_CORRECT = "correct the reference or the code"


class Imported(Struct, frozen=True, kw_only=True):
    """`findings` are sorted by place; `tracebacks` are the user's own, one for each import that raised."""

    findings: tuple[Finding, ...]
    tracebacks: tuple[str, ...]


class _NoAnswer(Struct, frozen=True, kw_only=True):
    """The process was stopped when its time was over (`ended` is None), or ended before it had imported anything.

    `stacks` is what it wrote about where it stood.
    """

    stacks: str
    ended: ExitStatus | None


def check_by_importing(config: Config, resolved: Resolved, shown: str) -> Imported:
    """Import every agent's code; `shown` is what findings call the file."""
    findings = Collector(shown)
    agents = [agent for agent in config.agents if agent.entrypoint is not None]
    with ThreadPoolExecutor(max_workers=AT_ONCE) as executor:
        answers = list(executor.map(lambda agent: _probe(agent, config), agents))
    tracebacks = []
    for agent, answer in zip(agents, answers, strict=True):
        _report(agent, answer, _blamed(answer, agent, resolved), config.folder, findings)
        if isinstance(answer, InitFailed) and answer.traceback:
            tracebacks.append(answer.traceback)
    return Imported(findings=findings.findings(), tracebacks=tuple(dict.fromkeys(tracebacks)))


def _probe(agent: AgentConfig, config: Config) -> Message | _NoAnswer:
    receive, send = os.pipe()
    command = [sys.executable, "-m", "agenthost.child.import_probe", str(agent.limits.init), str(send), *config.preload]
    with os.fdopen(receive, "rb") as answers:
        process = subprocess.Popen(
            command,
            env={**THREAD_LIMITS, **config.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            pass_fds=(send,),
            start_new_session=True,
        )
        os.close(send)
        ended = False
        try:
            process.communicate(encode(_request(agent, config)), timeout=START_SECONDS + 2 * agent.limits.init)
            ended = process.returncode != -signal.SIGALRM  # the alarm of its own time limit
        except subprocess.TimeoutExpired:
            pass  # it hangs where not even the alarm is heard; killed below
        finally:
            _kill_group(process)
        return _answer(answers.read(), process.returncode if ended else None)


def _request(agent: AgentConfig, config: Config) -> ForkProcess:
    """As a host would ask for a process of the agent; the pair goes to code that may have it."""
    livekit = config.livekit
    pair = {"LIVEKIT_API_KEY": livekit.api_key, "LIVEKIT_API_SECRET": livekit.api_secret}
    given = livekit.secret_in_jobs is not False and all(pair.values())
    return ForkProcess(number=0, kind="job", spec=_spec(agent, config), credentials=pair if given else {})


def _spec(agent: AgentConfig, config: Config) -> TemplateSpec:
    environment = {**THREAD_LIMITS, **config.environment, "LIVEKIT_URL": config.livekit.url}
    if config.livekit.secret_in_jobs:
        environment |= {"LIVEKIT_API_KEY": config.livekit.api_key, "LIVEKIT_API_SECRET": config.livekit.api_secret}
    custom = agent.load.custom
    return TemplateSpec(
        agent=agent.id,
        env={**environment, **agent.env},
        working_dir=os.fspath(agent.working_dir),
        arguments=agent.arguments,
        path=code_folders(config.folder),
        code=CodeSpec(
            entrypoint=agent.entrypoint or "",
            prewarm=agent.prewarm.callable if agent.prewarm else None,
            session_end=agent.session_end,
            handler=agent.requests.handler,
            load=custom.callable if custom else None,
        ),
        shared=agent.imports is Imports.SHARED,
    )


def _kill_group(process: "subprocess.Popen[bytes]") -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it has ended and left nothing behind
    process.wait()


def _answer(data: bytes, code: int | None) -> Message | _NoAnswer:
    try:
        return decode(data)
    except ValueError:
        ended = None if code is None else ExitStatus.of(code)
        return _NoAnswer(stacks=data.decode(errors="replace"), ended=ended)


def _blamed(answer: Message | _NoAnswer, agent: AgentConfig, resolved: Resolved) -> Node:
    """The place in the file that a finding is about: `preload` if that failed, else the agent's entrypoint."""
    if isinstance(answer, InitFailed) and answer.phase == "preload":
        return resolved.host.entries["preload"]
    return resolved.agents[agent.id].entries["entrypoint"]


def _report(agent: AgentConfig, answer: Message | _NoAnswer, node: Node, folder: Path, findings: Collector) -> None:
    match answer:
        case InitFailed():
            place = f"{Path(answer.file).name}:{answer.line}" if answer.file else ""
            hint = f"{'raised in' if answer.traceback else 'correct'} {place}" if place else _CORRECT
            findings.about("AH265", answer.message.replace(f"{folder}{os.sep}", ""), node, hint=hint)
        case TemplateReady(left_out=left_out, code=code, shared=shared, threads=threads):
            if threads:
                message = f"every process starts anew, for {'; '.join(threads)}: no template can be forked"
                findings.warn(
                    "AH271",
                    message.replace(f"{folder}{os.sep}", ""),
                    node,
                    hint="take it away, if starts take too long",
                )
            for what, place in shared:
                message = f"all jobs of `{agent.id}` share {what}, made at {place}"
                hint = "`imports: own` gives each job its own"
                findings.warn("AH270", message.replace(f"{folder}{os.sep}", ""), node, hint=hint)
            for one in left_out:
                message = f"every process of `{agent.id}` imports the library `{one.names[0]}` anew: {one.reason}"
                findings.warn("AH267", message.replace(f"{folder}{os.sep}", ""), node)
            if code is not None and (without_effect := CodeValues(**code).without_effect):
                findings.warn("AH269", f"options of the code of `{agent.id}` have no effect: {without_effect}", node)
        case _NoAnswer(ended=None, stacks=stacks):
            limit = format_duration(agent.limits.init)
            message = f"importing the code of `{agent.id}` takes longer than `limits.init` ({limit})"
            findings.about("AH266", message, node, hint=_hanging_at(stacks, os.fspath(folder)))
        case _NoAnswer(ended=ended):
            message = f"importing the code of `{agent.id}` ended the process: {ended}"
            findings.about("AH268", message, node, hint="import it by hand to see what it writes")
        case _:
            pass  # imported, and nothing to say about it


def _hanging_at(stacks: str, folder: str) -> str:
    """Where the code stood when its time was over: the innermost frame that is the user's own."""
    place = innermost_in(folder, format_dump(stacks))
    stood = f"it stood at {Path(place[0]).name}:{place[1]}" if place else "run it by hand to see why"
    return f"{stood}; if it only is slow, write a longer `limits.init`"
