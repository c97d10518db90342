"""Settings that Bifrost accepts and Hermod does not have, by section of config.json: they are ignored with a warning.

Source of the names: transports/config.schema.json and core/schemas/{account,provider}.go of maximhq/bifrost.
"""

from __future__ import annotations

# the file
TOP = frozenset(
    {
        "access_profiles",
        "audit_logs",
        "auth_config",
        "cluster",
        "cluster_config",
        "config_store",
        "encryption_key",
        "env_label",
        "framework",
        "guardrails_config",
        "load_balancer_config",
        "logs_store",
        "mcp",
        "saml_config",
        "scim_config",
        "server",
        "source_of_truth",
        "vector_store",
        "version",
        "websocket",
    }
)
# `governance`
GOVERNANCE = frozenset(
    {
        "auth_config",
        "model_configs",
        "providers",
        "routing_rules",
    }
)
# an entry of `pricing_overrides`
PRICING_OVERRIDE = frozenset(
    {
        "config_hash",
        "provider_key_id",
        "user_id",
        "virtual_key_id",
    }
)
# an entry of `virtual_keys`
VIRTUAL_KEY = frozenset(
    {
        "calendar_aligned",
        "config_hash",
        "delete_after_expire",
        "mcp_configs",
    }
)
# an entry of a virtual key's `provider_configs`
PROVIDER_CONFIG = frozenset(
    {
        "allow_all_keys",
        "config_hash",
        "id",
        "keys",
        "mcp_configs",
        "virtual_key_id",
        "weight",
    }
)
# an entry of `teams` or `customers`
TEAM = frozenset(
    {
        "calendar_aligned",
        "claims",
        "config",
        "config_hash",
        "profile",
        "rate_limit",
        "rate_limit_id",
    }
)
# an entry of `budgets`
BUDGET = frozenset(
    {
        "config_hash",
        "current_usage",
        "last_reset",
    }
)
# a rate limit
RATE_LIMIT = frozenset(
    {
        "calendar_aligned",
        "config_hash",
        "request_current_usage",
        "request_last_reset",
        "token_current_usage",
        "token_last_reset",
    }
)
# `client`
CLIENT = frozenset(
    {
        "allow_direct_keys",
        "allow_per_request_content_storage_override",
        "allow_per_request_raw_override",
        "allowed_headers",
        "compat",
        "disable_content_logging",
        "disable_db_pings_in_health",
        "drop_excess_requests",
        "dual_credential_conflict_behavior",
        "dump_errors_in_console_logs",
        "enable_litellm_fallbacks",
        "enable_logging",
        "enforce_governance_header",
        "enforce_scim_auth",
        "hide_deleted_virtual_keys_in_filters",
        "initial_pool_size",
        "log_retention_days",
        "logging_headers",
        "mcp_agent_depth",
        "mcp_code_mode_binding_level",
        "mcp_disable_auto_tool_inject",
        "mcp_enable_temp_token_auth",
        "mcp_external_client_url",
        "mcp_server_auth_mode",
        "mcp_tool_execution_timeout",
        "mcp_tool_sync_interval",
        "oauth2_server_config",
        "prometheus_labels",
        "routing_chain_max_depth",
        "whitelisted_routes",
    }
)
# `providers.{name}`
PROVIDER = frozenset(
    {
        "concurrency_and_buffer_size",
        "config_hash",
        "description",
        "openai_config",
        "pricing_overrides",
        "send_back_raw_request",
        "send_back_raw_response",
        "status",
        "store_raw_request_response",
    }
)
# `network_config`
NETWORK = frozenset(
    {
        "allow_private_network",
        "enforce_http2",
        "http2_ping_interval_in_seconds",
    }
)
# an entry of `keys`
KEY = frozenset(
    {
        "bedrock_mantle_key_config",
        "config_hash",
        "description",
        "huggingface_key_config",
        "replicate_key_config",
        "sgl_key_config",
        "status",
        "use_anthropic_endpoints",
    }
)
# a key's block, such as `azure_key_config`
KEY_BLOCK = frozenset(
    {
        "arn",
        "external_id",
        "model_name",
        "project_number",
        "role_arn",
        "scopes",
        "session_name",
    }
)
