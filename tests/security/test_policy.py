"""What the project promises of its own code and of what it stands on."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CONSOLE = ROOT / "api" / "console"
MAKERS = {"page", "html"}
"""Of pages: `api/console/render.py`."""
ROOMS = ("api", "worker", "shared", "deploy")
SOURCES = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
LOADERS = {"eval", "exec", "compile", "__import__", "import_module", "entry_points", "run_path", "run_module"}
ALLOWED_LOADS = {"deploy/cli.py"}
"""Loads one of its own commands, all of them named there."""
UNSAFE = {"pickle", "shelve", "marshal", "dill", "cloudpickle", "jsonpickle", "code", "pdb", "telnetlib", "yaml"}
POWERS = {
    *("importlib", "imp", "pkgutil", "runpy", "zipimport", "codeop", "builtins"),
    *("subprocess", "multiprocessing", "pty", "ctypes", "cffi", "webbrowser", "jinja2"),
}
"""Modules that load code by a name, start programs, or make code of text; whoever imports one is named below."""
ALLOWED_POWERS = {
    "api/console/render.py": {"jinja2"},  # templates of the package alone, see the test below
    "deploy/cli.py": {"importlib"},
    "deploy/processes.py": {"ctypes"},  # asks the kernel that children do not outlive it
    "deploy/redis_server.py": {"importlib"},  # looks where the wheel with the server is; loads nothing of it
}
STARTERS = re.compile(
    r"(os|posix)\.(system|popen|fork(pty)?|startfile)"
    r"|.*\.(create_subprocess_\w+|subprocess_(exec|shell)|ProcessPoolExecutor|Popen|exec[lv]p?e?|spawn[lv]p?e?|posix_spawnp?)"
)


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func)


def names(tree: ast.AST) -> Iterator[str]:
    """Of everything that is read from something or imported, as `os.system`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield f"{ast.unparse(node.value)}.{node.attr}"
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            assert not [alias for alias in node.names if alias.name == "os" and alias.asname], "os goes by its own name"


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
    assert POWERS & set(imported(tree)) == ALLOWED_POWERS.get(str(path.relative_to(ROOT)), set())
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.keyword) and node.arg == "shell"], (
        "no command goes through a shell"
    )


def test_only_the_keeper_of_the_children_starts_processes():
    starters = {
        str(path.relative_to(ROOT)): sorted(found)
        for path in SOURCES
        if (found := set(filter(STARTERS.fullmatch, names(ast.parse(path.read_text())))))
    }
    assert starters == {"deploy/processes.py": ["asyncio.create_subprocess_exec"]}


def test_pages_are_made_of_the_packages_own_templates_each_named_in_the_source():
    for path in SOURCES:
        tree = ast.parse(path.read_text())
        assert not [name for name in names(tree) if name.endswith((".from_string", ".Template"))], path
        if path.is_relative_to(CONSOLE) and path.name != "render.py":
            pages = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) in MAKERS]
            assert all(isinstance(node.args[1], ast.Constant) for node in pages), path


def test_every_way_to_start_or_load_something_would_be_found():
    """Else the tests above could not fail."""
    ways = ("os.system(x)", "from os import execvpe", "import os\nos.posix_spawn", "loop.subprocess_exec(x)")
    ways += ("from concurrent.futures import ProcessPoolExecutor", "asyncio.create_subprocess_shell(x)")
    assert all(any(map(STARTERS.fullmatch, names(ast.parse(way)))) for way in ways)
    loads = (
        "from importlib import import_module as f",
        "import pty",
        "from subprocess import run",
        "import pkgutil as p",
    )
    assert all(POWERS & set(imported(ast.parse(way))) for way in loads)


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
    optional = project["project"].get("optional-dependencies", {})
    groups = [project["project"]["dependencies"], project["build-system"]["requires"], *optional.values()]
    required = [line for group in (*groups, *project["dependency-groups"].values()) for line in group]
    assert not [line for line in required if "@" in line or "://" in line]
    elsewhere = {"sources", "index", "index-url", "extra-index-url", "find-links", "pip"}
    assert not elsewhere & project.get("tool", {}).get("uv", {}).keys()
    assert not list(ROOT.glob("uv.toml")), "what uv reads beside the project"
