"""Request headers: those the gateway reads, with values nobody should send."""

from __future__ import annotations

from hypothesis import strategies as st

_VALUES = st.one_of(
    st.sampled_from(
        [
            "",
            " ",
            "true",
            "TRUE",
            "1",
            "0",
            "false",
            "yes",
            "-1",
            "1e9",
            "99999999999999999999",
            "3600",
            "0x10",
            "\u00b2",  # a digit that is no number
            "\u00ff",
            "a,b",
            "100-continue",
            "br",
            '"',
            "None",
            "2023-06-01",
            "3000-01-01",
            "wait",
            "wait=",
            "wait=0",
            "wait=-1",
            'wait="1"',
            "wait=\u00b2",
            "wait=99999999999999999999, respond-async",
            "respond-async;wait=0",
            "x" * 20_000,
            "6f0d2c1e-8f5b-4e0a-9d53-2f1f7f0b7a11",
            "sk-bf-nobody",
            "Bearer ",
            "Bearer sk-bf-",
        ]
    ),
    st.text(st.characters(min_codepoint=0x20, max_codepoint=0xFF, exclude_characters="\x7f"), max_size=8),
)
_NAMES = st.sampled_from(
    [
        "accept",
        "anthropic-beta",
        "anthropic-version",
        "api-key",
        "authorization",
        "content-type",
        "idempotency-key",
        "prefer",
        "x-api-key",
        "x-bf-async",
        "x-bf-async-id",
        "x-bf-async-job-result-ttl",
        "x-bf-async-wait",
        "x-bf-eh-",
        "x-bf-eh-accept-encoding",
        "x-bf-eh-content-length",
        "x-bf-eh-expect",
        "x-bf-eh-host",
        "x-bf-eh-x-mine",
        "x-bf-eh-transfer-encoding",
        "x-bf-vk",
        "x-model-provider",
        "x-stainless-retry-count",
        "x-stainless-timeout",
    ]
)

headers: st.SearchStrategy[list[tuple[str, str]]] = st.one_of(
    st.just([]), st.lists(st.tuples(_NAMES, _VALUES), max_size=3)
)
"""Lines of a request's head; a name may come twice."""
