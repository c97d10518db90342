"""The table: a line for each figure, a column for each gateway, ours divided by theirs, and the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from tests.bench.server import _figure

OURS = "Hermod"
THEIRS = ("LiteLLM", "Portkey")
COLUMNS = ("direct", OURS, *THEIRS)


class Target(NamedTuple):
    """What is wanted of our figure; `met` raises KeyError when the gateway it looks at was left out."""

    text: str
    met: Callable[[Mapping[str, float]], bool]

    def verdict(self, figures: Mapping[str, float]) -> str:
        try:
            return f"{self.text}: {'met' if self.met(figures) else 'MISSED'}"
        except KeyError:
            return f"{self.text}: not measured"


TEN_LITELLMS = Target("at least 10x LiteLLM", lambda found: found[OURS] >= 10 * found["LiteLLM"])
THIRD_OF_LITELLM = Target("at most 1/3 of LiteLLM", lambda found: found[OURS] <= found["LiteLLM"] / 3)
NOT_BEHIND_PORTKEY = Target("not behind Portkey", lambda found: found[OURS] >= found["Portkey"])
TEN_THOUSAND = Target("at least 10,000", lambda found: found[OURS] >= 10_000)


class Line(NamedTuple):
    """One figure of every gateway that has it."""

    what: str
    figures: Mapping[str, float]
    target: Target | None = None


def print_table(lines: list[Line]) -> None:
    ratios = "".join(f"{f'/ {name}':>12}" for name in THEIRS)
    print(f"\n{'':54}{''.join(f'{name:>10}' for name in COLUMNS)}{ratios}   target of {OURS}")
    for line in lines:
        figures = "".join(f"{_cell(line.figures, name):>10}" for name in COLUMNS)
        target = f"   {line.target.verdict(line.figures)}" if line.target else ""
        print(f"{line.what:54}{figures}{''.join(f'{_ratio(line.figures, name):>12}' for name in THEIRS)}{target}")


def _cell(figures: Mapping[str, float], name: str) -> str:
    return _figure(figures[name]) if name in figures else "-"


def _ratio(figures: Mapping[str, float], name: str) -> str:
    return f"{figures[OURS] / figures[name]:.2f}x" if figures.get(name) else "-"
