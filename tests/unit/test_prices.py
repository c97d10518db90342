"""What an answer costs: list prices by name, the operator's own before them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from shared.chat import Usage
from shared.config_file import load
from shared.masked import SettingsError
from shared.price_settings import SetPrice
from shared.prices import Prices, dollars

USAGE = Usage(input_tokens=1000, output_tokens=100)


@pytest.mark.parametrize(
    ("provider", "model", "nano"),
    [
        ("openai", "gpt-4o-mini", 1000 * 150 + 100 * 600),
        ("openai", "gpt-4o", 1000 * 2500 + 100 * 10_000),
        ("openai", "gpt-4o-2024-08-06", 1000 * 2500 + 100 * 10_000),
        ("openai", "gpt-4o-2024-05-13", 1000 * 5000 + 100 * 15_000),
        ("openai", "text-embedding-3-small", 1000 * 20),
        ("azure", "gpt-4o", 1000 * 2500 + 100 * 10_000),
        ("anthropic", "claude-haiku-4-5-20251001", 1000 * 1000 + 100 * 5000),
        ("anthropic", "claude-3-5-sonnet-latest", 1000 * 3000 + 100 * 15_000),
        ("vertex", "claude-haiku-4-5@20251001", 1000 * 1000 + 100 * 5000),
        ("gemini", "gemini-2.5-flash-001", 1000 * 300 + 100 * 2500),
    ],
)
def test_a_listed_model_and_its_dated_snapshots_have_a_price(provider: str, model: str, nano: int) -> None:
    assert Prices().cost(provider, model, USAGE) == nano


@pytest.mark.parametrize(
    ("provider", "model"),
    [
        ("openai", "gpt-4o-audio-preview"),
        ("openai", "gpt-4o-mini-tts"),
        ("openai", "gpt-4o-mini-search-preview-2025-03-11"),
        ("openai", "gpt-5-chat-latest"),
        ("openai", "ft:gpt-4o-2024-08-06:org::id"),
        ("openai", "claude-opus-4-8"),
        ("anthropic", "claude-opus-4-9"),
        ("anthropic", "claude"),
        ("gemini", "gemini-2.5-pro-preview-tts"),
        ("deepseek", "deepseek-v4-flash"),
        ("ollama", "gpt-4o"),
        ("mine", "gpt-4o"),
    ],
)
def test_another_models_price_is_never_taken_for_its_own(provider: str, model: str) -> None:
    assert Prices().cost(provider, model, USAGE) is None


def test_what_the_provider_did_not_count_costs_an_unknown_sum_not_nothing() -> None:
    assert Prices().cost("openai", "gpt-4o", Usage(known=False)) is None
    assert dollars(None) is None


def test_cached_input_has_prices_of_its_own() -> None:
    usage = Usage(
        input_tokens=10, cache_read_tokens=1000, cache_write_tokens=300, cache_write_1h_tokens=100, output_tokens=1
    )

    cost = Prices().cost("anthropic", "claude-sonnet-4-5", usage)

    assert cost == 10 * 3000 + 1000 * 300 + 200 * 3750 + 100 * 6000 + 15_000


def test_a_long_prompt_makes_all_of_the_request_dearer() -> None:
    at_most = Usage(input_tokens=100_000, cache_read_tokens=100_000, output_tokens=10)
    above = Usage(input_tokens=100_001, cache_read_tokens=100_000, output_tokens=10)

    assert Prices().cost("gemini", "gemini-2.5-pro", at_most) == 100_000 * 1250 + 100_000 * 125 + 10 * 10_000
    assert Prices().cost("gemini", "gemini-2.5-pro", above) == 100_001 * 2500 + 100_000 * 250 + 10 * 15_000


def test_a_batch_api_takes_half() -> None:
    whole = Prices().cost("openai", "gpt-4o", USAGE)
    assert whole is not None
    assert Prices().cost("openai", "gpt-4o", USAGE, batch=True) == whole / 2


def test_a_fraction_of_a_nanodollar_is_rounded_once_not_per_token() -> None:
    cheap = SetPrice(model="m", input=0.435, cache_read=0.003625, output=0.87)
    assert Prices([cheap]).cost("mine", "m", Usage(cache_read_tokens=1_000_000)) == 3_625_000


def test_dollars_are_shown_as_such() -> None:
    assert dollars(3_500_000) == 0.0035


# --- the operator's own -------------------------------------------------------------------------------


def _prices(tmp_path: Path, config: dict[str, Any]) -> Prices:
    return Prices(_loaded(tmp_path, config).settings.prices)


def _loaded(tmp_path: Path, config: dict[str, Any]) -> Any:
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"providers": {}, **config}))
    return load(str(path), {}, secrets=False)


def _override(**changes: Any) -> dict[str, Any]:
    patch = json.dumps({"input_cost_per_token": 1e-6, "output_cost_per_token": 2e-6})
    whole = {"id": "1", "name": "mine", "scope_kind": "global", "match_type": "exact", "pattern": "m"}
    return {"governance": {"pricing_overrides": [{**whole, "pricing_patch": patch, **changes}]}}


def test_a_price_in_the_config_comes_before_the_tables(tmp_path: Path) -> None:
    prices = _prices(tmp_path, {"prices": {"openai/gpt-4o": {"input": 1, "output": 2}}})

    assert prices.cost("openai", "gpt-4o", USAGE) == 1000 * 1000 + 100 * 2000
    assert prices.cost("openai", "gpt-4o", Usage(cache_read_tokens=1)) == 1250  # what is not set is the table's
    assert prices.cost("azure", "gpt-4o", USAGE) == 1000 * 2500 + 100 * 10_000


def test_a_model_of_ones_own_server_gets_a_price(tmp_path: Path) -> None:
    config = {"prices": {"vllm/meta-llama/Llama-3": {"input": 0.2, "output": 0.4, "batch_discount": 0.25}}}
    prices = _prices(tmp_path, config)

    assert prices.cost("vllm", "meta-llama/Llama-3", USAGE) == 1000 * 200 + 100 * 400
    assert prices.cost("vllm", "meta-llama/Llama-3", USAGE, batch=True) == (1000 * 200 + 100 * 400) * 0.75
    assert prices.cost("vllm", "meta-llama/Llama-3", Usage(cache_read_tokens=10)) == 10 * 200


def test_half_a_price_is_none(tmp_path: Path) -> None:
    assert _prices(tmp_path, {"prices": {"vllm/m": {"input": 0.2}}}).cost("vllm", "m", USAGE) is None


def test_a_price_of_nothing_is_a_price(tmp_path: Path) -> None:
    assert _prices(tmp_path, {"prices": {"vllm/m": {"input": 0, "output": 0}}}).cost("vllm", "m", USAGE) == 0


def test_bifrosts_overrides_are_read_as_it_writes_them(tmp_path: Path) -> None:
    prices = _prices(tmp_path, _override())

    assert prices.cost("vllm", "m", USAGE) == 1000 * 1000 + 100 * 2000
    assert prices.cost("openai", "m", USAGE) == 1000 * 1000 + 100 * 2000
    assert prices.cost("vllm", "m2", USAGE) is None


def test_an_override_for_a_provider_comes_before_one_for_all_and_a_name_before_its_beginning(tmp_path: Path) -> None:
    def patch(price: float) -> str:
        return json.dumps({"input_cost_per_token": price * 1e-6, "output_cost_per_token": 0})

    common = {"match_type": "wildcard", "pattern": "m*"}
    config = {
        "governance": {
            "pricing_overrides": [
                {**common, "pricing_patch": patch(1)},
                {"match_type": "wildcard", "pattern": "m-large*", "pricing_patch": patch(2)},
                {"match_type": "exact", "pattern": "m-large-3", "pricing_patch": patch(3)},
                {**common, "scope_kind": "provider", "provider_id": "vllm", "pricing_patch": patch(4)},
            ]
        }
    }
    prices = _prices(tmp_path, config)
    one = Usage(input_tokens=1)

    assert [prices.cost("x", name, one) for name in ("m-small", "m-large-2", "m-large-3")] == [1000, 2000, 3000]
    assert prices.cost("vllm", "m-large-3", one) == 4000


def test_overrides_for_some_callers_or_for_images_are_left_out_with_a_warning(tmp_path: Path) -> None:
    for changes in ({"scope_kind": "virtual_key", "virtual_key_id": "v"}, {"request_types": ["image_generation"]}):
        loaded = _loaded(tmp_path, _override(**changes))
        assert loaded.settings.prices == ()
        assert any(line.startswith("governance.pricing_overrides[0]: ") for line in loaded.warnings)


def test_an_embedding_has_no_output_to_pay_for(tmp_path: Path) -> None:
    patch = json.dumps({"input_cost_per_token": 1e-6})
    prices = _prices(tmp_path, _override(request_types=["embedding"], pricing_patch=patch))
    assert prices.cost("vllm", "m", Usage(input_tokens=5)) == 5000


@pytest.mark.parametrize(
    ("config", "path"),
    [
        ({"prices": {"gpt-4o": {"input": 1}}}, "prices.gpt-4o"),
        ({"prices": {"openai/m": {"input": "1"}}}, "prices.openai/m.input"),
        ({"prices": {"openai/m": {"input": -1}}}, "prices.openai/m.input"),
        ({"prices": {"openai/m": {"inptu": 1}}}, "prices.openai/m.inptu"),
        ({"prices": {"openai/m": {"batch_discount": 50}}}, "prices.openai/m.batch_discount"),
        (_override(pattern="m*"), "governance.pricing_overrides[0].pattern"),
        (_override(match_type="wildcard"), "governance.pricing_overrides[0].pattern"),
        (_override(match_type="regex"), "governance.pricing_overrides[0].match_type"),
        (_override(pattern=None), "governance.pricing_overrides[0].pattern"),
        (_override(scope_kind="provider"), "governance.pricing_overrides[0].provider_id"),
        (_override(pricing_patch="{"), "governance.pricing_overrides[0].pricing_patch"),
        (_override(pricing_patch="[]"), "governance.pricing_overrides[0].pricing_patch"),
        (
            _override(pricing_patch='{"input_cost_per_token": "1"}'),
            "governance.pricing_overrides[0].pricing_patch.input_cost_per_token",
        ),
    ],
)
def test_a_wrong_price_stops_the_start_with_its_path(tmp_path: Path, config: dict[str, Any], path: str) -> None:
    with pytest.raises(SettingsError) as raised:
        _loaded(tmp_path, config)
    assert raised.value.path == path
