"""Azure's own ways to OpenAI's wire: its header for the key, and deployments in the path of its older addresses.

https://learn.microsoft.com/azure/ai-foundry/openai/reference
"""

from __future__ import annotations

import re

from deploy.simulator.wires import Refusal

PREFIX = "/azure/openai"
VERSION = "api-version="
"""What the query of an older address must hold."""
DEPLOYED = re.compile(rf"{PREFIX}/deployments/(?P<deployment>[^/]+)(?P<path>/chat/completions|/embeddings)")


def check(headers: dict[str, str], _: bool) -> None:
    """Refuses a call without a key, or with one in another vendor's header (401)."""
    if not headers.get("api-key") and not headers.get("authorization", "").lower().startswith("bearer "):
        raise Refusal(
            401,
            "Access denied due to invalid subscription key or wrong API endpoint. Make sure to provide a valid key for "
            "an active subscription and use a correct regional API endpoint for your resource.",
            code="401",
        )
