"""The template of an agent as its generations keep it: made anew when it dies, without what must not be in it.

Runs on the host's loop. A template has libraries, and what else a generation shares with the next one as long as only
the user's own code differs: so a reload mostly finds it there. Under `imports: shared` it has that code too, and
belongs to one generation.
"""

import itertools
import sysconfig
from pathlib import Path

from msgspec.structs import replace

from agenthost.ipc.messages import LeftOut, Library, TemplateReady, TemplateSpec
from agenthost.logs.events import EventLogger
from agenthost.processes.base import Base
from agenthost.processes.template_keeper import TemplateKeeper
from agenthost.processes.templates import Template

MOST_ATTEMPTS = 6
"""So often a template is made anew without what the last one should not have had; then it goes without any."""


class AgentTemplate:
    """Made by a generation, which `release`s it; others may `share` it before."""

    def __init__(self, spec: TemplateSpec, *, base: Base, init_seconds: float, log: EventLogger) -> None:
        self.report: TemplateReady | None = None
        self._spec = spec
        self._base = base
        self._init_seconds = init_seconds
        self._log = log
        self._installed = _installed_at()
        self._users = 1
        self._keeper = TemplateKeeper(spec.agent, make=self._make, log=log)

    async def living(self) -> Template:
        """The template, once there is one that can fork. Raises what kept it from being made."""
        return await self._keeper.living()

    def share(self, spec: TemplateSpec, base: Base) -> "AgentTemplate | None":
        """This one for one user more, if it is what `spec` asks for; else None."""
        alike = replace(self._spec, code=spec.code, libraries=None, left_out=(), log_level=spec.log_level)
        same = replace(alike, log_levels=spec.log_levels) == spec
        if spec.shared or not same or base is not self._base or self._installed != _installed_at() or not self._users:
            return None
        self._users += 1
        return self

    async def learn(self, libraries: tuple[Library, ...]) -> "AgentTemplate":
        """One that has these libraries, too; itself if there is nothing new. Raises what keeps it from being made.

        Whoever called this has that one from then on, and not the old one.
        """
        known = {library.name: library for library in self._spec.libraries or ()}
        wanted = {library.name: library for library in libraries if not self._leaves_out(library.name)}
        if all(known.get(name) == library for name, library in wanted.items()):
            return self
        spec = replace(self._spec, libraries=tuple((known | wanted).values()))
        template = AgentTemplate(spec, base=self._base, init_seconds=self._init_seconds, log=self._log)
        try:
            await template.living()
        except BaseException:
            await template.release()
            raise
        await self.release()
        return template

    async def release(self) -> None:
        """Let it end, unless somebody else uses it."""
        self._users -= 1
        if not self._users:
            await self._keeper.close()

    def _leaves_out(self, name: str) -> bool:
        return any(name == other or name.startswith(f"{other}.") for other in self._spec.left_out)

    async def _make(self) -> Template:
        for attempt in itertools.count(1):
            template = await self._base.make_template(self._spec, init_seconds=self._init_seconds)
            report = self.report = template.ready.result()
            if self._spec.libraries is None and not self._spec.shared:
                self._spec = replace(self._spec, libraries=report.libraries)
            if not report.left_out:
                seconds = round(report.import_seconds, 3)
                self._log.debug("template ready", pid=template.pid, import_seconds=seconds)
                return template
            template.close("it has what no process can share")
            self._leave_out(report.left_out)
            if attempt == MOST_ATTEMPTS:
                self._spec = replace(self._spec, libraries=())
        raise AssertionError("unreachable")

    def _leave_out(self, found: tuple[LeftOut, ...]) -> None:
        for one in found:
            self._log.warning(
                "library left out of the template",
                library=one.names[0],
                reason=one.reason,
                effect="every process imports it anew, which takes time and memory",
            )
        names = dict.fromkeys(name for one in found for name in one.names)
        self._spec = replace(self._spec, left_out=(*self._spec.left_out, *names))


def _installed_at() -> tuple[int, ...]:
    """When packages were installed or removed last, as their folders say."""
    folders = {sysconfig.get_path(name) for name in ("purelib", "platlib")}
    return tuple(Path(folder).stat().st_mtime_ns for folder in sorted(folders) if Path(folder).is_dir())
