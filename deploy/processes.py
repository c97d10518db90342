"""Child processes that are kept alive, stopped in order, and never outlive their supervisor.

A child that ends on its own is started again after a pause that doubles up to a cap. Each child has a session of
its own, so Ctrl-C in the terminal reaches only the supervisor, which stops the children in turn.
"""

from __future__ import annotations

import asyncio
import ctypes
import logging
import os
import signal
import sys
from collections.abc import Callable, Mapping

import msgspec

_FIRST_PAUSE_S = 0.2
_LONGEST_PAUSE_S = 5.0
_HEALTHY_AFTER_S = 10.0
"""A child that ran this long did start; its next pause is the first again."""

_STDERR = 2
_PR_SET_PDEATHSIG = 1  # linux/prctl.h

logger = logging.getLogger(__name__)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """How to start a child.

    Attributes:
        name: as shown to people, `worker-1`.
        role: children of one role are stopped together.
        arguments: program and arguments; never a secret, every user of the machine can list them.
        environment: all of it, nothing is inherited.
        stop_within_s: seconds from SIGTERM to SIGKILL.
        keep_open: file descriptors the child inherits.
    """

    name: str
    role: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    stop_within_s: float = 10.0
    keep_open: tuple[int, ...] = ()


class Child:
    """One child, running until `stop`. Make it in the main thread: its death signal follows the thread."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self.restarts = 0
        self._process: asyncio.subprocess.Process | None = None
        self._stopping = asyncio.Event()
        self._task = asyncio.create_task(self._keep_running(), name=command.name)

    @property
    def pid(self) -> int | None:
        """Process id of the running child, None between two."""
        running = self._process is not None and self._process.returncode is None
        return self._process.pid if self._process and running else None

    async def stop(self) -> None:
        """Asks the child to end, and makes it after `stop_within_s` seconds."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            self._process.terminate()
        done, _ = await asyncio.wait({self._task}, timeout=self.command.stop_within_s)
        if not done:
            logger.warning("%s did not stop within %g s: killed", self.command.name, self.command.stop_within_s)
            self.kill()
            await self._task

    def kill(self) -> None:
        """Ends the child and what it started, at once and for good."""
        self._stopping.set()
        if self._process is not None and self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)

    async def _keep_running(self) -> None:
        clock = asyncio.get_running_loop().time
        pause = _FIRST_PAUSE_S
        while True:
            began = clock()
            ending = await self._run_once()
            if self._stopping.is_set():
                return
            pause = _FIRST_PAUSE_S if clock() - began >= _HEALTHY_AFTER_S else pause
            logger.warning("%s %s; starting it again in %g s", self.command.name, ending, pause)
            if await self._stopping_within(pause):
                return
            self.restarts += 1
            pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _run_once(self) -> str:
        """How the child ended, as in `ended with status 1`."""
        try:
            self._process = await asyncio.create_subprocess_exec(
                *self.command.arguments,
                env=dict(self.command.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=_STDERR,
                start_new_session=True,
                pass_fds=self.command.keep_open,
                preexec_fn=_die_with(os.getpid()),
            )
        except OSError as error:
            return f"cannot be started ({error.strerror})"
        if self._stopping.is_set():  # asked to stop while it was being started
            self._process.terminate()
        status = await self._process.wait()
        return f"was killed by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"

    async def _stopping_within(self, seconds: float) -> bool:
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except TimeoutError:
            return False
        return True


class Household:
    """All children of one supervisor."""

    def __init__(self) -> None:
        self.children: list[Child] = []

    def start(self, command: Command) -> Child:
        """Starts a child and keeps it running."""
        child = Child(command)
        self.children.append(child)
        return child

    async def stop(self, order: tuple[str, ...]) -> None:
        """Stops the children role by role in the given order."""
        for role in order:
            await asyncio.gather(*(child.stop() for child in self.children if child.command.role == role))

    def kill(self) -> None:
        """Ends all children at once."""
        for child in self.children:
            child.kill()


def _die_with(supervisor: int) -> Callable[[], None] | None:
    """What a new child does before it becomes its program: ask the kernel to be killed when the supervisor dies.

    SIGKILL, because a supervisor that was itself killed leaves nobody to escalate; every part of the gateway must
    survive that anyway. Only Linux has this.
    """
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, int(signal.SIGKILL))
        if os.getppid() != supervisor:  # it died before the kernel knew
            os._exit(1)

    return ask
