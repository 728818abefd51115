"""An HTTP server of somebody else's service, on loopback: keeps what it is asked and answers every POST with 200."""

import asyncio
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from aiohttp import web

SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Asked:
    path: str
    authorization: str
    body: bytes


class WebStub:
    """`async with WebStub() as stub`: it listens at `stub.url`. `answers` are bodies by path; else they are empty."""

    def __init__(self, answers: dict[str, bytes] | None = None) -> None:
        self.asked: list[Asked] = []
        self._answers = answers or {}
        self._changed = asyncio.Condition()

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    async def wait(self, path: str) -> Asked:
        """The first request for `path`."""
        try:
            async with asyncio.timeout(SECONDS), self._changed:
                await self._changed.wait_for(lambda: any(each.path == path for each in self.asked))
        except TimeoutError:
            raise AssertionError(f"nobody asked for {path}, but for {[each.path for each in self.asked]}") from None
        return next(each for each in self.asked if each.path == path)

    async def _answer(self, request: web.Request) -> web.Response:
        asked = Asked(
            path=request.path, authorization=request.headers.get("Authorization", ""), body=await request.read()
        )
        async with self._changed:
            self.asked.append(asked)
            self._changed.notify_all()
        return web.Response(body=self._answers.get(request.path, b""), content_type="application/protobuf")
