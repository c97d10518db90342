"""A model server that others wrote: llama.cpp's, with a tiny model made here."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.contract.process import clean_environment, eventually
from tests.contract.sdks import CACHE, NotInstallable, _once
from tests.contract.wire import ask
from tests.ports import free_port

HERE = Path(__file__).parent
FLAG = "HERMOD_REAL_SERVER"
BUILDS_WITHIN_S = 1200
"""It comes as source: five minutes on two cores."""
STARTS_WITHIN_S = 60.0
_PINS = HERE / "requirements.txt"
_MAKER = HERE / "make_model.py"


@contextlib.contextmanager
def serve(log: Path) -> Iterator[str]:
    """Its base URL. Raises NotInstallable."""
    folder = prepare()
    port = free_port()
    options = ["--n_ctx", "2048", "--chat_format", "chatml-function-calling", "--verbose", "false"]
    command = [folder / "bin/python", "-m", "llama_cpp.server", "--model", folder / "tiny.gguf", "--port", str(port)]
    with log.open("ab") as output:
        process = subprocess.Popen([*map(str, command), *options], stdout=output, stderr=output)
    url = f"http://127.0.0.1:{port}/v1"
    try:
        eventually(lambda: _answers(url), STARTS_WITHIN_S, "the model server does not answer")
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def prepare() -> Path:
    """Its environment, with the model in it, made once. Raises NotInstallable."""
    if not os.environ.get(FLAG):
        raise NotInstallable(f"set {FLAG}=1 to build llama.cpp's server (minutes) and ask it")
    uv = shutil.which("uv")
    if uv is None:
        raise NotInstallable("there is no uv on this machine")
    folder = CACHE / "real-server"

    def install() -> None:
        _run([uv, "venv", "--quiet", "--clear", "--python", sys.executable, str(folder)])
        _run([uv, "pip", "install", "--quiet", "--python", str(folder / "bin/python"), "-r", str(_PINS)])
        _run([str(folder / "bin/python"), str(_MAKER), str(folder / "tiny.gguf")])

    return _once(folder, [_PINS, _MAKER], install)


def _run(command: list[str]) -> None:
    environment = {**clean_environment(), "CMAKE_ARGS": "-DGGML_NATIVE=OFF"}
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, timeout=BUILDS_WITHIN_S, check=False
    )
    if done.returncode:
        raise NotInstallable(f"the model server cannot be built: {done.stderr.strip().splitlines()[-1]}")


def _answers(url: str) -> bool:
    try:
        return ask(url, "GET", "/models", timeout_s=5).status == 200
    except OSError:
        return False
