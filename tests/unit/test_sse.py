import pytest

from shared.sse import COMMENT, Frame, FrameReader, note, noted, write

STREAM = b'event: a\r\ndata: {"x":1}\r\n\r\n: ping\n\ndata: one\ndata: two\n\ndata:bare\r\r'


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_frames_do_not_depend_on_how_the_bytes_were_cut(size):
    reader, frames = FrameReader(), []
    for start in range(0, len(STREAM), size):
        frames += reader.feed(STREAM[start : start + size])
    frames += reader.close()
    assert [(frame.event, frame.data) for frame in frames] == [
        ("a", b'{"x":1}'),
        ("", b""),
        ("", b"one\ntwo"),
        ("", b"bare"),
    ]


def test_a_stream_without_its_last_blank_line_still_gives_its_last_frame():
    reader = FrameReader()
    assert reader.feed(b"data: 1") == []
    assert reader.close() == [Frame(event="", data=b"1", raw=b"data: 1\n\n")]


def test_a_frame_that_never_ends_is_refused():
    reader = FrameReader(max_bytes=10)
    with pytest.raises(ValueError, match="more than 10 bytes"):
        reader.feed(b"data: 12345678")


def test_what_is_written_is_read_back():
    frames = FrameReader().feed(write(b"{}", "done") + COMMENT + write(b"[]"))
    assert [(frame.event, frame.data) for frame in frames] == [("done", b"{}"), ("", b""), ("", b"[]")]


def test_line_ends_between_the_tokens_of_written_json_do_not_end_the_line():
    assert write(b'{\n "a":\r\n "x\\ny"}', "e") == b'event: e\ndata: {  "a":   "x\\ny"}\n\n'


def test_what_is_noted_is_read_off_the_first_piece_and_is_a_comment_to_everybody_else():
    headers = {"x-bf-provider": "openai", "x-bf-model": "gpt-4o"}
    piece = note(headers) + write(b"{}", "a")
    assert noted(piece) == (headers, write(b"{}", "a"))
    assert [frame.data for frame in FrameReader().feed(piece)] == [b"", b"{}"]
    assert noted(write(b"{}")) == ({}, write(b"{}"))
    assert noted(b": served with a smile\n\n") == ({}, b": served with a smile\n\n")
