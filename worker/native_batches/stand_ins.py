"""Something in place of the files and URLs of a request that was answered: its answer is read without them. Pure.

They may be gone by then, and fetching them again would be for nothing.
"""

from __future__ import annotations

import msgspec

from shared.chat import Image, Inline
from worker.links import links
from worker.mentions import mentions

_IMAGE = Inline("image/png", "iVBORw0KGgo=")
_DOCUMENT = Inline("application/pdf", "JVBERi0=")
"""What files of these types begin with."""
_encode = msgspec.json.Encoder().encode


def without_media(body: bytes, dialect: str) -> bytes:
    """`body`, a request in that dialect, naming nothing outside of it; what names nothing stays byte for byte."""
    fields, named = mentions(body, dialect)
    for mention in named:
        source = _IMAGE if mention.kind in {"image", "input_image"} else _DOCUMENT
        form = mention.form(source.media_type)
        head = f"data:{source.media_type};base64," if form == "data_url" else ""
        mention.put(_encode(head + source.data), form, source.media_type, "document.pdf")
    if named:
        body = _encode(fields)
    fields, given = links(body, dialect)
    for link in given:
        link.put(_IMAGE if isinstance(link.part, Image) else _DOCUMENT)
    return _encode(fields) if given else body
