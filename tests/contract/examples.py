"""The documentation's own examples: every fenced block of a language that we can run."""

import re
import textwrap
from dataclasses import dataclass
from pathlib import Path

DOCUMENTED_HOST = "http://localhost:8080"
_FENCED = re.compile(
    r"^(?P<indent> *)```(?P<language>python|javascript)\b[^\n]*\n(?P<code>.*?)^(?P=indent)```", re.MULTILINE | re.DOTALL
)
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


def count_fences(document: Path) -> int:
    """How many blocks there should be, counted without looking inside."""
    return len(re.findall(r"^ *```(?:python|javascript)", document.read_text(), re.MULTILINE))


def _heading(text: str) -> str:
    headings: list[str] = _HEADING.findall(text)
    return re.sub(r"\W+", "-", headings[-1]).strip("-").lower() if headings else "top"
