"""Files and uploads in parts, with the helpers of every SDK, and what is refused."""

import hashlib
import uuid
from typing import Any

import anthropic
import openai
import pytest

from tests.contract.asking import KEY
from tests.contract.examples import Example
from tests.contract.process import Gateway
from tests.contract.sdk_scripts import assert_runs, runs
from tests.contract.sdks import Sdk
from tests.contract.wire import Answer, ask

YOUNGER = "`client.files` is younger than this generation"
LACKING = {"anthropic_newest": {"python-old": YOUNGER, "javascript-old": YOUNGER}}
MIB = 1024 * 1024
SURFACES = ["/anthropic/v1", "/openai", "/openai/v1", "/v1"]
EVERY = pytest.mark.parametrize("base", SURFACES)
EDGE = "edge-5c1d"


@pytest.mark.parametrize(("sdk", "script"), runs("files", LACKING), indirect=["sdk"])
def test_every_sdk_keeps_its_files_here(sdk: Sdk, script: Example, gateway: Gateway):
    assert_runs(sdk, script, gateway)


def form(content: bytes, **fields: str) -> bytes:
    parts = [f'--{EDGE}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{fields[name]}\r\n' for name in fields]
    head = f'--{EDGE}\r\nContent-Disposition: form-data; name="file"; filename="a.txt"\r\n\r\n'
    return "".join(parts).encode() + head.encode() + content + f"\r\n--{EDGE}--\r\n".encode()


def upload(gateway: Gateway, base: str, body: bytes, **headers: str) -> Answer:
    named = {"content-type": f"multipart/form-data; boundary={EDGE}", **headers}
    return ask(gateway.url, "POST", f"{base}/files", body, named, timeout_s=120)


def told(base: str, answer: Answer, status: int, names: str) -> dict[str, Any]:
    """The error, in the surface's own body."""
    assert answer.status == status, answer.body
    error: dict[str, Any] = answer.json["error"]
    assert names in error["message"]
    assert answer.headers["request-id" if "anthropic" in base else "x-request-id"]
    return error


@EVERY
def test_a_file_of_one_surface_is_read_on_every_other(gateway: Gateway, base):
    key = {"x-bf-vk": f"vk-{uuid.uuid4()}"}
    shown = upload(gateway, base, form(b"content", purpose="user_data"), **key).json["id"]
    for other in SURFACES:
        assert ask(gateway.url, "GET", f"{other}/files/{shown}/content", headers=key).body == b"content"
        [listed] = ask(gateway.url, "GET", f"{other}/files", headers=key).json["data"]
        assert listed["id"][-32:] == shown[-32:]
        assert listed["id"].startswith("file_" if "anthropic" in other else "file-")
        told(other, ask(gateway.url, "GET", f"{other}/files/{shown}"), 404, shown)


@EVERY
def test_a_wrong_upload_is_refused_by_the_name_of_the_part(gateway: Gateway, base):
    key = {"x-bf-vk": f"vk-{uuid.uuid4()}"}
    told(base, upload(gateway, base, form(b"x", purpose="unheard-of"), **key), 400, "purpose")
    told(base, upload(gateway, base, form(b"x", purpose="user_data")[:-10], **key), 400, "file")
    told(base, upload(gateway, base, b"{}", **key, **{"content-type": "application/json"}), 400, "content-type")
    told(
        base, upload(gateway, base, form(b"x", purpose="user_data"), **key, **{"x-bf-async": "true"}), 400, "x-bf-async"
    )
    assert ask(gateway.url, "GET", f"{base}/files", headers=key).json["data"] == []


def test_a_batchs_file_over_200_mib_is_refused_and_not_kept(gateway: Gateway):
    key = {"x-bf-vk": f"vk-{uuid.uuid4()}"}
    large = b"x" * (200 * MIB + 1)
    told("/openai", upload(gateway, "/openai", form(large, purpose="batch"), **key), 413, "200 MiB")
    assert ask(gateway.url, "GET", "/openai/files", headers=key).json["data"] == []


def test_a_range_of_a_large_file_is_read_without_the_rest(gateway: Gateway):
    content = hashlib.shake_256(b"content").digest(3 * MIB)
    shown = upload(gateway, "/openai", form(content, purpose="user_data")).json["id"]
    answer = ask(gateway.url, "GET", f"/openai/files/{shown}/content", headers={"range": "bytes=1048570-1048585"})
    assert (answer.status, answer.body) == (206, content[1048570:1048586])
    assert answer.headers["content-range"] == f"bytes 1048570-1048585/{3 * MIB}"
    beyond = ask(gateway.url, "GET", f"/openai/files/{shown}/content", headers={"range": f"bytes={3 * MIB}-"})
    told("/openai", beyond, 416, "Range")


def test_the_sdks_raise_the_right_classes(gateway: Gateway, claude: anthropic.Anthropic, gpt: openai.OpenAI):
    with pytest.raises(anthropic.NotFoundError):
        claude.beta.files.download("file-abc123")
    with pytest.raises(anthropic.BadRequestError, match="limit"):
        claude.files.list(limit=1001)
    with pytest.raises(openai.NotFoundError):
        gpt.files.content("file-abc123")
    with pytest.raises(openai.BadRequestError, match="order"):
        gpt.files.list(order="up")  # type: ignore[arg-type]
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key=KEY) as native:
        assert native.files.list().object == "list"
