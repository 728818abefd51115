"""`Banner`: what a person who has just started a host wants to know, once. Made in the host, shown by the writer.

Only the facts live here; console.py lays them out for people, and as log lines they are `facts()`.
"""

import shlex
from collections.abc import Iterator, Mapping

from msgspec import Struct

from agenthost.jobs import JobType

_EVERY: Mapping[JobType, str] = {
    JobType.ROOM: "every room",
    JobType.PUBLISHER: "every participant that publishes",
    JobType.PARTICIPANT: "every participant",
}


class BannerAgent(Struct, frozen=True, kw_only=True):
    """One agent. `registers` False: it is reached only through the rules of others.

    `arguments` are what a command must be told to find the same LiveKit server.
    """

    id: str
    agent_name: str
    type: JobType
    registers: bool = True
    arguments: tuple[str, ...] = ()

    @property
    def dispatch(self) -> str:
        """When the LiveKit server calls this agent, in words."""
        if not self.registers:
            return "only through another agent's rules"
        if self.agent_name:
            return "explicit dispatch only"
        return f"{_EVERY[self.type]} (automatic dispatch)"

    @property
    def dispatch_command(self) -> str:
        """The command that calls the agent into a room, ready to paste; "" where a person has to do something there."""
        if not self.registers or (not self.agent_name and self.type is not JobType.ROOM):
            return ""
        return shlex.join(("agenthost", "dispatch", self.agent_name, *self.arguments, "--room", "my-room"))


class Banner(Struct, frozen=True, kw_only=True):
    """`http` is the bound address (`127.0.0.1:8081`), None without HTTP; `idle_processes` is the sum of all agents.

    `local_server`: the LiveKit server was started by this host and ends with it.
    """

    version: str
    command: str
    file: str
    agents: tuple[BannerAgent, ...]
    livekit_url: str
    local_server: bool
    http: str | None
    idle_processes: int

    def facts(self) -> Iterator[tuple[str, Mapping[str, object]]]:
        """The same as log events with fields, for a log that machines read."""
        yield (
            "host started",
            {
                "version": self.version,
                "file": self.file,
                "livekit_url": self.livekit_url,
                "local_server": self.local_server,
                "http": self.http,
                "idle_processes": self.idle_processes,
            },
        )
        for agent in self.agents:
            fields: dict[str, object] = {
                "agent": agent.id,
                "agent_name": agent.agent_name,
                "type": agent.type.value,
                "dispatch": agent.dispatch,
            }
            if agent.dispatch_command:
                fields["command"] = agent.dispatch_command
            yield "agent configured", fields
