"""Batches with both vendors' SDKs, both languages, both generations: created, followed, read, cancelled, listed."""

import pytest

from tests.contract.examples import Example
from tests.contract.process import Gateway
from tests.contract.sdk_scripts import assert_runs, runs
from tests.contract.sdks import Sdk


@pytest.mark.parametrize(("sdk", "script"), runs("batches", {}), indirect=["sdk"])
def test_every_sdk_runs_its_batches_here(sdk: Sdk, script: Example, gateway: Gateway):
    assert_runs(sdk, script, gateway)
