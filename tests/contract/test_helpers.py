"""The SDKs' own helpers for messages and chat completions work, on the vendor's wire and on the other one."""

import pytest

from tests.contract.examples import Example
from tests.contract.process import Gateway
from tests.contract.sdk_scripts import assert_runs, runs
from tests.contract.sdks import Sdk

YOUNGER = "the helper is younger than this generation"
ANTHROPIC = {
    "beta_parse": dict.fromkeys(("javascript-newest", "javascript-old"), "`parse` covers JavaScript"),
    "parse": {"python-old": "only `beta_parse` is as old", "javascript-old": YOUNGER},
    "tool_runner": {"javascript-old": YOUNGER},
    "tool_runner_thread": {"python-old": YOUNGER, "javascript-old": YOUNGER},
}
"""Which helpers a generation lacks, and why."""
CHAT = {"run_tools": dict.fromkeys(("python-newest", "python-old"), "the Python SDK has no such helper")}


@pytest.mark.parametrize(("sdk", "script"), runs("anthropic", ANTHROPIC), indirect=["sdk"])
def test_a_helper_of_the_anthropic_sdk_works_with_both_providers(sdk: Sdk, script: Example, gateway: Gateway):
    assert_runs(sdk, script, gateway)


@pytest.mark.parametrize(("sdk", "script"), runs("chat", CHAT), indirect=["sdk"])
def test_a_helper_of_the_openai_sdk_works_with_both_providers(sdk: Sdk, script: Example, gateway: Gateway):
    assert_runs(sdk, script, gateway)
