"""Files that were uploaded here may be named in requests, whoever answers them."""

import base64
from typing import Any

import anthropic
import openai
import pytest

from tests.contract.asking import CLAUDE, GPT, KEY, PIXEL, completion, message, turn
from tests.contract.examples import Example
from tests.contract.jobs import marked, polled, submit
from tests.contract.process import Gateway
from tests.contract.sdk_scripts import assert_runs, runs
from tests.contract.sdks import Sdk
from tests.contract.wire import Ledger, ask

PDF = b"%PDF-1.7 \x00\xff"
PDF_64 = base64.b64encode(PDF).decode()
BOTH_WIRES = pytest.mark.parametrize("model", [f"anthropic/{CLAUDE}", f"openai/{GPT}"])


@pytest.mark.parametrize(("sdk", "script"), runs("attachments", {}), indirect=["sdk"])
def test_every_sdk_may_name_the_files_it_uploaded(sdk: Sdk, script: Example, gateway: Gateway):
    assert_runs(sdk, script, gateway)


def same(ledger: Ledger, user: str) -> bool:
    """Whether both calls brought the provider the very same bytes."""
    first, second = ledger.calls(user)
    return bool(first["request_sha256"] == second["request_sha256"])


@BOTH_WIRES
def test_a_message_with_a_file_is_the_one_with_its_bytes(claude: anthropic.Anthropic, ledger: Ledger, user, model):
    pdf = claude.files.upload(file=("a.pdf", PDF))
    image = claude.files.upload(file=("a.png", base64.b64decode(PIXEL)))
    inline = [
        {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": PDF_64}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}},
    ]
    named: list[Any] = [
        {"type": "document", "source": {"type": "file", "file_id": pdf.id}},
        {"type": "image", "source": {"type": "file", "file_id": image.id}},
    ]
    for content in (inline, named):
        claude.messages.create(**message(model=model, messages=turn(content), metadata={"user_id": user}))
    assert same(ledger, user)


@BOTH_WIRES
def test_a_completion_with_a_file_is_the_one_with_its_bytes(gpt: openai.OpenAI, ledger: Ledger, user, model):
    file_id = gpt.files.create(file=("a.pdf", PDF), purpose="user_data").id
    for file in ({"file_data": f"data:application/pdf;base64,{PDF_64}", "filename": "a.pdf"}, {"file_id": file_id}):
        content = [{"type": "file", "file": file}]
        gpt.chat.completions.create(**completion(model=model, messages=turn(content), user=user))
    assert same(ledger, user)


@BOTH_WIRES
def test_a_response_with_a_file_is_the_one_with_its_bytes(gpt: openai.OpenAI, ledger: Ledger, user, model):
    file_id = gpt.files.create(file=("a.pdf", PDF), purpose="user_data").id
    for file in ({"file_data": f"data:application/pdf;base64,{PDF_64}", "filename": "a.pdf"}, {"file_id": file_id}):
        content: list[Any] = [{"type": "input_file", **file}]
        given: Any = turn(content)
        gpt.responses.create(model=model, input=given, user=user)
    assert same(ledger, user)


def test_a_file_of_one_surface_may_be_named_on_the_other(claude: anthropic.Anthropic, gpt: openai.OpenAI):
    shown = claude.files.upload(file=("a.pdf", PDF)).id
    named = completion(messages=turn([{"type": "file", "file": {"file_id": shown}}]))
    assert gpt.chat.completions.create(**named).choices[0].finish_reason == "stop"


def test_a_job_may_name_a_file(gateway: Gateway, claude: anthropic.Anthropic, user):
    shown = claude.files.upload(file=("a.pdf", PDF)).id
    block = {"type": "document", "source": {"type": "file", "file_id": shown}}
    job = submit(gateway, "anthropic", marked("anthropic", user, messages=turn([block]))).json["id"]
    assert polled(gateway, "anthropic", job).status == 200


def test_anothers_file_is_not_found(gateway: Gateway, claude: anthropic.Anthropic):
    shown = claude.files.upload(file=("a.pdf", PDF)).id
    body = completion(messages=turn([{"type": "file", "file": {"file_id": shown}}]))
    for key, status in ((KEY, 200), ("sk-bf-another", 404)):
        answer = ask(gateway.url, "POST", "/openai/chat/completions", body, {"authorization": f"Bearer {key}"})
        assert answer.status == status, answer.body
    error = answer.json["error"]
    assert (error["param"], error["code"]) == ("messages[0].content[0].file.file_id", "file_not_found")
    assert shown in error["message"]
