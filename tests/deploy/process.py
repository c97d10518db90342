"""A command of ours as a process of its own, watched from outside."""

import contextlib
import subprocess
import sys
import uuid
from pathlib import Path

from tests.contract.process import clean_environment, eventually
from tests.contract.wire import ask
from tests.ports import free_port

STARTS_WITHIN_S = 60.0


class Process:
    """A command of ours at a port of its own."""

    def __init__(self, folder, *arguments, port=None):
        self.port = free_port() if port is None else port
        self.url = f"http://127.0.0.1:{self.port}"
        option = "--metrics-port" if arguments[0] == "worker" else "--port"
        command = [sys.executable, "-P", "-m", "deploy.cli", *arguments, option, str(self.port)]
        self._log = folder / f"{uuid.uuid4().hex}.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=clean_environment())

    def status(self, path):
        assert self.process.poll() is None, self._log.read_text()
        try:
            return ask(self.url, "GET", path).status
        except OSError:
            return None

    def until_up(self, path="/live"):
        eventually(lambda: self.status(path) == 200, STARTS_WITHIN_S, "it is not up")
        return self

    def listens(self):
        """Whether any of its sockets takes connections (state 0A in /proc/net/tcp)."""
        rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        listening = {f"socket:[{row[9]}]" for row in rows if row[3] == "0A"}
        held = set()
        for file in Path(f"/proc/{self.process.pid}/fd").iterdir():
            with contextlib.suppress(FileNotFoundError):  # closed meanwhile
                held.add(str(file.readlink()))
        return bool(listening & held)

    def logged(self):
        return self._log.read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()
