"""Settings whose credentials are never shown, and the error that stops a start."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urlsplit, urlunsplit

import msgspec

MASK = "***"


class SettingsError(Exception):
    """A setting stops the start.

    Attributes:
        path: where it stands, as in `providers.openai.keys[0].weight`, or the file when it cannot be read.
        message: what was expected and what was found; never a credential.
    """

    def __init__(self, path: str, message: str) -> None:
        super().__init__(f"{path}: {message}")
        self.path = path
        self.message = message


def mask_url(url: str) -> str:
    """The URL with its user and password, if any, replaced by `***`."""
    parts = urlsplit(url)
    if "@" not in parts.netloc:
        return url
    return urlunsplit(parts._replace(netloc=f"{MASK}@{parts.netloc.rpartition('@')[2]}"))


class Masked(msgspec.Struct, frozen=True):
    """A struct with credentials; its repr shows `***` for the fields in `hidden` and masks URLs."""

    hidden: ClassVar[frozenset[str]] = frozenset()

    def __repr__(self) -> str:
        shown = (f"{name}={self._shown(name)}" for name in self.__struct_fields__)
        return f"{type(self).__name__}({', '.join(shown)})"

    def _shown(self, name: str) -> str:
        value = getattr(self, name)
        if name in self.hidden and value:
            return repr(MASK)
        return repr(mask_url(value)) if name.endswith("url") and isinstance(value, str) else repr(value)
