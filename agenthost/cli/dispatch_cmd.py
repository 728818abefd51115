"""`agenthost dispatch AGENT --room ROOM`: ask an agent into a room, and say what came of it."""

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from agenthost.cli import output
from agenthost.cli.running_host import add_file
from agenthost.errors import ExitCode, UsageError
from agenthost.texts import printable

if TYPE_CHECKING:
    from agenthost.cli.dispatching import Dispatched


def add_parser(subparsers: Any) -> None:
    parser = subparsers.add_parser("dispatch", help="ask an agent into a room and wait until it joins")
    parser.add_argument("agent", metavar="AGENT", help='the agent_name; "" for agents without one')
    add_file(parser)
    parser.add_argument("--room", required=True, help="the room; made if there is none")
    parser.add_argument("--metadata", default="", metavar="TEXT", help="given to the job as ctx.job.metadata")
    parser.add_argument("--url", help="the LiveKit server; keys come from LIVEKIT_API_KEY and LIVEKIT_API_SECRET")
    parser.add_argument("--env-file", type=Path, metavar="FILE", help="read environment variables from FILE")
    parser.add_argument("--timeout", type=float, default=15.0, metavar="SECONDS", help="default: 15")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="default: text")
    parser.set_defaults(func=run)


def run(args: argparse.Namespace) -> int:
    if not args.room:
        raise UsageError("--room is empty; name the room")
    for name, text in (("AGENT", args.agent), ("--room", args.room), ("--metadata", args.metadata)):
        _check_utf8(name, text)
    import asyncio

    from agenthost.cli.dispatching import Answer, Wanted, dispatch
    from agenthost.cli.target import find_connection

    connection = find_connection(args.file, args.url, os.environ, env_file=args.env_file)
    wanted = Wanted(agent=args.agent, room=args.room, metadata=args.metadata)
    dispatched = asyncio.run(dispatch(connection, wanted, args.timeout))
    joined = dispatched.answer is Answer.JOINED
    for line in _json(dispatched) if args.format == "json" else _text(dispatched, joined=joined):
        output.line(printable(line))
    return ExitCode.OK if joined else ExitCode.FAILURE


def _check_utf8(name: str, text: str) -> None:
    """Raises UsageError for bytes that the server's protocol has no form for."""
    try:
        text.encode()
    except UnicodeEncodeError:
        shown = os.fsencode(text).decode(errors="backslashreplace")
        raise UsageError(f"{name} is not UTF-8: {shown}; check the terminal's encoding") from None


def _text(dispatched: "Dispatched", *, joined: bool) -> tuple[str, ...]:
    after = f"{dispatched.room} after {dispatched.seconds:.1f} s"
    if joined:
        return (f"{dispatched.identity} joined {after}",)
    who = f"agent `{dispatched.agent}`" if dispatched.agent else "agent without a name"
    return f"no {who} in {after}", dispatched.answer.value


def _json(dispatched: "Dispatched") -> tuple[str]:
    import json

    fields = {
        "dispatch_id": dispatched.dispatch_id,
        "agent": dispatched.agent,
        "room": dispatched.room,
        "answer": dispatched.answer.name.lower(),
        "identity": dispatched.identity,
        "seconds": round(dispatched.seconds, 2),
    }
    return (json.dumps(fields),)
