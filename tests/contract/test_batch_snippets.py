"""The documentation's examples of files and batches run as they are written, with both Python generations."""

from pathlib import Path

import pytest

from tests.contract import examples
from tests.contract.asking import message
from tests.contract.examples import Example
from tests.contract.process import Gateway, eventually
from tests.contract.sdks import GENERATIONS, Sdk
from tests.contract.wire import ask

DOCUMENTS = sorted((Path(__file__).parents[3] / "shared" / "seeds").glob("001*"))
if not DOCUMENTS:
    pytest.skip("the document with the examples (../shared/seeds) is not here", allow_module_level=True)

EXAMPLES = [example for document in DOCUMENTS for example in examples.read_plain(document)]
BATCHES = "/anthropic/v1/messages/batches"
ENDS_WITHIN_S = 60.0


def upload(gateway: Gateway) -> str:
    form = (
        b'--b\r\ncontent-disposition: form-data; name="file"; filename="notes.txt"\r\n'
        b"content-type: text/plain\r\n\r\nSome notes.\r\n--b--\r\n"
    )
    headers = {"content-type": "multipart/form-data; boundary=b"}
    created: str = ask(gateway.url, "POST", "/anthropic/v1/files", form, headers).json["id"]
    return created


def batch(gateway: Gateway) -> str:
    """One that has ended."""
    requests = [{"custom_id": f"r{number}", "params": message()} for number in range(3)]
    created: str = ask(gateway.url, "POST", BATCHES, {"requests": requests}).json["id"]
    eventually(
        lambda: ask(gateway.url, "GET", f"{BATCHES}/{created}").json["processing_status"] == "ended",
        ENDS_WITHIN_S,
        "the batch has not ended",
    )
    return created


PLACEHOLDERS = {"file-abc123": upload, "batch-abc123": batch}
"""Ids that stand for the reader's own."""


def test_no_example_is_overlooked():
    text = DOCUMENTS[0].read_text()
    assert len(EXAMPLES) == text.count("import anthropic") == 13
    assert all("client" in example.code for example in EXAMPLES)


@pytest.mark.parametrize("sdk", [name for name in GENERATIONS if name.startswith("python")], indirect=True)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_a_documented_example_runs_unchanged(sdk: Sdk, example: Example, gateway: Gateway):
    code = example.aimed_at(gateway.url)
    for placeholder, make in PLACEHOLDERS.items():
        if placeholder in code:
            code = code.replace(placeholder, make(gateway))
    done = sdk.run(code)
    assert done.returncode == 0, done.stderr
    if example.prints:
        assert done.stdout.strip()
    if "Success!" in example.code:
        assert "Success!" in done.stdout
