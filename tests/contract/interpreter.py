"""An interpreter that has the SDKs of a generation imported, and forks for each script."""

import json
import os
import select
import signal
import subprocess
from pathlib import Path

from tests.contract.process import clean_environment

FORKS = Path(__file__).with_name("sdk_forks.py")


class Interpreter:
    """`program` run with an environment without any key or base URL; started when it is first wanted."""

    def __init__(self, program: str) -> None:
        self._program = program
        self._process: subprocess.Popen[str] | None = None

    def run(self, script: Path, within_s: float) -> subprocess.CompletedProcess[str]:
        """Its output and errors are kept beside it. Raises TimeoutExpired."""
        if self._process and self._process.poll() is not None:
            self._process = None  # it could not go on after a script before this one
        process = self._process = self._process or self._started(script.parent)
        assert process.stdin is not None
        assert process.stdout is not None
        out, err = script.with_suffix(".out"), script.with_suffix(".err")
        out.touch()
        err.touch()
        command = [self._program, str(script)]
        try:
            print(json.dumps([str(script), str(out), str(err)]), file=process.stdin, flush=True)
            if not select.select([process.stdout], [], [], within_s)[0]:
                self.close()
                raise subprocess.TimeoutExpired(command, within_s, out.read_text(), err.read_text())
            line = process.stdout.readline()
            assert line, f"{self._program} has ended; its errors stand above"
            return subprocess.CompletedProcess(command, int(line), out.read_text(), err.read_text())
        finally:
            out.unlink()
            err.unlink()

    def close(self) -> None:
        """Ends it, and a script that still runs."""
        if process := self._process:
            self._process = None
            with process:
                os.killpg(process.pid, signal.SIGKILL)

    def _started(self, folder: Path) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self._program, str(FORKS)],
            cwd=folder,
            env=clean_environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
