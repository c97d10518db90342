"""Where the bytes of images and files are, as all dialects of OpenAI's surface say it."""

from __future__ import annotations

from shared.chat import Inline, Url
from shared.dialects.openai_errors import invalid


def source(url: str, path: str) -> Inline | Url:
    """A data URL as inline bytes, anything else as a link.

    Raises:
        InvalidRequest: a data URL that is not base64.
    """
    if not url.startswith("data:"):
        return Url(url)
    head, comma, data = url.removeprefix("data:").partition(",")
    media_type, *parameters = head.split(";")
    if not comma or "base64" not in parameters:
        raise invalid(path, "a data URL must be base64")
    return Inline(media_type, data)


def file_source(data: str, path: str) -> Inline | Url:
    """What a file holds, given as `source` or as bare base64, which is then of a PDF.

    Raises:
        InvalidRequest: a data URL that is not base64.
    """
    if not data.startswith(("data:", "http:", "https:")):
        return Inline("application/pdf", data)
    return source(data, path)
