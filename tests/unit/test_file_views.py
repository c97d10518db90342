"""Files as both surfaces show them, ranges, names fit for a header, and what an upload's fields ask for."""

import json

import pytest

from api.file_terms import FileLimits
from api.file_views import (
    Page,
    anthropic_file,
    anthropic_list,
    anthropic_query,
    attachment,
    byte_range,
    openai_file,
    openai_list,
    openai_query,
)
from api.forms import Terms, clean_name, mime_type
from shared.errors import InvalidRequest, Unsatisfiable
from shared.files import File

UUID = "6f0dd3ba-2c7b-4f2e-9a0e-0d5f4f2a5a11"
HEX = UUID.replace("-", "")
DAY_S = 86_400
VENDORS = FileLimits()
FILE = File(
    id=UUID,
    owner="anonymous",
    filename="a.txt",
    mime_type="text/plain",
    size=7,
    purpose="vision",
    created_ms=1_794_500_000_007,
    expires_ms=1_794_503_600_007,
)


def test_one_file_has_a_name_and_times_of_each_surface():
    assert anthropic_file(FILE) == {
        "id": f"file_{HEX}",
        "type": "file",
        "filename": "a.txt",
        "mime_type": "text/plain",
        "size_bytes": 7,
        "size": 7,
        "created_at": "2026-11-12T16:13:20.007Z",
        "downloadable": True,
        "expires_at": "2026-11-12T17:13:20.007Z",
    }
    assert openai_file(FILE) == {
        "id": f"file-{HEX}",
        "object": "file",
        "bytes": 7,
        "created_at": 1_794_500_000,
        "expires_at": 1_794_503_600,
        "filename": "a.txt",
        "purpose": "vision",
        "status": "processed",
        "status_details": None,
    }


def test_a_page_has_what_both_generations_of_anthropics_sdk_go_on_with():
    page = json.loads(anthropic_list([FILE, FILE], Page(1)))
    assert {name: page[name] for name in page if name != "data"} == {
        "has_more": True,
        "first_id": f"file_{HEX}",
        "last_id": f"file_{HEX}",
        "next_page": f"page_{HEX}",
    }
    assert len(page["data"]) == 1
    assert json.loads(anthropic_list([FILE], Page(1)))["next_page"] is None
    assert json.loads(openai_list([], Page(1))) == {
        "object": "list",
        "data": [],
        "has_more": False,
        "first_id": None,
        "last_id": None,
    }


def test_queries_are_read_with_the_vendors_defaults():
    assert anthropic_query({}) == Page(20)
    assert anthropic_query({"limit": "1000", "page": f"page_{HEX}", "beta": "true"}) == Page(
        1000, UUID, named_by="page"
    )
    assert anthropic_query({"before_id": f"file_{HEX}"}) == Page(20, UUID, newest_first=False, named_by="before_id")
    assert openai_query({}) == Page(10_000, named_by="after")
    assert openai_query({"limit": "3", "after": f"file-{HEX}", "order": "asc", "purpose": "batch"}) == Page(
        3, UUID, newest_first=False, named_by="after", purpose="batch"
    )


@pytest.mark.parametrize(
    ("header", "found"),
    [
        (None, None),
        ("", None),
        ("bytes=0-0", (0, 1)),
        ("bytes=5-", (5, 5)),
        ("bytes=-3", (7, 3)),
        ("bytes=2-100", (2, 8)),
        ("bytes=5-4", None),
        ("bytes=99-4", None),
        ("bytes=1-2,3-4", None),
        (f"bytes=0-{'9' * 5000}", None),
        ("bytes=٣-٤", None),
    ],
)
def test_one_range_is_read_and_anything_else_is_the_whole(header, found):
    assert byte_range(header, 10) == found


@pytest.mark.parametrize("header", ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=999999999999999999-"])
def test_a_range_beyond_the_end_cannot_be_had(header):
    with pytest.raises(Unsatisfiable) as caught:
        byte_range(header, 10)
    assert (caught.value.status, caught.value.headers()) == (416, {"content-range": "bytes */10"})


@pytest.mark.parametrize(
    ("filename", "header"),
    [
        ("a b.txt", 'attachment; filename="a b.txt"'),
        ('a";\r\nx: y', "attachment; filename=\"a_;__x: y\"; filename*=UTF-8''a%22%3B%0D%0Ax%3A%20y"),
        ("ü.txt", "attachment; filename=\"_.txt\"; filename*=UTF-8''%C3%BC.txt"),
        ("a%41\\b", "attachment; filename=\"a_41_b\"; filename*=UTF-8''a%2541%5Cb"),
    ],
)
def test_a_name_cannot_break_out_of_its_header(filename, header):
    assert attachment(filename) == header
    assert header.isascii()


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("a.txt", "a.txt"),
        ("/etc/passwd", "passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\a\\b c.txt", "b c.txt"),
        ("a\x00\r\n\x7f\x85b\u2028.txt", "ab.txt"),
        ("gpj.\u202eexe", "gpj.exe"),
        ("Grüße 👩‍💻.md", "Grüße 👩‍💻.md"),
        (" ", "unnamed"),
        ("", "unnamed"),
        ("..", "unnamed"),
        ("folder/", "unnamed"),
        ("\x01", "unnamed"),
    ],
)
def test_of_a_name_the_last_component_is_kept_without_what_cannot_be_shown(given, kept):
    assert clean_name(given) == kept


@pytest.mark.parametrize(
    ("declared", "filename", "kept"),
    [
        ("application/pdf", "a.txt", "application/pdf"),
        ("application/vnd.oasis+xml", "a", "application/vnd.oasis+xml"),
        ("", "a.txt", "text/plain"),
        ("pdf", "a.pdf", "application/pdf"),
        ("text/plain\r\nx: y", "a", "application/octet-stream"),
        ("é/x", "a", "application/octet-stream"),
        ("", "a", "application/octet-stream"),
    ],
)
def test_a_type_is_the_declared_one_or_what_the_name_suggests(declared, filename, kept):
    assert mime_type(declared, filename) == kept


@pytest.mark.parametrize(
    ("read", "fields", "terms"),
    [
        (VENDORS.anthropic_terms, {}, Terms(500 << 20, "user_data")),
        (VENDORS.anthropic_terms, {"purpose": "batch"}, Terms(500 << 20, "batch")),
        (VENDORS.anthropic_terms, {"expires_in_seconds": "7776000"}, Terms(500 << 20, "user_data", 90 * DAY_S)),
        (VENDORS.openai_terms, {"purpose": "evals", "model": "ignored"}, Terms(512 << 20, "evals")),
        (VENDORS.openai_terms, {"purpose": "batch"}, Terms(200 << 20, "batch", 30 * DAY_S)),
        (
            VENDORS.openai_terms,
            {"purpose": "vision", "expires_after[seconds]": "3600"},
            Terms(512 << 20, "vision", 3600),
        ),
    ],
)
def test_fields_are_read_as_the_surface_means_them(read, fields, terms):
    assert read(fields, whole=True) == terms


@pytest.mark.parametrize(
    ("max_file_mb", "limits"),
    [
        (0, FileLimits(500 << 20, 512 << 20, 8 << 30, 200 << 20)),
        (7, FileLimits(7 << 20, 7 << 20, 7 << 20, 7 << 20)),
        (900, FileLimits(900 << 20, 900 << 20, 900 << 20, 200 << 20)),
    ],
)
def test_limits_are_the_vendors_or_the_operators(max_file_mb, limits):
    assert FileLimits.of(max_file_mb) == limits


def test_what_is_missing_may_still_come_until_the_form_has_ended():
    for fields in ({}, {"purpose": "batch", "expires_after[anchor]": "created_at"}):
        VENDORS.openai_terms(fields, whole=False)
        with pytest.raises(InvalidRequest, match="missing"):
            VENDORS.openai_terms(fields, whole=True)
    with pytest.raises(InvalidRequest, match="purpose"):
        VENDORS.openai_terms({"purpose": "x"}, whole=False)
