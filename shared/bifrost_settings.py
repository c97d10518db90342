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
        "plugins",
        "saml_config",
        "scim_config",
        "server",
        "source_of_truth",
        "vector_store",
        "version",
        "webhooks",
        "websocket",
    }
)
# `governance`
GOVERNANCE = frozenset(
    {
        "auth_config",
        "budgets",
        "customers",
        "model_configs",
        "pricing_overrides",
        "providers",
        "rate_limits",
        "routing_rules",
        "teams",
    }
)
# an entry of `virtual_keys`
VIRTUAL_KEY = frozenset(
    {
        "allow_all_providers",
        "budget_id",
        "budgets",
        "calendar_aligned",
        "config_hash",
        "customer_id",
        "delete_after_expire",
        "description",
        "expires_at",
        "id",
        "mcp_configs",
        "provider_configs",
        "rate_limit",
        "rate_limit_id",
        "team_id",
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
        "required_headers",
        "routing_chain_max_depth",
        "webhook_config",
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
        "proxy_config",
        "send_back_raw_request",
        "send_back_raw_response",
        "status",
        "store_raw_request_response",
    }
)
# `custom_provider_config`
CUSTOM_PROVIDER = frozenset(
    {
        "allowed_requests",
        "request_path_overrides",
    }
)
# `network_config`
NETWORK = frozenset(
    {
        "allow_private_network",
        "beta_header_overrides",
        "ca_cert_pem",
        "enforce_http2",
        "insecure_skip_verify",
        "keep_alive_timeout_in_seconds",
        "max_conns_per_host",
        "stream_throughput_guard",
    }
)
# an entry of `keys`
KEY = frozenset(
    {
        "aliases",
        "azure_key_config",
        "bedrock_key_config",
        "bedrock_mantle_key_config",
        "blacklisted_models",
        "config_hash",
        "description",
        "huggingface_key_config",
        "id",
        "ollama_key_config",
        "replicate_key_config",
        "sgl_key_config",
        "status",
        "use_anthropic_endpoints",
        "use_for_batch_api",
        "vertex_key_config",
        "vllm_key_config",
    }
)
