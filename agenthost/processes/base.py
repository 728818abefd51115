"""The base template as the host keeps it: always one, replaced when it dies, with a delay that grows.

Runs on the host's loop. Replacing costs what importing livekit.rtc costs; the agent templates and the jobs of the
dead one go on.
"""

import asyncio
from collections.abc import Mapping, Sequence

from agenthost import kernel
from agenthost.ipc.messages import TemplateSpec
from agenthost.processes.home import ProcessHome
from agenthost.processes.templates import THREAD_LIMITS, Template, fork_template, start_base
from agenthost.restarts import start_delay


class Base:
    """`environment` is what the processes below it begin with.

    `start` at once, long before anything is needed of it; `fork_template` waits until it can fork.
    """

    def __init__(
        self,
        *,
        host_id: str,
        environment: Mapping[str, str],
        folder: str,
        preload: Sequence[str],
        open_files: int,
        home: ProcessHome,
    ) -> None:
        self._host_id = host_id
        self.environment = {**THREAD_LIMITS, **environment, kernel.MARKER: host_id}
        self._folder = folder
        self._preload = preload
        self._open_files = open_files
        self._home = home
        self._template: Template | None = None
        self._failures = 0
        self._replacing = asyncio.Lock()

    def start(self) -> None:
        """Exec the base. Raises ProcessFailed."""
        self._template = start_base(
            host_id=self._host_id,
            environment=self.environment,
            folder=self._folder,
            preload=self._preload,
            open_files=self._open_files,
            home=self._home,
        )

    async def fork_template(self, spec: TemplateSpec) -> Template:
        """A new agent template, not ready yet. Raises ProcessFailed, InitFailure when `preload` is the reason."""
        base = await self._living()
        return fork_template(base, spec, self._home)

    async def _living(self) -> Template:
        async with self._replacing:
            assert self._template is not None
            if self._template.dead.done():
                self._home.log.warning("base template replaced", reason=self._template.dead.result())
                await asyncio.sleep(start_delay(self._failures))
                self.start()
            base = self._template
            try:
                await asyncio.shield(base.ready)
            except Exception:
                self._failures += 1
                raise
            self._failures = 0
            return base

    @property
    def pid(self) -> int | None:
        return self._template.pid if self._template is not None else None

    def close(self) -> None:
        if self._template is not None:
            self._template.close()
