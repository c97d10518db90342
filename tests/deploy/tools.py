"""What the tests need besides Python, installed once below `.cache`: kustomize, the compose specification, schemas."""

import fcntl
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
CACHE = ROOT / ".cache"
KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.2"
COMPOSE_SPEC = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"
SCHEMAS = Path(__file__).parent / "schemas"
INSTALLS_WITHIN_S = 600


def kustomize() -> Path:
    return _from_go(KUSTOMIZE, CACHE / "bin", "kustomize")


def compose_spec() -> Path:
    """The specification's own loader: prints the composition as it understands it."""
    return _from_go(COMPOSE_SPEC, CACHE / "bin" / "compose-spec", "cmd")


def schemas() -> Path:
    """The folder with the schemas' npm packages."""
    folder, wanted = CACHE / "manifest-schemas", (SCHEMAS / "package-lock.json").read_text()
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("there is no npm on this machine to install the manifests' schemas")
    with _alone(folder):
        stamp = folder / "installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            for name in ("package.json", "package-lock.json"):
                shutil.copy(SCHEMAS / name, folder)
            _install([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"], folder, {})
            stamp.write_text(wanted)
    return folder


def _from_go(module: str, folder: Path, name: str) -> Path:
    go = shutil.which("go")
    stamp = folder / f"{name}.version"
    if stamp.exists() and stamp.read_text() == module:
        return folder / name
    if go is None:
        pytest.skip(f"there is no Go on this machine to build {module}")
    with _alone(folder):
        _install([go, "install", module], folder, {"GOBIN": str(folder)})
        stamp.write_text(module)
    return folder / name


def _alone(folder: Path):
    """Two test runs must not install into one folder at the same time."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = (folder / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def _install(command: list[str], folder: Path, environ: dict[str, str]) -> None:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=INSTALLS_WITHIN_S,
        check=False,
    )
    if done.returncode:
        pytest.skip(f"{' '.join(command[:3])} does not work here (no network?): {done.stderr.strip()[-300:]}")
