"""Clients of the gateway, the vendors' own SDKs with their default retries, at a steady rate until told to stop.

They are processes of their own, one of the Python SDKs and one of the JavaScript ones (`traffic.mjs`), where there is a
Node: an SDK's call takes several times the CPU that it costs the gateway (4.5 ms in Python, 2.9 ms in JavaScript,
measured side by side), and whoever shares its event loop would wait with it.
"""

import asyncio
import itertools
import json
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import anthropic
import openai
import uvloop

from tests.contract.process import clean_environment
from tests.contract.sdks import NotInstallable, prepare
from tests.deploy.pods import VIRTUAL_KEY

SLOW = "sim-latency-400+words-20"
STREAM = "sim-latency-200+rate-10+words-10"  # an event for each word, and each costs an SDK 0.2 ms
WORDS = {"plain": 20, "chat": 20, "job": 20, "streamed": 10, "streamed_chat": 10}
POLLS_EVERY_S = 0.5
MOST_AT_ONCE = 200
"""Of a process: a machine that is too slow for the rate is not asked for more."""
ENDS_WITHIN_S = 120
ASKING = "asking\n"
PYTHONS_SHARE = 0.25
"""Of the rate, where JavaScript has the rest."""
_SCRIPT = Path(__file__).with_name("traffic.mjs")


class Traffic:
    """Processes of clients, which ask `per_s` requests a second together; made, they all ask.

    `done` counts what was answered, `errors` says what was not, `per_s` how many a second were asked; known when `stop`
    has returned.
    """

    def __init__(self, url: str, per_s: float) -> None:
        self.done: Counter[str] = Counter()
        self.errors: list[str] = []
        self.per_s = 0.0
        javascript = _javascript()
        share = PYTHONS_SHARE if javascript else 1.0
        commands = [[sys.executable, "-m", "tests.deploy.traffic", url, str(per_s * share), "python"]]
        if javascript:
            commands.append([*javascript, url, str(per_s * (1 - share)), "javascript", VIRTUAL_KEY, SLOW, STREAM])
        self._processes = [
            subprocess.Popen(command, env=clean_environment(), stdout=subprocess.PIPE, text=True)
            for command in commands
        ]
        for process in self._processes:
            assert process.stdout
            assert process.stdout.readline() == ASKING, "the clients do not start"

    def stop(self) -> None:
        """Returns when all that was asked has been answered."""
        for process in self._processes:
            process.send_signal(signal.SIGTERM)
        for process in self._processes:
            told = json.loads(process.communicate(timeout=ENDS_WITHIN_S)[0])
            self.done.update(told["done"])
            self.errors += told["errors"]
            self.per_s += told["per_s"]

    def kill(self) -> None:
        for process in self._processes:
            process.kill()
            process.communicate()


def _javascript() -> list[str]:
    """What runs the script; nothing where the SDKs cannot be had. It has to lie where its imports are found."""
    try:
        sdk = prepare("javascript-newest")
    except NotInstallable as why:
        print(f"Python clients only: {why}")
        return []
    return [sdk.program, str(shutil.copy(_SCRIPT, sdk.folder))]


class Clients:
    """Those of one process."""

    def __init__(self, url: str, per_s: float, name: str) -> None:
        self.done: Counter[str] = Counter()
        self.errors: list[str] = []
        self._name = name
        self._numbers = itertools.count()
        self._pause_s = 1 / per_s
        self._anthropic = anthropic.AsyncAnthropic(base_url=f"{url}/anthropic", api_key=VIRTUAL_KEY)
        self._openai = openai.AsyncOpenAI(base_url=f"{url}/openai/v1", api_key=VIRTUAL_KEY)
        self._stopping = asyncio.Event()

    async def run(self) -> float:
        """Returns when all that was asked has been answered: how many a second that were."""
        kinds = itertools.cycle((self._plain, self._chat, self._streamed, self._streamed_chat, self._job))
        clock = asyncio.get_running_loop().time
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stopping.set)
        print(ASKING, end="", flush=True)
        began = due = clock()
        asking: set[asyncio.Task[None]] = set()
        count = 0
        async with self._anthropic, self._openai:
            while not self._stopping.is_set():
                if len(asking) < MOST_AT_ONCE:
                    task = asyncio.create_task(self._counted(next(kinds)))
                    asking.add(task)
                    task.add_done_callback(asking.discard)
                    count += 1
                due = max(due + self._pause_s, clock() - 1)
                await asyncio.sleep(due - clock())
            asked_s = clock() - began
            await asyncio.gather(*asking)
        return count / asked_s

    async def _counted(self, kind: Callable[[], Awaitable[int]]) -> None:
        name = kind.__name__.strip("_")
        try:
            words = await kind()
        except (anthropic.AnthropicError, openai.OpenAIError, OSError) as error:
            self.errors.append(f"{name}: {type(error).__name__} {error} {error.__cause__!r}")
            return
        if words == WORDS[name]:
            self.done[name] += 1
        else:
            self.errors.append(f"{name}: {words} words")

    def _question(self) -> list[dict[str, str]]:
        """No two alike: a retry would join any job of an equal request, not only that of its own first try."""
        return [{"role": "user", "content": f"Hello {self._name} {next(self._numbers)}?"}]

    async def _plain(self) -> int:
        message = await self._anthropic.messages.create(model=SLOW, max_tokens=99, messages=self._question())
        return len(message.content[0].text.split())

    async def _chat(self) -> int:
        answer = await self._openai.chat.completions.create(model=SLOW, messages=self._question())
        return len(answer.choices[0].message.content.split())

    async def _streamed(self) -> int:
        text = ""
        async with self._anthropic.messages.stream(model=STREAM, max_tokens=99, messages=self._question()) as stream:
            async for piece in stream.text_stream:
                text += piece
        return len(text.split())

    async def _streamed_chat(self) -> int:
        text = ""
        stream = await self._openai.chat.completions.create(model=STREAM, messages=self._question(), stream=True)
        async for chunk in stream:
            text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        return len(text.split())

    async def _job(self) -> int:
        question = {"model": SLOW, "max_tokens": 99, "messages": self._question()}
        job = await self._anthropic.messages.create(**question, extra_headers={"x-bf-async": "true"})
        answer = job
        while not answer.content:
            await asyncio.sleep(POLLS_EVERY_S)
            answer = await self._anthropic.messages.create(**question, extra_headers={"x-bf-async-id": job.id})
        return len(answer.content[0].text.split())


async def main(url: str, per_s: str, name: str) -> None:
    clients = Clients(url, float(per_s), name)
    rate = await clients.run()
    print(json.dumps({"done": clients.done, "errors": clients.errors, "per_s": rate}))


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
