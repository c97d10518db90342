"""The commonest uses, as short scripts, with every generation of the SDKs."""

from pathlib import Path

import pytest

from tests.contract.examples import Example
from tests.contract.process import Gateway
from tests.contract.sdks import GENERATIONS, Sdk

LANGUAGES = {".py": "python", ".mjs": "javascript"}
SNIPPETS = [
    Example(file.stem, LANGUAGES[file.suffix], file.read_text())
    for file in sorted((Path(__file__).parent / "own_snippets").iterdir())
    if file.suffix in LANGUAGES
]


@pytest.mark.parametrize(
    ("sdk", "snippet"),
    [
        pytest.param(generation, snippet, id=f"{snippet.name}-{generation}")
        for snippet in SNIPPETS
        for generation in GENERATIONS
        if generation.startswith(snippet.language)
    ],
    indirect=["sdk"],
)
def test_a_snippet_prints_that_all_went_well(sdk: Sdk, snippet: Example, gateway: Gateway):
    done = sdk.run(snippet.aimed_at(gateway.url))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "ok", done.stdout
