"""The SDK generations: which interpreter runs a script, and where its `import` finds which release.

Newest Python SDKs come with the development environment. Old Python and all JavaScript SDKs are installed once into
`.cache/contract` and again whenever the files that pin them change.
"""

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.contract.interpreter import Interpreter
from tests.contract.process import clean_environment

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".cache" / "contract"
GENERATIONS = ("python-newest", "python-old", "javascript-newest", "javascript-old")

INSTALLS_WITHIN_S = 300
RUNS_WITHIN_S = 180
_PINS = HERE / "python_old.txt"
_PACKAGES = ("package.json", "package-lock.json")
_OLD = {"@anthropic-ai/sdk": "anthropic-old", "openai": "openai-old"}


class NotInstallable(Exception):
    """An SDK environment cannot be made on this machine; the message says why."""


@dataclass(frozen=True)
class Sdk:
    """One generation, ready to run scripts. `folder` is where a script must lie for its imports to be found.

    `interpreter` runs them where there is one, else each starts `program`.
    """

    language: str
    program: str
    folder: Path
    suffix: str
    interpreter: Interpreter | None = None

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        """Runs a script in an environment without any key or base URL."""
        self.folder.mkdir(parents=True, exist_ok=True)
        file = self.folder / f"{uuid.uuid4().hex}{self.suffix}"
        file.write_text(script)
        try:
            if self.interpreter:
                return self.interpreter.run(file, RUNS_WITHIN_S)
            return subprocess.run(
                [self.program, str(file)],
                cwd=self.folder,
                env=clean_environment(),
                capture_output=True,
                text=True,
                timeout=RUNS_WITHIN_S,
                check=False,
            )
        finally:
            file.unlink()

    def close(self) -> None:
        if self.interpreter:
            self.interpreter.close()


def prepare(generation: str) -> Sdk:
    """Installs what the generation needs. Raises NotInstallable."""
    language, _, release = generation.partition("-")
    if language == "javascript":
        return Sdk(language, _program("node"), _javascript() / release, ".mjs")
    program = sys.executable if release == "newest" else str(_python_old() / "bin" / "python")
    interpreter = Interpreter(program) if hasattr(os, "fork") else None
    return Sdk(language, program, CACHE / "scripts", ".py", interpreter)


def _python_old() -> Path:
    folder = CACHE / "py-old"

    def install() -> None:
        if uv := shutil.which("uv"):
            _install([uv, "venv", "--quiet", "--python", sys.executable, str(folder)])
            _install([uv, "pip", "install", "--quiet", "--python", str(folder / "bin/python"), "-r", str(_PINS)])
        else:
            _install([sys.executable, "-m", "venv", str(folder)])
            _install([str(folder / "bin/python"), "-m", "pip", "install", "--quiet", "-r", str(_PINS)])

    return _once(folder, [_PINS], install)


def _javascript() -> Path:
    folder = CACHE / "js"
    npm = _program("npm")
    _program("node")

    def install() -> None:
        for name in _PACKAGES:
            shutil.copy(HERE / "js" / name, folder)
        _install([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder)
        (folder / "newest").mkdir()
        for package, alias in _OLD.items():
            link = folder / "old" / "node_modules" / package
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(folder / "node_modules" / alias)

    return _once(folder, [HERE / "js" / name for name in _PACKAGES], install)


def _once(folder: Path, pins: list[Path], install: Callable[[], None]) -> Path:
    """The folder, installed anew unless it was finished with the same pins. Raises NotInstallable."""
    wanted = hashlib.sha256(b"".join(pin.read_bytes() for pin in pins)).hexdigest()
    stamp = folder / "installed"
    with _alone(folder.name):
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            install()
            stamp.write_text(wanted)
    return folder


@contextlib.contextmanager
def _alone(name: str) -> Iterator[None]:
    """Two test runs must not install into one folder at the same time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _install(command: list[str], folder: Path | None = None) -> None:
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, timeout=INSTALLS_WITHIN_S, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise NotInstallable(f"{command[0]} did not finish within {INSTALLS_WITHIN_S} s") from error
    if done.returncode:
        why = next(iter(done.stderr.splitlines()), f"exit status {done.returncode}")
        raise NotInstallable(f"{Path(command[0]).name} cannot install the SDKs (no network?): {why}")


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise NotInstallable(f"there is no {name} on this machine")
    return found
