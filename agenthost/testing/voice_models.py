"""Stand-ins for the models of a livekit-agents session: they need no keys, no network, and always say the same.

For tests and samples; they run where the session runs, in job processes. `ScriptedLLM` answers by a script, `ToneTTS`
speaks a tone, `ScriptedSTT` hears that somebody makes a sound and takes it for the next line of its script.
"""

import asyncio
import itertools
import json
import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from livekit import rtc
from livekit.agents import DEFAULT_API_CONNECT_OPTIONS, APIConnectOptions, LanguageCode, llm, stt, tts
from livekit.agents.types import NOT_GIVEN

TONE_HZ = 440
RATE = 24000
SECONDS_A_CHARACTER = 0.06  # about as long as people take
LOUD = 1000  # peak of a frame that is not silence
SILENCE_SECONDS = 0.3  # after which whoever spoke has finished


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """An answer that is a call of the function tool `name`."""

    name: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


Reply = str | ToolCall


class ScriptedLLM(llm.LLM[Any]):
    """Answers with the first reply whose key is in what the user said last (case does not count).

    What a tool returned is said as it is. `otherwise` answers everything else; `{text}` in it is what the user said.
    """

    def __init__(self, replies: Mapping[str, Reply], *, otherwise: str = "You said: {text}") -> None:
        super().__init__()
        self._replies = dict(replies)
        self._otherwise = otherwise

    def chat(
        self,
        *,
        chat_ctx: llm.ChatContext,
        tools: list[Any] | None = None,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
        **_options: Any,
    ) -> llm.LLMStream:
        reply = self.reply(chat_ctx)
        return _ScriptedStream(self, reply, chat_ctx=chat_ctx, tools=tools or [], conn_options=conn_options)

    def reply(self, chat_ctx: llm.ChatContext) -> Reply:
        """What the script answers to a conversation."""
        last = chat_ctx.items[-1] if chat_ctx.items else None
        if last is not None and last.type == "function_call_output":
            return str(last.output)
        text = (last.text_content or "") if last is not None and last.type == "message" else ""
        for key, reply in self._replies.items():
            if key.lower() in text.lower():
                return reply
        return self._otherwise.format(text=text)


class _ScriptedStream(llm.LLMStream):
    def __init__(self, model: ScriptedLLM, reply: Reply, **options: Any) -> None:
        super().__init__(model, **options)
        self._reply = reply

    async def _run(self) -> None:
        for number, delta in enumerate(_deltas(self._reply)):
            self._event_ch.send_nowait(llm.ChatChunk(id=f"chunk-{number}", delta=delta))


_CALLS = itertools.count(1)


def _deltas(reply: Reply) -> Iterable[llm.ChoiceDelta]:
    """Word by word, as models do."""
    if isinstance(reply, ToolCall):
        arguments = json.dumps(dict(reply.arguments))
        call = llm.FunctionToolCall(name=reply.name, arguments=arguments, call_id=f"call-{next(_CALLS)}")
        return [llm.ChoiceDelta(role="assistant", tool_calls=[call])]
    first, *others = reply.split(" ")
    return [llm.ChoiceDelta(role="assistant", content=word) for word in (first, *(f" {word}" for word in others))]


class ToneTTS(tts.TTS[Any]):
    """Speaks a tone of 440 Hz, as long as a person would take for the text."""

    def __init__(self) -> None:
        super().__init__(capabilities=tts.TTSCapabilities(streaming=False), sample_rate=RATE, num_channels=1)

    def synthesize(
        self, text: str, *, conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS
    ) -> tts.ChunkedStream:
        return _ToneStream(tts=self, input_text=text, conn_options=conn_options)


class _ToneStream(tts.ChunkedStream):
    async def _run(self, output_emitter: tts.AudioEmitter) -> None:
        output_emitter.initialize(request_id="tone", sample_rate=RATE, num_channels=1, mime_type="audio/pcm")
        output_emitter.push(tone(len(self.input_text) * SECONDS_A_CHARACTER))
        output_emitter.flush()


def tone(seconds: float, *, rate: int = RATE, hertz: float = TONE_HZ) -> bytes:
    """So many seconds of a loud sine, as 16-bit samples."""
    wave = (int(20000 * math.sin(2 * math.pi * hertz * at / rate)) for at in range(int(seconds * rate)))
    return array("h", wave).tobytes()


class ScriptedSTT(stt.STT[Any]):
    """Hears sound, and after it silence, as the next of `lines`; when they are used up, the last one again."""

    def __init__(self, lines: Iterable[str]) -> None:
        super().__init__(capabilities=stt.STTCapabilities(streaming=True, interim_results=True))
        self._lines = list(lines)
        self._heard = 0

    def next_line(self) -> str:
        """What it has heard now."""
        line = self.line
        self._heard += 1
        return line

    @property
    def line(self) -> str:
        """What it is about to hear."""
        return self._lines[min(self._heard, len(self._lines) - 1)]

    async def _recognize_impl(self, buffer: Any, **_options: Any) -> stt.SpeechEvent:
        raise NotImplementedError("this stand-in hears streams only")

    def stream(
        self,
        *,
        language: Any = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> stt.RecognizeStream:
        return _HearingStream(stt=self, conn_options=conn_options)


class _HearingStream(stt.RecognizeStream):
    """Speech begins with a loud frame and ends when there was none for a while."""

    async def _run(self) -> None:
        model = self._stt
        assert isinstance(model, ScriptedSTT)
        speaking = False
        last_loud = 0.0
        loop = asyncio.get_running_loop()
        pending: asyncio.Task[Any] | None = None
        while True:
            pending = pending or asyncio.ensure_future(anext(self._input_ch, None))
            done, _ = await asyncio.wait({pending}, timeout=SILENCE_SECONDS)
            frame = pending.result() if done else _NOTHING
            if done:
                pending = None
            if frame is None:
                return
            if isinstance(frame, rtc.AudioFrame) and _is_loud(frame):
                last_loud = loop.time()
                if not speaking:
                    speaking = True
                    self._tell(stt.SpeechEventType.START_OF_SPEECH)
                    self._tell(stt.SpeechEventType.INTERIM_TRANSCRIPT, model.line)  # what interrupts the agent
            elif speaking and loop.time() - last_loud >= SILENCE_SECONDS:
                speaking = False
                self._tell(stt.SpeechEventType.FINAL_TRANSCRIPT, model.next_line())
                self._tell(stt.SpeechEventType.END_OF_SPEECH)

    def _tell(self, kind: stt.SpeechEventType, text: str = "") -> None:
        alternatives = [stt.SpeechData(language=LanguageCode("en"), text=text, confidence=1.0)] if text else []
        self._event_ch.send_nowait(stt.SpeechEvent(type=kind, alternatives=alternatives))


_NOTHING = object()


def _is_loud(frame: rtc.AudioFrame) -> bool:
    return max(map(abs, frame.data), default=0) > LOUD
