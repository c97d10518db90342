"""The other gateways, each in a folder of its own below `.cache/bench`, so that the project's environment stays clean.

Every run asks for the newest release; without a network it goes on with what is installed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

CACHE = Path(__file__).parents[3] / ".cache" / "bench"
WITHIN_S = 600.0
PORTKEY_NEEDS = {"private": True, "overrides": {"@hono/node-server": "1.13.8"}}
"""With the server npm would choose every stream of Portkey 1.15 is a 500 (its issue 1389): tried, 1.13.8 streams and
1.14.2 does not."""


class NotInstalled(Exception):
    """It is not here and cannot be had; the message says why."""


class Installed(NamedTuple):
    """How to run it: program and first arguments."""

    command: list[str]
    version: str


def litellm() -> Installed:
    """LiteLLM's proxy, from PyPI. Raises NotInstalled."""
    folder = CACHE / "litellm"
    binary, python = folder / "bin" / "litellm", folder / "bin" / "python"
    uv = shutil.which("uv")
    if not python.exists():
        _run([uv, "venv", "--quiet", str(folder)] if uv else [sys.executable, "-m", "venv", str(folder)])
    pip = [uv, "pip", "install", "--python", str(python)] if uv else [str(python), "-m", "pip", "install"]
    refused = _run([*pip, "--quiet", "--upgrade", "litellm[proxy]"])
    if not binary.exists():
        raise NotInstalled(f"litellm[proxy] cannot be installed: {refused}")
    found = next(folder.glob("lib/python*/site-packages/litellm-*.dist-info"))
    return Installed([str(binary)], found.name.removeprefix("litellm-").removesuffix(".dist-info"))


def portkey() -> Installed:
    """Portkey's gateway, from npm. Raises NotInstalled."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if not (node and npm):
        raise NotInstalled("node and npm are not installed")
    folder = CACHE / "portkey"
    folder.mkdir(parents=True, exist_ok=True)
    project = folder / "package.json"
    if not project.exists() or json.loads(project.read_text()).get("overrides") != PORTKEY_NEEDS["overrides"]:
        shutil.rmtree(folder / "node_modules", ignore_errors=True)  # npm leaves what it has resolved before
        (folder / "package-lock.json").unlink(missing_ok=True)
        project.write_text(json.dumps(PORTKEY_NEEDS))
    quiet = ["--no-audit", "--no-fund", "--loglevel=error"]
    refused = _run([npm, "install", "--prefix", str(folder), *quiet, "@portkey-ai/gateway@latest"])
    package = folder / "node_modules" / "@portkey-ai" / "gateway"
    if not (package / "package.json").exists():
        raise NotInstalled(f"@portkey-ai/gateway cannot be installed: {refused}")
    version = json.loads((package / "package.json").read_text())["version"]
    return Installed([node, str(package / "build" / "start-server.js")], version)


def _run(command: list[str]) -> str:
    """The last line of what a failed command said, empty after success."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)
    except subprocess.TimeoutExpired:
        return f"{command[0]} took longer than {WITHIN_S:g} s"
    said = (done.stderr.strip() or done.stdout.strip() or f"status {done.returncode}").splitlines()
    return said[-1] if done.returncode else ""
