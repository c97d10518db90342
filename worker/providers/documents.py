"""Documents of text that come as bytes: every wire takes their text."""

from __future__ import annotations

import base64
import binascii

from shared.chat import Inline
from worker.providers.losses import Losses


def text_of(document: Inline, path: str, losses: Losses) -> str:
    """The text of a document at the canonical `path`.

    Raises:
        InvalidRequest: it is not base64 of UTF-8.
    """
    try:
        return base64.b64decode(document.data, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise losses.invalid(path, "The document is not base64 of UTF-8 text.") from error
