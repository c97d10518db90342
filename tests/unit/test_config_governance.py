"""The section `governance`, `client.required_headers` and `admin`: Bifrost's shape, read whole or refused by path."""

import json

import pytest

from shared.config_file import load
from shared.governance_settings import (
    Budget,
    Customer,
    ProviderConfig,
    RateLimit,
    RequiredHeader,
    Team,
    VirtualKey,
)
from shared.masked import SettingsError

KEY = {"name": "a", "value": "sk-bf-a"}


@pytest.fixture
def loaded(tmp_path):
    def read(document, environ=None):
        path = tmp_path / "config.json"
        path.write_text(json.dumps({"providers": {}, **document}))
        return load(str(path), environ or {}, secrets=False)

    return read


def governed(loaded, **governance):
    return loaded({"governance": governance})


def test_a_key_is_read_with_everything_bifrost_says_of_one(loaded):
    document = {
        "budgets": [{"id": "b", "max_limit": 0.1, "reset_duration": "1d", "calendar_aligned": True}],
        "rate_limits": [{"id": "r", "token_max_limit": 10, "token_reset_duration": "1h"}],
        "customers": [{"id": "c", "name": "C", "budgets": [{"max_limit": 7, "reset_duration": "1Y"}]}],
        "teams": [{"id": "t", "customer_id": "c", "budget_id": "b"}],
        "virtual_keys": [
            {
                **KEY,
                "id": "vk1",
                "description": "of team a",
                "expires_at": "2027-01-01T00:00:00Z",
                "team_id": "t",
                "budgets": [{"max_limit": 2.5, "reset_duration": "1w"}],
                "rate_limit_id": "r",
                "provider_configs": [
                    {
                        "provider": "openai",
                        "allowed_models": ["gpt-4o"],
                        "blacklisted_models": ["o1"],
                        "key_ids": ["main"],
                        "budget_id": "b",
                        "rate_limit": {"request_max_limit": 3, "request_reset_duration": "5m"},
                    }
                ],
            }
        ],
    }
    read = governed(loaded, **document)
    daily = Budget(max_limit=100_000_000, reset_duration="1d", calendar_aligned=True)
    config = ProviderConfig(
        provider="openai",
        allowed_models=("gpt-4o",),
        blacklisted_models=("o1",),
        key_ids=("main",),
        budgets=(daily,),
        rate_limit=RateLimit(request_max_limit=3, request_reset_duration="5m"),
    )
    assert read.settings.virtual_keys == (
        VirtualKey(
            id="vk1",
            name="a",
            value="sk-bf-a",
            description="of team a",
            expires_ms=1_798_761_600_000,
            team_id="t",
            budgets=(Budget(max_limit=2_500_000_000, reset_duration="1w"),),
            rate_limit=RateLimit(token_max_limit=10, token_reset_duration="1h"),
            provider_configs=(config,),
        ),
    )
    yearly = Budget(max_limit=7_000_000_000, reset_duration="1Y")
    assert read.settings.governance.teams == (Team(id="t", name="t", customer_id="c", budgets=(daily,)),)
    assert read.settings.governance.customers == (Customer(id="c", name="C", budgets=(yearly,)),)
    assert read.warnings == ()


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({}, None),
        ({"provider_configs": []}, ()),
        ({"provider_configs": [], "allow_all_providers": True}, None),
        ({"provider_configs": [{"provider": "openai", "allowed_models": []}]}, "one"),
    ],
)
def test_what_is_listed_denies_the_rest_and_what_says_nothing_allows_everything(loaded, said, expected):
    [key] = governed(loaded, virtual_keys=[{**KEY, **said}]).settings.virtual_keys
    if expected == "one":
        [config] = key.provider_configs
        assert not config.allows("gpt-4o")
    else:
        assert key.provider_configs == expected


def test_what_is_bifrosts_and_not_ours_is_a_warning(loaded):
    keys = [{**KEY, "mcp_configs": [], "provider_configs": [{"provider": "openai", "weight": 0.5}]}]
    assert [line.partition(":")[0] for line in governed(loaded, virtual_keys=keys).warnings] == [
        "governance.virtual_keys[0].provider_configs[0].weight",
        "governance.virtual_keys[0].mcp_configs",
    ]


@pytest.mark.parametrize(
    ("said", "path", "message"),
    [
        ({"budgets": [{"max_limit": -1}]}, "budgets[0].max_limit", "expected at least 0, got -1"),
        ({"budgets": [{"reset_duration": "1d"}]}, "budgets[0].max_limit", "missing; the most that may be spent"),
        (
            {"budgets": [{"max_limit": 1, "reset_duration": "monthly"}]},
            "budgets[0].reset_duration",
            "expected a period",
        ),
        ({"budgets": [{"max_limit": 1}, {"max_limit": 2}]}, "budgets", "two budgets have the same reset_duration"),
        ({"budget_id": "none"}, "budget_id", 'governance.budgets has no "none"'),
        ({"rate_limit_id": "none"}, "rate_limit_id", 'governance.rate_limits has no "none"'),
        ({"rate_limit": {"token_max_limit": 1.5}}, "rate_limit.token_max_limit", "expected a whole number"),
        ({"team_id": "none"}, "team_id", 'governance.teams has no "none"'),
        ({"team_id": "t", "customer_id": "c"}, "customer_id", "give either a team or a customer"),
        ({"expires_at": "soon"}, "expires_at", "expected a time such as"),
        ({"provider_configs": [{}]}, "provider_configs[0].provider", "missing; name the provider"),
        ({"value": "sk-bf-a\n"}, "value", "expected printable ASCII"),
        ({"value": "sk-bf-é"}, "value", "expected printable ASCII"),
    ],
)
def test_what_is_wrong_is_named_by_its_path(loaded, said, path, message):
    with pytest.raises(SettingsError) as caught:
        governed(loaded, virtual_keys=[{**KEY, **said}], teams=[{"id": "t"}], customers=[{"id": "c"}])
    assert caught.value.path == f"governance.virtual_keys[0].{path}"
    assert message in caught.value.message


def test_required_headers_are_names_or_rules(loaded):
    def of(value, environ=None):
        return loaded({"client": {"required_headers": value}}, environ).settings.governance.required_headers

    assert of(["X-Tenant"]) == (RequiredHeader(name="x-tenant"),)
    rules = {"X-Tenant": "*", "x-team": "env.TEAM", "x-id": "[0-9]+"}
    read = of(rules, {"TEAM": "hush"})
    assert read == (
        RequiredHeader(name="x-tenant"),
        RequiredHeader(name="x-team", value="hush"),
        RequiredHeader(name="x-id", pattern="[0-9]+"),
    )
    assert "hush" not in repr(read)
    with pytest.raises(SettingsError) as caught:
        of({"x-id": "("})
    assert caught.value.path == "client.required_headers.x-id"


def test_the_admin_token_comes_from_the_file_or_the_environment_and_is_never_shown(loaded):
    token = "t" * 32
    for read in (loaded({"admin": {"token": token}}), loaded({}, {"HERMOD_ADMIN_TOKEN": token})):
        assert read.settings.governance.admin.token == token
        assert token not in repr(read.settings)
    with pytest.raises(SettingsError) as caught:
        loaded({"admin": {"token": "short"}})
    assert caught.value.path == "admin.token"
