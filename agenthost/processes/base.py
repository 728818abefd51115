"""The base template as the host keeps it: always one, replaced when it dies, with a delay that grows.

Runs on the host's loop. Replacing costs what importing livekit.rtc costs; the agent templates and the jobs of the
dead one go on.
"""

import asyncio
from collections.abc import Mapping

from agenthost.ipc.messages import BaseSpec, TemplateSpec
from agenthost.processes.base_exec import BaseProcess, exec_base
from agenthost.processes.home import ProcessHome
from agenthost.processes.templates import Template, fork_template
from agenthost.restarts import start_delay


class Base:
    """`process` was exec'd before there was a loop; `environment` is for those that replace it."""

    def __init__(
        self,
        process: BaseProcess,
        spec: BaseSpec,
        *,
        environment: Mapping[str, str],
        home: ProcessHome,
    ) -> None:
        self._spec = spec
        self._identity = process.identity
        self._environment = environment
        self._home = home
        self._failures = 0
        self._replacing = asyncio.Lock()
        self._template = self._adopt(process)

    async def fork_template(self, spec: TemplateSpec) -> Template:
        """A new agent template, not ready yet. Raises ProcessFailed, InitFailure when `preload` is the reason."""
        base = await self._living()
        return fork_template(base, spec, self._home)

    @property
    def pid(self) -> int | None:
        return self._template.pid

    def close(self) -> None:
        self._template.close()

    async def _living(self) -> Template:
        async with self._replacing:
            if self._template.dead.done():
                self._home.log.warning("base template replaced", reason=self._template.dead.result())
                await asyncio.sleep(start_delay(self._failures))
                self._template = self._adopt(exec_base(self._identity, self._environment))
            base = self._template
            try:
                await asyncio.shield(base.ready)
            except Exception:
                self._failures += 1
                raise
            self._failures = 0
            return base

    def _adopt(self, process: BaseProcess) -> Template:
        base = Template("", process.ends, self._home)
        base.born(process.pid)
        base.tell(self._spec)
        return base
