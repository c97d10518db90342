"""What the project promises of its own code and of what it stands on."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("api", "worker", "shared", "deploy")
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
LOADERS = {"eval", "exec", "compile", "__import__", "import_module", "entry_points", "run_path", "run_module"}
ALLOWED_LOADS = {"deploy/cli.py"}
"""Loads one of its own commands, all of them named there."""
UNSAFE = {"pickle", "shelve", "marshal", "dill", "cloudpickle", "jsonpickle", "code", "pdb", "telnetlib"}
SHELLS = {"os.system", "os.popen", "os.execv", "os.execve", "os.spawnv"}


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield (node.module or "").partition(".")[0]


@pytest.mark.parametrize("path", SOURCES, ids=[str(path.relative_to(ROOT)) for path in SOURCES])
def test_no_code_is_loaded_by_a_name_that_is_data_and_nothing_is_unpickled(path: Path):
    tree = ast.parse(path.read_text())
    assert not UNSAFE & set(imported(tree))
    found = {name for name in calls(tree) if name.rpartition(".")[2] in LOADERS and not name.startswith("re.")}
    assert not found or str(path.relative_to(ROOT)) in ALLOWED_LOADS
    assert not SHELLS & set(calls(tree))
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "shell"], (
        "no command goes through a shell"
    )


def test_only_the_command_line_starts_processes():
    starters = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        for name in [*calls(ast.parse(path.read_text()))]
        if re.search(r"subprocess|create_subprocess|Popen|\.fork$|^os\.exec", name)
    }
    assert all(path.startswith("deploy/") for path in starters), starters


def test_every_package_of_the_lock_file_has_a_hash_for_every_file():
    lock = tomllib.loads((ROOT / "uv.lock").read_text())
    files = 0
    for package in lock["package"]:
        source = package["source"]
        if "editable" in source or "virtual" in source:
            assert package["name"] == "hermod"
            continue
        assert source == {"registry": "https://pypi.org/simple"}, package["name"]
        found = [*package.get("wheels", []), *([package["sdist"]] if "sdist" in package else [])]
        assert found, package["name"]
        assert all(file["hash"].startswith("sha256:") and len(file["hash"]) == 71 for file in found), package["name"]
        files += len(found)
    print(f"{len(lock['package'])} packages, {files} files, each with its SHA-256")


def test_no_dependency_is_installed_from_anywhere_but_the_registry():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    required = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    assert not [line for line in required if "@" in line or "://" in line]
    assert "sources" not in project.get("tool", {}).get("uv", {})
