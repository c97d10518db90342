"""A real S3 server for the run: the one that HERMOD_TEST_S3 names, versitygw, or moto's."""

import fcntl
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

from tests.ports import free_port

TOOLS = Path(__file__).parents[2] / ".cache" / "bin"
VERSITYGW = "github.com/versity/versitygw/cmd/versitygw@v1.8.0"
WITHOUT_SYMBOLS = ("-gcflags=all=-dwarf=false", "-ldflags=-s -w")
QUICKLY = {"CGO_ENABLED": "0", "GOGC": "400"}
"""With these the build takes two thirds of its processor time; the program is the same but for a debugger's needs."""
BUILD_S = 600
START_S = 30
ACCESS_KEY = "conformance-access"
SECRET_KEY = "conformance-secret"  # of a server that lives as long as the run


class Server(NamedTuple):
    """Where it is and what it is; `process` is None when it is somebody else's."""

    name: str
    endpoint: str
    access_key: str
    secret_key: str
    secure: bool
    process: subprocess.Popen | None = None

    def stop(self):
        if self.process is not None:
            self.process.terminate()
            self.process.wait(60)


def start(folder, environ=os.environ, *, host="127.0.0.1", run=()):
    """The first that can be had, else None. `run`: how a command is run where `host` is an address, if not here."""
    if named := environ.get("HERMOD_TEST_S3"):
        return _named(named)
    if binary := _versitygw():
        storage = ["posix", *_attributes(folder), folder / "data"]
        keys = ["--access", ACCESS_KEY, "--secret", SECRET_KEY]
        return _start(
            "versitygw", host, lambda port: [*run, binary, *keys, "--port", f"{host}:{port}", *storage], folder
        )
    return start_moto(folder, host=host, run=run)


def start_moto(folder, *, host="127.0.0.1", run=()):
    """Moto's, which has lifecycle rules; None when it is not installed."""
    moto = Path(sys.executable).with_name("moto_server")
    if not moto.exists():
        return None
    return _start("moto", host, lambda port: [*run, moto, "-H", host, "-p", str(port)], folder)


def _named(text):
    endpoint, access_key, secret_key, *rest = text.split(",")
    return Server("HERMOD_TEST_S3", endpoint, access_key, secret_key, secure=rest != ["insecure"])


def _versitygw():
    """The binary, built when Go is here; None without Go, or without a network to build from."""
    binary = TOOLS / "versitygw"
    TOOLS.mkdir(parents=True, exist_ok=True)
    with (TOOLS / "lock").open("w") as lock:  # a test run beside this one may be building it, and has it half written
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not binary.exists() and (go := shutil.which("go")):
            environ = {**os.environ, "GOBIN": str(TOOLS), **QUICKLY}
            command = [go, "install", *WITHOUT_SYMBOLS, VERSITYGW]
            subprocess.run(command, env=environ, capture_output=True, timeout=BUILD_S, check=False)
    return binary if binary.exists() else None


def _attributes(folder):
    """Where versitygw keeps an object's metadata: a folder of its own on a file system without extended attributes."""
    (folder / "data").mkdir()
    try:
        os.setxattr(folder / "data", "user.hermod", b"")
    except (OSError, AttributeError):  # no such file system, no such operating system
        (folder / "attributes").mkdir()
        return ["--sidecar", folder / "attributes"]
    return []


def _start(name, host, command, folder):
    port = free_port()
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command(port), stdout=log, stderr=log)
    server = Server(name, f"{host}:{port}", ACCESS_KEY, SECRET_KEY, secure=False, process=process)
    deadline = time.monotonic() + START_S
    while True:
        try:
            socket.create_connection((host, port), timeout=1).close()
        except OSError:
            if process.poll() is not None or time.monotonic() > deadline:
                server.stop()
                raise RuntimeError(f"{name} did not start:\n{(folder / 'log').read_text()}") from None
            time.sleep(0.05)
        else:
            return server


if __name__ == "__main__":  # before the tests, beside something else
    _versitygw()
