"""Models on loopback: speaks what LiveKit Inference and OpenAI speak, always says the same, and lets nothing out.

Runs in the process of the command. An example reaches it by two variables that those clients read by themselves,
`LIVEKIT_INFERENCE_URL` and `OPENAI_BASE_URL`; nothing in the example or its libraries is replaced. It is the proxy of
the environment, too: whatever asks for another host than this machine is refused, and `wanted` says which host that
was.
"""

import base64
import contextlib
import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from agenthost.testing.voice_models import RATE, SECONDS_A_CHARACTER, tone
from tests.support.voice_client import LOUD

ANSWER = "This is a stand-in, which always says the same."
HEARD = "What did somebody say?"
SILENT_FRAMES = 8  # of 50 ms: whoever spoke has finished
EMBEDDING_SIZE = 1536
LOOPBACK = ("127.0.0.1", "localhost", "::1")


class StandInModels:
    """`async with StandInModels() as models:` listens on a free port of 127.0.0.1.

    wanted   hosts beyond this machine that somebody has asked for, in that order
    used     kinds of models that were asked: `llm`, `tts`, `stt`, `realtime`, `embeddings`
    """

    def __init__(self) -> None:
        self.wanted: list[str] = []
        self.used: set[str] = set()
        self.url = ""
        application = web.Application(middlewares=[self._keep_inside])
        for prefix in ("", "/v1"):
            application.add_routes(
                [
                    web.get(f"{prefix}/models", self._models),
                    web.post(f"{prefix}/chat/completions", self._chat),
                    web.post(f"{prefix}/embeddings", self._embeddings),
                    web.post(f"{prefix}/audio/speech", self._speech),
                    web.get(f"{prefix}/tts", self._tts),
                    web.get(f"{prefix}/stt", self._stt),
                    web.get(f"{prefix}/realtime", self._realtime),
                ]
            )
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)

    @property
    def environment(self) -> dict[str, str]:
        """What brings an example here, and nowhere else."""
        own = {
            "LIVEKIT_INFERENCE_URL": self.url,
            "OPENAI_BASE_URL": f"{self.url}/v1",
            "OPENAI_API_BASE": f"{self.url}/v1",
        }
        proxies = dict.fromkeys(("HTTPS_PROXY", "HTTP_PROXY", "https_proxy", "http_proxy"), self.url)
        return own | proxies | {"NO_PROXY": ",".join(LOOPBACK), "no_proxy": ",".join(LOOPBACK)}

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._runner.cleanup()

    # ── the proxy ────────────────────────────────────────────────────────────────────────────────────────────

    @web.middleware
    async def _keep_inside(self, request: web.Request, handler: Callable[..., Any]) -> web.StreamResponse:
        host = _host(request)
        if host in LOOPBACK:
            response: web.StreamResponse = await handler(request)
            return response
        if host not in self.wanted:
            self.wanted.append(host)
        return web.Response(status=403, text=f"nothing leaves this machine; {host} is not asked\n")

    # ── language models ──────────────────────────────────────────────────────────────────────────────────────

    async def _models(self, _request: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": []})

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        self.used.add("llm")
        asked = await request.json()
        if not asked.get("stream"):
            message = {"role": "assistant", "content": _content(asked)}
            choice = {"index": 0, "message": message, "finish_reason": "stop"}
            return web.json_response(_completion("chat.completion", asked) | {"choices": [choice], "usage": _USAGE})
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        for delta, reason in (
            *(({"role": "assistant", "content": part}, None) for part in _parts(_content(asked))),
            ({}, "stop"),
        ):
            choice = {"index": 0, "delta": delta, "finish_reason": reason}
            chunk = _completion("chat.completion.chunk", asked) | {"choices": [choice]}
            await response.write(f"data: {json.dumps(chunk)}\n\n".encode())
        await response.write(b"data: [DONE]\n\n")
        return response

    async def _embeddings(self, request: web.Request) -> web.Response:
        self.used.add("embeddings")
        asked = await request.json()
        count = len(asked["input"]) if isinstance(asked["input"], list) else 1
        vector: Any = [1.0] + [0.0] * (EMBEDDING_SIZE - 1)
        if asked.get("encoding_format") == "base64":
            vector = base64.b64encode(_floats(vector)).decode()
        data = [{"object": "embedding", "index": at, "embedding": vector} for at in range(count)]
        return web.json_response({"object": "list", "model": asked.get("model"), "data": data, "usage": _USAGE})

    # ── speech ───────────────────────────────────────────────────────────────────────────────────────────────

    async def _speech(self, request: web.Request) -> web.Response:
        self.used.add("tts")
        asked = await request.json()
        return web.Response(body=_spoken(asked["input"], RATE), content_type="audio/pcm")

    async def _tts(self, request: web.Request) -> web.WebSocketResponse:
        """Each flush answers all text since the last one, as a session of its own, whose end is `done`."""
        self.used.add("tts")
        socket = await _accepted(request)
        rate, text, spoken = RATE, "", 0
        async for message in _messages(socket):
            if message["type"] == "session.create":
                rate = int(message.get("sample_rate", RATE))
            elif message["type"] == "input_transcript":
                text += message["transcript"]
            elif message["type"] == "session.flush":
                session, spoken = f"spoken-{spoken}", spoken + 1
                audio = base64.b64encode(_spoken(text, rate)).decode()
                await socket.send_json({"type": "output_audio", "session_id": session, "audio": audio})
                await socket.send_json({"type": "done", "session_id": session})
                text = ""
        return socket

    async def _stt(self, request: web.Request) -> web.WebSocketResponse:
        """Sound and the silence after it are one turn."""
        self.used.add("stt")
        socket = await _accepted(request)
        await socket.send_json({"type": "session.created", "session_id": "heard"})
        silent: int | None = None
        async for message in _messages(socket):
            if message["type"] == "session.close":
                await socket.send_json({"type": "session.closed"})
                break
            if message["type"] != "input_audio":
                continue
            if _is_loud(base64.b64decode(message["audio"])):
                if silent is None:
                    await socket.send_json({"type": "interim_transcript", "transcript": HEARD})
                silent = 0
            elif silent is not None:
                silent += 1
            if silent == SILENT_FRAMES:
                await socket.send_json({"type": "final_transcript", "transcript": HEARD, "language": "en"})
                silent = None
        return socket

    async def _realtime(self, request: web.Request) -> web.WebSocketResponse:
        """A realtime model that is there and listens, and never says anything."""
        self.used.add("realtime")
        socket = await _accepted(request)
        await socket.send_json({"type": "session.created", "event_id": "1", "session": {"id": "session"}})
        async for _message in _messages(socket):
            pass
        return socket


_USAGE = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}


def _host(request: web.Request) -> str:
    """The host that a request is for; a proxy is asked with the whole address of it."""
    return (request.rel_url.host if request.rel_url.absolute else None) or urlsplit(f"//{request.host}").hostname or "?"


def _completion(kind: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": "completion", "object": kind, "created": 0, "model": asked.get("model", "stand-in")}


def _content(asked: Mapping[str, Any]) -> str:
    """The answer; JSON for those that ask for JSON."""
    return "{}" if (asked.get("response_format") or {}).get("type", "text") != "text" else ANSWER


def _parts(text: str) -> list[str]:
    """Word by word, as models do."""
    first, *others = text.split(" ")
    return [first, *(f" {word}" for word in others)]


def _spoken(text: str, rate: int) -> bytes:
    return tone(len(text) * SECONDS_A_CHARACTER, rate=rate)


def _is_loud(samples: bytes) -> bool:
    return max(map(abs, memoryview(samples).cast("h")), default=0) > LOUD


def _floats(values: list[float]) -> bytes:
    from array import array

    return array("f", values).tobytes()


async def _accepted(request: web.Request) -> web.WebSocketResponse:
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    return socket


async def _messages(socket: web.WebSocketResponse) -> Any:
    """The JSON messages until the other side closes."""
    with contextlib.suppress(ConnectionError):
        async for message in socket:
            if message.type == aiohttp.WSMsgType.TEXT:
                yield json.loads(message.data)
