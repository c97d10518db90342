"""The scripts that use one helper of the SDKs each, and the table of helpers by generations."""

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.contract.examples import Example
from tests.contract.process import Gateway
from tests.contract.sdks import GENERATIONS, Sdk

FOLDER = Path(__file__).parent / "sdk_helpers"
SUFFIXES = {"python": ".py", "javascript": ".mjs"}
SPELT: dict[str, dict[str, str]] = {
    "python-old": {", thread=False": ""},
    "javascript-old": {
        "client.chat.completions.parse(": "client.beta.chat.completions.parse(",
        "client.chat.completions.runTools(": "client.beta.chat.completions.runTools(",
        "client.chat.completions.stream(": "client.beta.chat.completions.stream(",
        "client.responses.delete(": "client.responses.del(",
        "(call.parsed_arguments,": "(call.parsed_arguments.parsed_arguments,",  # a mistake of that release
    },
}
"""How an old generation spells what the newest has as well."""


def runs(group: str, lacking: Mapping[str, Mapping[str, str]]) -> list[object]:
    """Every helper of the group with every generation; a skipped entry where `lacking` says why one is left out."""
    table: list[object] = []
    for helper in sorted({file.stem for file in (FOLDER / group).iterdir() if file.suffix in SUFFIXES.values()}):
        for generation in GENERATIONS:
            name, why = f"{helper}-{generation}", lacking.get(helper, {}).get(generation)
            skip = [pytest.mark.skip(reason=f"{name} is left out: {why}")] if why else []
            script = None if why else _script(group, helper, generation)
            table.append(pytest.param(generation, script, id=name, marks=skip))
    return table


def assert_runs(sdk: Sdk, script: Example, gateway: Gateway) -> None:
    """The script ends well and says so."""
    done = sdk.run(script.aimed_at(gateway.url))
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "ok", done.stdout


def _script(group: str, helper: str, generation: str) -> Example:
    language = generation.partition("-")[0]
    code = (FOLDER / group / f"{helper}{SUFFIXES[language]}").read_text()
    for newest, old in SPELT.get(generation, {}).items():
        code = code.replace(newest, old)
    return Example(helper, language, code)
