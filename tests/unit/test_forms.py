"""Whatever bytes arrive as a form, in whatever pieces: it is read byte for byte, or refused as the caller's mistake."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.forms import FRAMING_BYTES, Form, Terms
from shared.errors import CallerError, InvalidRequest, TooLarge
from tests.unit.fuzz.often import often

EDGE = "e7c1bd"
LIMIT = 100
PIECES = [
    f"--{EDGE}",
    f"--{EDGE}\r\n",
    f"--{EDGE}--",
    "\r\n",
    "\r\n\r\n",
    "\n",
    'Content-Disposition: form-data; name="file"; filename="a.txt"\r\n',
    'Content-Disposition: form-data; name="file"\r\n',
    'Content-Disposition: form-data; name="purpose"\r\n',
    "Content-Disposition: attachment\r\n",
    "Content-Disposition: form-data\r\n",
    "Content-Type: text/plain; charset=x\r\n",
    "Content-Length: 3\r\n",
    "x" * 60,
    "é\x00",
]
"""What a form is made of, put together wrongly."""
FORMS = st.lists(st.one_of(st.sampled_from(PIECES).map(str.encode), st.binary(max_size=8)), max_size=14).map(b"".join)


class Request:
    """As much of a request as a form is read from."""

    def __init__(self, chunks, content_type=f"multipart/form-data; boundary={EDGE}"):
        self.headers = {"content-type": content_type}
        self._chunks = chunks

    async def stream(self):
        for chunk in self._chunks:
            yield chunk


def terms(fields, *, whole):  # noqa: ARG001 - every form will do
    return Terms(LIMIT, fields.get("purpose", ""))


def read(request, terms=terms) -> tuple[bytes, Form]:
    form = Form(request, "file", terms, LIMIT)

    async def whole() -> bytes:
        return b"".join([piece async for piece in form.content()])

    return asyncio.run(whole()), form


def cut(body: bytes, step: int) -> list[bytes]:
    return [body[at : at + step] for at in range(0, len(body), step)]


@often(200)
@given(FORMS, st.integers(1, 50))
def test_any_bytes_are_a_form_or_a_mistake_of_the_callers(body, step):
    try:
        content, form = read(Request(cut(body, step)))
    except CallerError as error:
        assert isinstance(error, InvalidRequest | TooLarge)
        assert error.message
    else:
        assert len(content) <= LIMIT
        assert form.filename


@often(200)
@given(
    st.binary(max_size=LIMIT).filter(lambda content: EDGE.encode() not in content), st.integers(1, 40), st.booleans()
)
def test_content_is_read_byte_for_byte_however_it_is_cut(content, step, last):
    file = f'--{EDGE}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'.encode() + content + b"\r\n"
    field = f'--{EDGE}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'.encode()
    body = (field + file if last else file + field) + f"--{EDGE}--\r\n".encode()
    read_content, form = read(Request(cut(body, step)))
    assert (read_content, form.terms.purpose) == (content, "batch")


def test_a_field_that_follows_the_file_may_lower_its_limit():
    def less(fields, *, whole):  # noqa: ARG001 - every form will do
        return Terms(3 if "purpose" in fields else LIMIT)

    file = f'--{EDGE}\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nfour\r\n'
    field = f'--{EDGE}\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n'
    body = f"{file}{field}--{EDGE}--\r\n".encode()
    assert read(Request([body]))[0] == b"four"
    with pytest.raises(TooLarge):
        read(Request([body]), less)


def test_nothing_before_the_first_boundary_makes_a_body_endless():
    with pytest.raises(TooLarge):
        read(Request([b"-" * 65_536] * (FRAMING_BYTES // 65_536 + 1)))


@pytest.mark.parametrize("kind", ["", "text/plain", "multipart/form-data", "multipart/form-data; boundary=", "é; x=é"])
def test_another_content_type_is_named(kind):
    with pytest.raises(InvalidRequest) as caught:
        read(Request([b"x"], kind))
    assert caught.value.param == "content-type"
