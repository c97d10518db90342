"""The documentation's examples run as they are written, with every generation of the SDKs."""

from pathlib import Path

import pytest

from tests.contract import examples
from tests.contract.examples import Example
from tests.contract.process import Gateway
from tests.contract.sdks import GENERATIONS, Sdk

DOCUMENTS = sorted(
    found for name in ("000*", "003*") for found in (Path(__file__).parents[3] / "shared" / "seeds").glob(name)
)
if not DOCUMENTS:
    pytest.skip("the documents with the examples (../shared/seeds) are not here", allow_module_level=True)

EXAMPLES = [example for document in DOCUMENTS for example in examples.read(document)]


def runs() -> list[object]:
    """Every example with every generation of its language."""
    return [
        pytest.param(name, example, id=f"{example.name}-{name}")
        for example in EXAMPLES
        for name in GENERATIONS
        if name.startswith(example.language)
    ]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name[:3])
def test_no_example_of_a_document_is_overlooked(document: Path):
    found = examples.read(document)
    assert len(found) == examples.count_fences(document) > 0
    print(f"{document.name}: {len(found)} examples")


@pytest.mark.parametrize(("sdk", "example"), runs(), indirect=["sdk"])
def test_a_documented_example_runs_unchanged(sdk: Sdk, example: Example, gateway: Gateway):
    done = sdk.run(example.aimed_at(gateway.url))
    assert done.returncode == 0, done.stderr
    if example.prints:
        assert done.stdout.strip()
    assert "undefined" not in done.stdout.split()
