"""Clients of the gateway, the vendors' own SDKs with their default retries, at a steady rate until told to stop."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Awaitable, Callable

import anthropic
import openai

from tests.deploy.pods import VIRTUAL_KEY

SLOW = "sim-latency-400+words-20"
STREAM = "sim-latency-200+rate-20+words-30"
QUESTION = [{"role": "user", "content": "Hello?"}]
POLLS_EVERY_S = 0.5
MOST_AT_ONCE = 200
"""A machine that is too slow for the rate is not asked for more."""


class Traffic:
    """`done` counts what was answered, `errors` says what was not."""

    def __init__(self, url: str, per_s: float) -> None:
        self.done: Counter[str] = Counter()
        self.errors: list[str] = []
        self._pause_s = 1 / per_s
        self._anthropic = anthropic.AsyncAnthropic(base_url=f"{url}/anthropic", api_key=VIRTUAL_KEY)
        self._openai = openai.AsyncOpenAI(base_url=f"{url}/openai/v1", api_key=VIRTUAL_KEY)
        self._stopping = asyncio.Event()

    async def run(self) -> None:
        """Returns when all that was asked has been answered."""
        kinds = itertools.cycle((self._plain, self._chat, self._streamed, self._streamed_chat, self._job))
        clock = asyncio.get_running_loop().time
        due, asking = clock(), set()
        async with self._anthropic, self._openai:
            while not self._stopping.is_set():
                if len(asking) < MOST_AT_ONCE:
                    task = asyncio.create_task(self._counted(next(kinds)))
                    asking.add(task)
                    task.add_done_callback(asking.discard)
                due = max(due + self._pause_s, clock() - 1)
                await asyncio.sleep(due - clock())
            await asyncio.gather(*asking)

    def stop(self) -> None:
        self._stopping.set()

    async def _counted(self, kind: Callable[[], Awaitable[int]]) -> None:
        name = kind.__name__.strip("_")
        try:
            words = await kind()
        except (anthropic.AnthropicError, openai.OpenAIError, OSError) as error:
            self.errors.append(f"{name}: {type(error).__name__} {error} {error.__cause__!r}")
            return
        wanted = 30 if "streamed" in name else 20
        if words == wanted:
            self.done[name] += 1
        else:
            self.errors.append(f"{name}: {words} words")

    async def _plain(self) -> int:
        message = await self._anthropic.messages.create(model=SLOW, max_tokens=99, messages=QUESTION)
        return len(message.content[0].text.split())

    async def _chat(self) -> int:
        answer = await self._openai.chat.completions.create(model=SLOW, messages=QUESTION)
        return len(answer.choices[0].message.content.split())

    async def _streamed(self) -> int:
        text = ""
        async with self._anthropic.messages.stream(model=STREAM, max_tokens=99, messages=QUESTION) as stream:
            async for piece in stream.text_stream:
                text += piece
        return len(text.split())

    async def _streamed_chat(self) -> int:
        text = ""
        stream = await self._openai.chat.completions.create(model=STREAM, messages=QUESTION, stream=True)
        async for chunk in stream:
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        return len(text.split())

    async def _job(self) -> int:
        question = {"model": SLOW, "max_tokens": 99, "messages": QUESTION}
        job = await self._anthropic.messages.create(**question, extra_headers={"x-bf-async": "true"})
        answer = job
        while not answer.content:
            await asyncio.sleep(POLLS_EVERY_S)
            answer = await self._anthropic.messages.create(**question, extra_headers={"x-bf-async-id": job.id})
        return len(answer.content[0].text.split())
