"""The base template as the host keeps it: replaced when it dies, with a delay that grows; sent away while it may rest.

Runs on the host's loop. Replacing costs what importing livekit.rtc costs; the agent templates and the jobs of the
dead one go on. So a host that watches no code has no use for a base once its templates are there: 10 MB that wait for
a reload, or for a template that dies. It ends then, and is made anew for the next template.
"""

import asyncio
import itertools
from collections.abc import Mapping

from agenthost.ipc.messages import BaseSpec, TemplateSpec
from agenthost.processes.base_exec import BaseProcess, exec_base
from agenthost.processes.child_process import START_ATTEMPTS, TemplateGone
from agenthost.processes.home import ProcessHome
from agenthost.processes.template_keeper import TemplateKeeper
from agenthost.processes.templates import MustNotFork, Template, fork_template, wait_ready

REST_AFTER_SECONDS = 1.0
"""After the last template was made, a base that may rest waits so long for another one to be asked for."""

PRELOAD_SECONDS = 60.0
"""For livekit.rtc and the modules of `preload`; a base that takes longer is taken for hanging."""


class Base:
    """`process` was exec'd before there was a loop; `environment` is for those that replace it.

    `modules` are the files of user code that it has imported for `preload`; empty until it is ready.
    `rests`: may it end while no template is wanted? Not before the first was made, and not while none lives: the
    templates and the base are who kills what a host leaves behind that was killed itself.
    """

    def __init__(
        self,
        process: BaseProcess,
        spec: BaseSpec,
        *,
        environment: Mapping[str, str],
        home: ProcessHome,
    ) -> None:
        self._first: BaseProcess | None = process
        self._spec = spec
        self._identity = process.identity
        self._environment = environment
        self._home = home
        self.modules: frozenset[str] = frozenset()
        self._rests = False
        self._in_use = 0
        self._forked: set[Template] = set()
        self._rest: asyncio.TimerHandle | None = None
        self._keeper = TemplateKeeper("base", make=self._make, log=home.log)
        self._keeper.start()

    async def make_template(self, spec: TemplateSpec, *, init_seconds: float) -> Template:
        """A new agent template that is ready and may fork.

        Raises ProcessFailed: InitFailure for what user code raised, MustNotFork where no process may fork.
        """
        self._in_use += 1
        try:
            template = await self._fork_ready(spec, init_seconds)
        finally:
            self._in_use -= 1
            self._rest_soon()
        self._forked.add(template)
        template.dead.add_done_callback(lambda _: self._forked.discard(template))
        return template

    async def _fork_ready(self, spec: TemplateSpec, init_seconds: float) -> Template:
        imported = spec.code.entrypoint if spec.shared else f"the libraries of {spec.code.entrypoint}"
        what = f"the import of {imported} took longer than limits.init"
        for attempt in itertools.count(1):
            template = fork_template(await self._keeper.living(), spec, self._home)
            try:
                await wait_ready(template, seconds=init_seconds, what=what)
                return template
            except TemplateGone:
                if attempt == START_ATTEMPTS:
                    raise
        raise AssertionError("unreachable")

    @property
    def rests(self) -> bool:
        return self._rests

    @rests.setter
    def rests(self, rests: bool) -> None:
        self._rests = rests
        self._rest_soon()

    def _rest_soon(self) -> None:
        if self._rest is not None:
            self._rest.cancel()
        self._rest = asyncio.get_running_loop().call_later(REST_AFTER_SECONDS, self._rest_now) if self._rests else None

    def _rest_now(self) -> None:
        if self._forked and not self._in_use:
            self._keeper.rest()

    async def close(self) -> None:
        self.rests = False
        await self._keeper.close()

    async def _make(self) -> Template:
        process = self._first or exec_base(self._identity, self._environment)
        self._first = None
        base = Template("", process.ends, self._home)
        base.adopt(process.pid)
        base.tell(self._spec)
        report = await wait_ready(
            base, seconds=PRELOAD_SECONDS, what="importing the modules of `preload` took too long"
        )
        if report.threads:
            base.close("it must not fork")
            raise MustNotFork(report.threads)
        self.modules = frozenset(report.modules)
        self._home.log.debug("base ready", pid=base.pid, import_seconds=round(report.import_seconds, 3))
        self._rest_soon()  # it may have replaced one that died, which nobody had asked for
        return base
