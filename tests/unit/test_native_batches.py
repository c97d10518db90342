"""What is written to providers' batch APIs, and what is read of their answers."""

import json

import msgspec
import pytest

from shared.batches import NATIVE_PROVIDERS
from shared.provider_settings import NetworkSettings, ProviderKey, ProviderSettings
from shared.settings import Settings
from worker.native_batches.anthropic import ANTHROPIC
from worker.native_batches.gemini import GEMINI
from worker.native_batches.offers import offers
from worker.native_batches.openai import OPENAI
from worker.native_batches.stand_ins import without_media
from worker.native_batches.wires import Ask
from worker.providers.catalog import ROWS
from worker.routing import Router

MARK = "0123456789abcdef0123456789abcdef"


# --- Anthropic --------------------------------------------------------------------------------------------


def message_batch(**fields):
    counts = {"processing": 0, "succeeded": 2, "errored": 1, "canceled": 3, "expired": 4}
    usual = {"id": "msgbatch_1", "processing_status": "ended", "created_at": "2026-01-02T03:04:05Z"}
    return {"type": "message_batch", "request_counts": counts, **usual, **fields}


def test_messages_are_created_in_one_body_under_ids_of_ours():
    lines = [ANTHROPIC.line(f"{MARK}-{index}", "/v1/messages", b'{"model":"m"}') for index in range(2)]
    assert ANTHROPIC.upload(lines, MARK) is None
    ask = ANTHROPIC.create(lines, "/v1/messages", MARK, "")
    assert (ask.method, ask.path) == ("POST", "/v1/messages/batches")
    sent = json.loads(ask.body)["requests"]
    assert sent == [{"custom_id": f"{MARK}-{index}", "params": {"model": "m"}} for index in range(2)]
    assert max(len(each["custom_id"]) for each in sent) <= 64


def test_a_message_batch_counts_every_request_and_has_results_once_it_has_ended():
    seen = ANTHROPIC.seen(json.dumps(message_batch()).encode())
    assert (seen.ended, seen.total, seen.created_s, seen.mark) == (True, 10, 1767323045.0, None)
    assert seen.results == (Ask("GET", "/v1/messages/batches/msgbatch_1/results"),)
    for status in ("in_progress", "canceling"):
        running = ANTHROPIC.seen(json.dumps(message_batch(processing_status=status)).encode())
        assert (running.ended, running.results) == (False, ())


def test_a_list_of_message_batches_says_where_its_next_page_begins():
    page = {"data": [message_batch(), message_batch(id="msgbatch_0")], "has_more": True}
    batches, after = ANTHROPIC.listed(json.dumps(page).encode())
    assert ([batch.id for batch in batches], after) == (["msgbatch_1", "msgbatch_0"], "msgbatch_0")
    assert ANTHROPIC.newest(after).path == "/v1/messages/batches?limit=1000&after_id=msgbatch_0"
    assert ANTHROPIC.listed(json.dumps({**page, "has_more": False}).encode())[1] == ""
    assert ANTHROPIC.listed(b'{"data": [], "has_more": false}') == ([], "")


def errored(kind):
    return {"type": "error", "error": {"type": kind, "message": "why"}, "request_id": "req_1"}


RESULTS = {
    "succeeded": ({"type": "succeeded", "message": {"id": "msg"}}, 200, {"id": "msg"}),
    "rejected": ({"type": "errored", "error": errored("invalid_request_error")}, 400, errored("invalid_request_error")),
    "overloaded": ({"type": "errored", "error": errored("overloaded_error")}, 529, errored("overloaded_error")),
    "of a new kind": ({"type": "errored", "error": errored("new_error")}, 500, errored("new_error")),
    "canceled": ({"type": "canceled"}, 0, None),
    "expired": ({"type": "expired"}, 0, None),
}


@pytest.mark.parametrize(("result", "status", "body"), RESULTS.values(), ids=RESULTS.keys())
def test_a_result_of_a_message_is_read_as_a_plain_answer(result, status, body):
    line = ANTHROPIC.read(json.dumps({"custom_id": "c", "result": result}).encode())
    assert (line.custom_id, line.status) == ("c", status)
    assert (json.loads(line.body) if line.body else None) == body


# --- OpenAI -----------------------------------------------------------------------------------------------


def batch(**fields):
    usual = {"id": "batch_1", "status": "completed", "created_at": 1767323045, "request_counts": {"total": 10}}
    return json.dumps({"object": "batch", **usual, **fields}).encode()


def test_requests_are_uploaded_as_lines_and_the_batch_carries_our_mark():
    lines = [OPENAI.line(f"{MARK}-{index}", "/chat/completions", b'{\r\n"model":"m"}') for index in range(2)]
    upload = OPENAI.upload(lines, MARK)
    assert (upload.path, upload.content_type) == ("/files", f"multipart/form-data; boundary={MARK}")
    file = upload.body.partition(b"application/jsonl\r\n\r\n")[2].removesuffix(b"\r\n--" + MARK.encode() + b"--\r\n")
    asked = [json.loads(line) for line in file.splitlines()]
    usual = {"method": "POST", "url": "/v1/chat/completions", "body": {"model": "m"}}
    assert asked == [{"custom_id": f"{MARK}-{index}", **usual} for index in range(2)]
    assert OPENAI.uploaded(b'{"id": "file-1"}', MARK) == "file-1"
    create = json.loads(OPENAI.create(lines, "/chat/completions", MARK, "file-1").body)
    assert (create["input_file_id"], create["endpoint"]) == ("file-1", "/v1/chat/completions")
    assert create["metadata"] == {"hermod": MARK}


def test_a_batch_has_ended_in_its_final_states_only():
    running = ("validating", "in_progress", "finalizing", "cancelling")
    assert not any(OPENAI.seen(batch(status=status)).ended for status in running)
    assert all(OPENAI.seen(batch(status=status)).ended for status in ("completed", "failed", "expired", "cancelled"))


def test_the_results_are_the_output_and_the_error_file_that_exist():
    assert OPENAI.seen(batch()).results == ()
    seen = OPENAI.seen(batch(output_file_id="file-o", error_file_id="file-e", metadata={"hermod": MARK}))
    assert [result.path for result in seen.results] == ["/files/file-o/content", "/files/file-e/content"]
    assert seen.mark == MARK
    assert OPENAI.seen(batch(metadata=None)).mark == ""


def test_a_batch_whose_file_was_refused_says_why_without_a_credential():
    errors = {"object": "list", "data": [{"code": "model_mismatch", "message": "bad sk-abcdefghijklmnop1234567890"}]}
    failure = OPENAI.seen(batch(status="failed", errors=errors)).failure
    assert failure.startswith("bad ")
    assert "abcdefghijklmnop" not in failure
    assert OPENAI.seen(batch(status="failed", errors=None)).failure
    assert OPENAI.seen(batch(status="completed")).failure == ""


LINES = {
    "answered": ({"response": {"status_code": 200, "body": {"id": "x"}}, "error": None}, 200),
    "refused": ({"response": {"status_code": 429, "body": {"error": {"message": "slow"}}}, "error": None}, 429),
    "cancelled": ({"response": None, "error": {"code": "batch_cancelled", "message": "why"}}, 0),
    "expired": ({"response": None, "error": {"code": "batch_expired", "message": "why"}}, 0),
    "failed": ({"response": None, "error": {"code": "request_timeout", "message": "why"}}, 500),
    "empty": ({"response": None, "error": None}, 500),
}


@pytest.mark.parametrize(("line", "status"), LINES.values(), ids=LINES.keys())
def test_a_line_is_read_as_a_plain_answer(line, status):
    assert OPENAI.read(json.dumps({"id": "batch_req_1", "custom_id": "c", **line}).encode()).status == status


def test_a_failed_line_is_read_as_an_error_that_says_what_the_provider_said():
    said = {"custom_id": "c", "response": None, "error": {"code": "request_timeout", "message": "why"}}
    line = OPENAI.read(json.dumps(said).encode())
    error = json.loads(line.body)["error"]
    assert (line.custom_id, error["message"], error["code"]) == ("c", "why", "request_timeout")


@pytest.mark.parametrize("wire", [ANTHROPIC, OPENAI])
@pytest.mark.parametrize("garbage", [b"<html>", b"{}", b"[]", b'{"custom_id": 3}'])
def test_what_is_no_answer_of_the_api_is_an_error(wire, garbage):
    for read in (wire.seen, wire.listed, wire.read):
        with pytest.raises(msgspec.DecodeError):
            read(garbage)


# --- Gemini -----------------------------------------------------------------------------------------------

ANSWER = {"candidates": [{"content": {"parts": [{"text": "hello"}]}}]}
ANSWERS = [
    {"metadata": {"key": f"{MARK}-0"}, "response": ANSWER},
    {"metadata": {"key": f"{MARK}-1"}, "error": {"code": 3, "message": "why"}},
]


def gemini_batch(state="BATCH_STATE_SUCCEEDED", **fields):
    metadata = {"state": state, "displayName": MARK, "createTime": "2026-01-02T03:04:05.123456789Z"}
    return {"name": "batches/b1", "metadata": {**metadata, "batchStats": {"requestCount": "2"}}, **fields}


def test_generations_are_created_in_one_body_under_ids_and_a_name_of_ours():
    path = "/models/gemini-2.5-flash:generateContent"
    lines = [GEMINI.line(f"{MARK}-{index}", path, b'{"contents":[]}') for index in range(2)]
    assert GEMINI.upload(lines, MARK) is None
    ask = GEMINI.create(lines, path, MARK, "")
    assert (ask.method, ask.path) == ("POST", "/models/gemini-2.5-flash:batchGenerateContent")
    asked = json.loads(ask.body)["batch"]
    assert asked["displayName"] == MARK
    assert asked["inputConfig"]["requests"]["requests"] == [
        {"request": {"contents": []}, "metadata": {"key": f"{MARK}-{index}"}} for index in range(2)
    ]


@pytest.mark.parametrize("nested", [True, False])
@pytest.mark.parametrize("where", ["response", "output"])
def test_the_answers_come_with_a_gemini_batch_that_has_ended(nested, where):
    inlined = {"inlinedResponses": {"inlinedResponses": ANSWERS} if nested else ANSWERS}
    batch = gemini_batch(done=True, **({"response": inlined} if where == "response" else {}))
    if where == "output":
        batch["metadata"]["output"] = inlined
    seen = GEMINI.seen(json.dumps(batch).encode())
    assert (seen.id, seen.ended, seen.total, seen.mark, seen.failure) == ("batches/b1", True, 2, MARK, "")
    assert seen.created_s == 1767323045.0
    first, second = map(GEMINI.read, seen.lines)
    assert (first.custom_id, first.status, json.loads(first.body)) == (f"{MARK}-0", 200, ANSWER)
    assert (second.custom_id, second.status, json.loads(second.body)["error"]["message"]) == (f"{MARK}-1", 400, "why")


@pytest.mark.parametrize("state", ["BATCH_STATE_PENDING", "JOB_STATE_RUNNING", "BATCH_STATE_CANCELLING"])
def test_a_gemini_batch_that_runs_has_no_answers(state):
    seen = GEMINI.seen(json.dumps(gemini_batch(state)).encode())
    assert (seen.ended, seen.lines, seen.leftovers) == (False, (), ())


@pytest.mark.parametrize("state", ["BATCH_STATE_CANCELLED", "JOB_STATE_EXPIRED"])
def test_a_gemini_batch_that_came_to_nothing_has_ended_and_is_no_refusal(state):
    seen = GEMINI.seen(json.dumps(gemini_batch(state, done=True, error={"code": 1, "message": "x"})).encode())
    assert (seen.ended, seen.lines, seen.failure) == (True, (), "")


def test_a_gemini_batch_that_failed_says_why():
    failed = gemini_batch("BATCH_STATE_FAILED", done=True, error={"code": 3, "message": "no such model"})
    assert GEMINI.seen(json.dumps(failed).encode()).failure == "no such model"


@pytest.mark.parametrize(("code", "status"), [(3, 400), (8, 429), (14, 503), (429, 429), (99, 500), (1, 0), (4, 0)])
def test_an_item_s_error_is_told_by_either_kind_of_code(code, status):
    line = {"metadata": {"key": "k"}, "error": {"code": code, "message": "why"}}
    assert GEMINI.read(json.dumps(line).encode()).status == status


def test_a_list_of_gemini_batches_says_where_its_next_page_begins():
    page = {"operations": [gemini_batch()], "nextPageToken": "a/b"}
    batches, after = GEMINI.listed(json.dumps(page).encode())
    assert ([batch.mark for batch in batches], after) == ([MARK], "a/b")
    assert GEMINI.newest(after).path == "/batches?pageSize=100&pageToken=a%2Fb"
    assert GEMINI.listed(b"{}") == ([], "")


# --- who has one ------------------------------------------------------------------------------------------


def router(**base_urls):
    key = (ProviderKey(name="key", value="sk-x"),)
    providers = {
        name: ProviderSettings(name=name, keys=key, network=NetworkSettings(base_url=url))
        for name, url in base_urls.items()
    }
    return Router(Settings(providers=providers))


def test_the_providers_with_a_batch_api_are_those_that_the_intake_lets_through():
    assert {row.name for row in ROWS.values() if row.batches} == NATIVE_PROVIDERS


def test_auto_uses_batch_apis_at_the_vendors_own_addresses_only():
    azure = "https://me.openai.azure.com"
    known = router(anthropic=None, openai="http://127.0.0.1:1/v1", azure=azure, groq=None)
    assert set(offers(known, "auto")) == {"anthropic"}
    assert set(offers(known, "native")) == {"anthropic", "openai", "azure"}
    assert offers(known, "direct") == {}


# --- requests that were answered --------------------------------------------------------------------------

PNG, PDF = "data:image/png;base64,iVBORw0KGgo=", "data:application/pdf;base64,JVBERi0="


def source(**fields):
    return {"type": "base64", **fields}


BLANKS = {"image": source(media_type="image/png", data="iVBORw0KGgo=")}
BLANKS["document"] = source(media_type="application/pdf", data="JVBERi0=")
FILE, URL = {"type": "file", "file_id": "file_1"}, {"type": "url", "url": "https://a.test/b"}


@pytest.mark.parametrize("kind", BLANKS)
@pytest.mark.parametrize("given", [FILE, URL], ids=["file", "url"])
def test_an_answered_message_names_neither_file_nor_url(kind, given):
    def message(content):
        result = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": kind, "source": content}]}
        return {"messages": [{"role": "user", "content": [{"type": kind, "source": content}, result]}]}

    blank = without_media(json.dumps(message(given)).encode(), "anthropic")
    assert json.loads(blank) == message(BLANKS[kind])


@pytest.mark.parametrize(
    ("dialect", "part", "blank"),
    [
        (
            "openai_chat",
            {"type": "file", "file": {"file_id": "file-1", "filename": "a.txt"}},
            {"type": "file", "file": {"file_data": PDF, "filename": "a.txt"}},
        ),
        (
            "openai_chat",
            {"type": "image_url", "image_url": {"url": "https://a.test/b", "detail": "low"}},
            {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        ),
        (
            "openai_responses",
            {"type": "input_file", "file_id": "file-1"},
            {"type": "input_file", "file_data": PDF, "filename": "document.pdf"},
        ),
        (
            "openai_responses",
            {"type": "input_file", "file_url": "https://a.test/b"},
            {"type": "input_file", "file_data": PDF},
        ),
        (
            "openai_responses",
            {"type": "input_image", "file_id": "file-1", "detail": "auto"},
            {"type": "input_image", "image_url": PNG, "detail": "auto"},
        ),
    ],
)
def test_an_answered_request_of_openais_names_neither_file_nor_url(dialect, part, blank):
    name = "messages" if dialect == "openai_chat" else "input"

    def request(*parts):
        return {name: [{"role": "user", "content": list(parts)}]}

    assert json.loads(without_media(json.dumps(request(part)).encode(), dialect)) == request(blank)


def test_an_answered_request_that_names_nothing_stays_as_it_is():
    body = b'{ "messages": [{"role": "user", "content": "https://a.test/ and a \\"file_id\\""}]}'
    assert without_media(body, "anthropic") is body
