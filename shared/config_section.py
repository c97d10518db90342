"""Reads one JSON object of config.json, checking types and ranges and naming the path of what is wrong.

Bifrost's settings that Hermod does not have are ignored with a warning, so that a Bifrost file can be used as it
is; a name that is neither Bifrost's nor ours stops the start when it looks like a misspelling or stands in a
section of ours.
"""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from shared.masked import SettingsError

REFERENCE = re.compile(r"env\.([A-Za-z_][A-Za-z0-9_]*)")
"""A value that stands for an environment variable, in Bifrost's spelling."""

_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_DURATION = re.compile(rf"(?:{_AMOUNT.pattern})+")
_UNITS_MS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}

_MISSPELLING = 0.7  # difflib ratio; `redsi` for `redis` is 0.8
_LONGEST_ECHO = 40


class Section:
    """A JSON object that remembers which of its keys were read."""

    def __init__(self, value: Any, path: str, environ: Mapping[str, str]) -> None:
        if not isinstance(value, dict):
            found = describe(value, secret=isinstance(value, str))  # a key stands where its object should
            raise SettingsError(path or "config", f"expected an object, got {found}")
        self.path = path
        self._values = value
        self._environ = environ
        self._known: list[str] = []

    def __contains__(self, key: str) -> bool:
        return self._values.get(key) is not None

    def at(self, key: str) -> str:
        """The full path of `key`."""
        return f"{self.path}.{key}" if self.path else key

    def names(self) -> list[str]:
        """The keys as they stand in the file."""
        return list(self._values)

    def fail(self, key: str, message: str) -> SettingsError:
        """The error to raise for `key`."""
        return SettingsError(self.at(key), message)

    def text(self, key: str, *, secret: bool = False) -> str | None:
        """A string with its `env.NAME` resolved; None when absent. A secret is never echoed."""
        value = self._get(key)
        return None if value is None else self._resolved(value, self.at(key), secret=secret)

    def raw(self, key: str) -> Any:
        """The value as it stands in the file, for what may have one of several forms; None when absent."""
        return self._values.get(key)

    def texts(self, key: str, default: tuple[str, ...] = (), *, secret: bool = False) -> tuple[str, ...]:
        """An array of strings. A secret is never echoed."""
        if self._get(key) is None:
            return default
        items = self._items(key, secret=secret)
        return tuple(self._resolved(value, path, secret=secret) for path, value in items)

    def mapping(self, key: str, *, secret: bool = False) -> dict[str, str]:
        """An object of strings."""
        value = self._get(key)
        inner = Section({} if value is None else value, self.at(key), self._environ)
        return {name: inner.text(name, secret=secret) or "" for name in inner.names()}

    def flag(self, key: str, *, default: bool) -> bool:
        """True or false."""
        value = self._get(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            raise self.fail(key, f"expected true or false, got {describe(value)}")
        return value

    def integer(self, key: str, default: int, *, least: int = 0) -> int:
        """A whole number of at least `least`."""
        value = self._get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.fail(key, f"expected a whole number, got {describe(value)}")
        if value < least:
            raise self.fail(key, f"expected at least {least}, got {value}")
        return value

    def milliseconds(self, key: str, default: int) -> int:
        """A time: a number of milliseconds, or a string as `500ms`, `2s`, `1m30s`."""
        value = self._get(key)
        if not isinstance(value, str):
            return self.integer(key, default)
        if not _DURATION.fullmatch(value):
            raise self.fail(key, f'expected a time as in "500ms", "2s" or 500, got {describe(value)}')
        return round(sum(float(amount) * _UNITS_MS[unit] for amount, unit in _AMOUNT.findall(value)))

    def number(self, key: str, default: float, *, above: float | None = 0) -> float:
        """A number greater than `above`, or at least 0 when `above` is None."""
        value = self._get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
            raise self.fail(key, f"expected a number, got {describe(value)}")
        if value < 0 or (above is not None and value <= above):
            raise self.fail(key, f"expected {'at least 0' if above is None else f'more than {above}'}, got {value}")
        return float(value)

    def url(self, key: str, schemes: tuple[str, ...] = ("http", "https")) -> str | None:
        """A URL without its trailing slash; None when absent. It may hold a password, so it is never echoed."""
        value = self.text(key, secret=True)
        if value is None:
            return None
        try:
            parts = urlsplit(value)
            complete = parts.scheme in schemes and bool(parts.netloc or parts.scheme == "unix") and (parts.port or True)
        except ValueError:
            complete = False
        if not complete:
            raise self.fail(key, f"expected a URL that begins with {' or '.join(f'{name}://' for name in schemes)}")
        return value.rstrip("/")

    def section(self, key: str) -> Section:
        """The object at `key`; an empty one when absent."""
        value = self._get(key)
        return Section({} if value is None else value, self.at(key), self._environ)

    def sections(self, key: str) -> list[Section]:
        """The array of objects at `key`; none when absent."""
        if self._get(key) is None:
            return []
        return [Section(value, path, self._environ) for path, value in self._items(key, secret=True)]

    def ignore(self, *keys: str) -> None:
        """These keys are known and deliberately not read."""
        self._known.extend(keys)

    def finish(self, bifrost: frozenset[str] | None = None) -> list[str]:
        """Warnings about the keys nobody read. `bifrost` lists what Bifrost knows here; None: the section is ours.

        Raises:
            SettingsError: for a misspelt key, or any unknown key in a section of ours.
        """
        warnings = []
        for key in self._values:
            if key in self._known:
                continue
            if bifrost is not None and key in bifrost:
                warnings.append(f"{self.at(key)}: Hermod has no such setting of Bifrost's; ignored")
                continue
            nearest = difflib.get_close_matches(key, self._known, n=1, cutoff=_MISSPELLING)
            if nearest:
                raise self.fail(key, f"unknown setting; did you mean {nearest[0]}?")
            if bifrost is None:
                raise self.fail(key, f"unknown setting; there are: {', '.join(sorted(self._known))}")
            warnings.append(f"{self.at(key)}: unknown setting; ignored")
        return warnings

    def _get(self, key: str) -> Any:
        self._known.append(key)
        return self._values.get(key)

    def _items(self, key: str, *, secret: bool = False) -> list[tuple[str, Any]]:
        value = self._get(key)
        if not isinstance(value, list):
            raise self.fail(key, f"expected an array, got {describe(value, secret=secret)}")
        return [(f"{self.at(key)}[{index}]", item) for index, item in enumerate(value)]

    def _resolved(self, value: Any, path: str, *, secret: bool = False) -> str:
        if not isinstance(value, str):
            raise SettingsError(path, f"expected a string, got {describe(value, secret=secret)}")
        reference = REFERENCE.fullmatch(value)
        if reference is None:
            return value
        found = self._environ.get(reference[1])
        if not found:
            raise SettingsError(path, f"environment variable {reference[1]} is not set")
        return found


def describe(value: Any, *, secret: bool = False) -> str:
    """What was found instead, for a person: scalars as JSON, cut off; only its kind when it may be a credential."""
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "an array"
    if secret:
        return "something else"
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= _LONGEST_ECHO else f"{shown[:_LONGEST_ECHO]}…"
