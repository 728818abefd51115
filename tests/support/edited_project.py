"""A project on disk that a soak test edits under a running host: good edits, and broken ones that are mended later."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

AGENT = "soak"
CALL = "call"

CODE = """
import asyncio
from pathlib import Path

import voice

from agenthost import JobContext, JobProcess

VERSION = {version}


def prewarm(proc: JobProcess) -> None:
    proc.userdata["voice"] = voice.NAME


async def entrypoint(ctx: JobContext) -> None:
    if ctx.job.metadata == "call":
        await echo(ctx)
        return
    with Path("ran").open("a") as ran:
        ran.write(f"{{ctx.room.name}} {{VERSION}} {{ctx.proc.userdata['voice']}}\\n")
    ctx.shutdown("told")


async def echo(ctx: JobContext) -> None:
    heard: asyncio.Queue[bytes] = asyncio.Queue()
    ctx.room.on("data_received", lambda packet: heard.put_nowait(packet.data))
    await ctx.connect()
    while True:
        await ctx.agent.publish_data(await heard.get())
"""

YAML = """
version: 1
agent_name: {agent}
entrypoint: my_agent:entrypoint
prewarm: my_agent:prewarm
env_file: vars.env
livekit: {{ url: "{url}" }}
num_idle_processes: 1
load: {{ max_jobs: {max_jobs} }}
http: {{ listen: "127.0.0.1:0" }}
limits: {{ shutdown: 2s, init: 5s }}
permissions: {{ can_update_metadata: {flag} }}
settings: {{ number: {number}, word: "${{WORD}}" }}
reload: {{ watch: [config, code] }}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What the project says; every field is something that an edit can change."""

    url: str
    version: int = 1
    voice: int = 1
    max_jobs: int = 500
    flag: bool = True
    number: int = 0
    word: int = 0

    def files(self) -> dict[str, str]:
        yaml = YAML.format(
            agent=AGENT, url=self.url, max_jobs=self.max_jobs, flag=str(self.flag).lower(), number=self.number
        )
        return {
            "agenthost.yaml": yaml,
            "my_agent.py": CODE.format(version=self.version),
            "voice.py": f"NAME = {self.voice}\n",
            "vars.env": f"WORD=w{self.word}\n",
        }


def _other_spelling(url: str) -> str:
    scheme, rest = url.split("://")
    return f"{'http' if scheme == 'ws' else 'ws'}://{rest}"


GOOD: dict[str, Callable[[Content], Content]] = {
    "code": lambda now: replace(now, version=now.version + 1),
    "imported module": lambda now: replace(now, voice=now.voice + 1),
    "both modules": lambda now: replace(now, version=now.version + 1, voice=now.voice + 1),
    "settings": lambda now: replace(now, number=now.number + 1),
    "environment": lambda now: replace(now, word=now.word + 1),
    "slots": lambda now: replace(now, max_jobs=now.max_jobs + 1),
    "permissions": lambda now: replace(now, flag=not now.flag),
    "server's address": lambda now: replace(now, url=_other_spelling(now.url)),
    "code and file": lambda now: replace(now, version=now.version + 1, number=now.number + 1),
}
BROKEN: dict[str, tuple[str, Callable[[str], str]]] = {
    "YAML syntax": ("agenthost.yaml", lambda text: text + "  bad: [\n"),
    "unknown key": ("agenthost.yaml", lambda text: text + "entrypont: my_agent:entrypoint\n"),
    "unset variable": ("agenthost.yaml", lambda text: text.replace("${WORD}", "${NOT_SET_ANYWHERE}")),
    "variable taken away": ("vars.env", lambda text: "OTHER=1\n"),
    "Python syntax": ("my_agent.py", lambda text: text + "def broken(:\n"),
    "syntax of a module": ("voice.py", lambda text: "NAME = (\n"),
    "import raises": ("voice.py", lambda text: text + "raise RuntimeError('at import')\n"),
    "missing module": ("my_agent.py", lambda text: "import no_such_module\n" + text),
    "prewarm raises": ("my_agent.py", lambda text: text.replace("voice.NAME\n", "voice.NO_SUCH_NAME\n")),
    "half a file": ("my_agent.py", lambda text: text[: len(text) // 2]),
}


class EditedProject:
    """`content` is the last good one; `edit` writes another good one, `damage` breaks one file of it."""

    def __init__(self, folder: Path, url: str, seed: int) -> None:
        self.content = Content(url=url)
        self._folder = folder
        self._random = random.Random(seed)
        self._damages = 0
        self._write(self.content.files())

    def edit(self) -> str:
        """What was edited; everything that was broken is mended with it."""
        what, change = self._random.choice(list(GOOD.items()))
        self.content = change(self.content)
        self._write(self.content.files())
        return what

    def damage(self) -> str:
        """What is broken now."""
        what, (name, change) = self._random.choice(list(BROKEN.items()))
        self._damages += 1
        different = f"# {self._damages}\n"  # the same damage twice would be no edit
        self._write({name: change(self.content.files()[name]) + different})
        return what

    def chance(self, probability: float) -> bool:
        return self._random.random() < probability

    def _write(self, files: dict[str, str]) -> None:
        """As editors do, one way or the other: over the file, or beside it and then renamed."""
        for name, text in files.items():
            path = self._folder / name
            if path.exists() and path.read_text() == text:
                continue
            if self._random.random() < 0.5:
                path.write_text(text)
            else:
                part = self._folder / f".{name}.part"
                part.write_text(text)
                part.rename(path)
