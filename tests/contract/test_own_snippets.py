"""The commonest uses, as short scripts and as the README shows them, with every generation of the SDKs."""

from pathlib import Path

import pytest

from tests.contract import examples
from tests.contract.examples import Example
from tests.contract.process import Gateway
from tests.contract.sdks import GENERATIONS, Sdk

LANGUAGES = {".py": "python", ".mjs": "javascript"}
SNIPPETS = [
    Example(file.stem, LANGUAGES[file.suffix], file.read_text())
    for file in sorted((Path(__file__).parent / "own_snippets").iterdir())
    if file.suffix in LANGUAGES
]
README = Path(__file__).parents[2] / "README.md"


def with_every_generation(snippets: list[Example]) -> list[object]:
    return [
        pytest.param(generation, snippet, id=f"{snippet.name}-{generation}")
        for snippet in snippets
        for generation in GENERATIONS
        if generation.startswith(snippet.language)
    ]


@pytest.mark.parametrize(("sdk", "snippet"), with_every_generation(SNIPPETS), indirect=["sdk"])
def test_a_snippet_prints_that_all_went_well(sdk: Sdk, snippet: Example, gateway: Gateway):
    done = sdk.run(snippet.aimed_at(gateway.url))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "ok", done.stdout


@pytest.mark.parametrize(("sdk", "snippet"), with_every_generation(examples.read(README)), indirect=["sdk"])
def test_the_readmes_snippets_print_the_answer(sdk: Sdk, snippet: Example, gateway: Gateway):
    done = sdk.run(snippet.aimed_at(gateway.url))
    assert done.returncode == 0, done.stderr
    assert "Hello!" in done.stdout


def test_no_snippet_of_the_readme_is_overlooked():
    assert {snippet.language for snippet in examples.read(README)} == {"python", "javascript"}
    assert len(examples.read(README)) == examples.count_fences(README)
