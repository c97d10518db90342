"""The image's Dockerfile, carried out as far as it can be without an engine and without its base image."""

import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.deploy.sandbox import Mount, command
from tests.deploy.tools import CACHE, ROOT

DOCKERFILE = ROOT / "deploy" / "Dockerfile"
BUILDS_WITHIN_S = 600
_OF_THE_NETWORK = re.compile(r"(?i)(pip|uv_(index|default_index|extra)|ssl_cert|requests_ca|.*_proxy).*")


@dataclass
class Stage:
    """One `FROM` of the Dockerfile and what follows."""

    base: str
    name: str
    environment: dict[str, str] = field(default_factory=dict)
    steps: list[tuple[str, str]] = field(default_factory=list)

    def said(self, instruction: str) -> str:
        """What the last such instruction says."""
        return [text for word, text in self.steps if word == instruction][-1]


def stages() -> list[Stage]:
    found: list[Stage] = []
    for word, text in _instructions():
        if word == "FROM":
            base, _, name = text.partition(" AS ")
            found.append(Stage(base, name))
        elif word == "ENV":
            found[-1].environment |= dict(pair.split("=", 1) for pair in shlex.split(text))
        elif found:
            found[-1].steps.append((word, text))
    return found


def _instructions() -> Iterator[tuple[str, str]]:
    lines = [line for line in DOCKERFILE.read_text().splitlines() if line.strip() and not line.startswith("#")]
    for instruction in re.split(r"(?<!\\)\n", "\n".join(lines)):
        word, _, text = instruction.replace("\\\n", "").partition(" ")
        yield word, text.strip()


@dataclass(frozen=True)
class Image:
    """What the build leaves: the virtual environment, and how the image runs."""

    venv: Path
    environment: Mapping[str, str]
    entrypoint: list[str]
    arguments: list[str]
    user: int
    folder: str
    healthcheck: str

    def command(
        self,
        root: Path,
        arguments: Sequence[str],
        *,
        mounts: Sequence[Mount] = (),
        environment: Mapping[str, str] | None = None,
        user: int | None = None,
    ) -> list[str]:
        """What to run to have a program of the image run, on a read-only root with an empty /tmp."""
        return command(
            root,
            [Mount("/opt/hermod", self.venv), *mounts],
            arguments,
            user=self.user if user is None else user,
            environment={**self.environment, **(environment or {})},
            folder="/",
        )


def build(folder: Path) -> Image:
    """Carries out the stage `build`, step by step, and reads off the last one how the image runs."""
    building, final = stages()
    context, venv, tool, tmp = (folder / name for name in ("src", "hermod", "uv", "tmp"))
    cache = CACHE / "deploy" / "uv"
    for place in (context, venv, tool, tmp, cache, folder / "root"):
        place.mkdir(parents=True, exist_ok=True)
    mounts = [
        Mount("/src", context, writable=True),
        Mount("/opt/hermod", venv, writable=True),
        Mount("/opt/uv", tool, writable=True),
        Mount("/tmp", tmp, writable=True),  # noqa: S108 - the build's own
        Mount("/root/.cache/uv", cache, writable=True),
    ]
    network = {name: value for name, value in os.environ.items() if _OF_THE_NETWORK.fullmatch(name)}
    environment = {"HOME": "/root", **network, **building.environment}
    for word, text in building.steps:
        if word == "COPY":
            _copy(text, context)
        elif word == "RUN":
            run = command(
                folder / "root", mounts, ["/bin/sh", "-c", text], user=0, environment=environment, folder="/src"
            )
            done = subprocess.run(run, capture_output=True, text=True, timeout=BUILDS_WITHIN_S, check=False)
            assert done.returncode == 0, f"RUN {text}\n{done.stdout[-2000:]}{done.stderr[-2000:]}"
    return Image(
        venv=venv,
        environment=final.environment,
        entrypoint=json.loads(final.said("ENTRYPOINT")),
        arguments=json.loads(final.said("CMD")),
        user=int(final.said("USER").partition(":")[0]),
        folder=final.said("WORKDIR"),
        healthcheck=final.said("HEALTHCHECK").partition(" CMD ")[2],
    )


def _copy(text: str, context: Path) -> None:
    *sources, target = text.split()
    for source in sources:
        if source == ".":
            for name in sent():
                _copy_one(ROOT / name, context / name)
        else:
            _copy_one(
                ROOT / source,
                context / target / source if target.endswith("/") or len(sources) > 1 else context / target,
            )


def _copy_one(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, dirs_exist_ok=True, ignore=_ignored)
    else:
        shutil.copy(source, target)


def sent() -> list[str]:
    """What .dockerignore lets through at the top: it denies all, then names what is sent."""
    return [line[1:] for line in _patterns() if line.startswith("!")]


def _ignored(folder: str, names: list[str]) -> set[str]:
    left_out = [line for line in _patterns() if not line.startswith("!") and line != "*"]
    paths = {name: str((Path(folder) / name).relative_to(ROOT)) for name in names}
    return {
        name
        for name, path in paths.items()
        if any(path == line or fnmatch.fnmatch(f"/{path}", line.replace("**", "*")) for line in left_out)
    }


def _patterns() -> list[str]:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]
