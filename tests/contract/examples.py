"""The documentation's own examples: every block of a language that we can run, fenced or, in Python, plain."""

import ast
import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

DOCUMENTED_HOST = "http://localhost:8080"
_FENCED = re.compile(
    r"^(?P<indent> *)```(?P<language>python|javascript)\b[^\n]*\n(?P<code>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)
_IMPORTS = re.compile(r"^(?:import time\n)?import anthropic$", re.MULTILINE)
_HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Example:
    """One block. `name` tells the document, the heading it stands under and its place in the document."""

    name: str
    language: str
    code: str

    @property
    def prints(self) -> bool:
        return "print(" in self.code or "console.log(" in self.code

    def aimed_at(self, url: str) -> str:
        """The code unchanged but for host and port."""
        assert DOCUMENTED_HOST in self.code
        return self.code.replace(DOCUMENTED_HOST, url)


def read(document: Path) -> list[Example]:
    """The document's examples in their order."""
    text = document.read_text()
    return [
        Example(
            f"{document.name[:3]}-{number}-{_heading(text[: block.start()])}",
            block["language"],
            textwrap.dedent(block["code"]),
        )
        for number, block in enumerate(_FENCED.finditer(text), 1)
    ]


def read_plain(document: Path) -> list[Example]:
    """The examples of a document without fences: Python from its first import to the last line that belongs to it."""
    text = document.read_text()
    starts = [found.start() for found in _IMPORTS.finditer(text)]
    return [
        Example(f"{document.name[:3]}-{number}-{_line_before(text[:start])}", "python", _code(text[start:end]))
        for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(text)], strict=True), 1)
    ]


def _code(text: str) -> str:
    """The longest beginning that is Python; what follows is prose."""
    lines = text.splitlines()
    while lines:
        code = "\n".join(lines)
        try:
            ast.parse(code)
        except SyntaxError:
            lines.pop()
        else:
            return code
    raise AssertionError(f"no Python here: {text[:80]!r}")


def _line_before(text: str) -> str:
    last = next(line for line in reversed(text.splitlines()) if line.strip())
    return re.sub(r"\W+", "-", last).strip("-").lower()[:40]


def count_fences(document: Path) -> int:
    """How many blocks there should be, counted without looking inside."""
    return len(re.findall(r"^ *```(?:python|javascript)", document.read_text(), re.MULTILINE))


def _heading(text: str) -> str:
    headings: list[str] = _HEADING.findall(text)
    return re.sub(r"\W+", "-", headings[-1]).strip("-").lower() if headings else "top"
