"""Which of Anthropic's betas a client may ask a provider for. Pure."""

from __future__ import annotations

from collections.abc import Mapping

_HEADER = "anthropic-beta"


def allowed(headers: Mapping[str, str], overrides: Mapping[str, bool]) -> Mapping[str, str]:
    """A client's headers without the betas that the operator keeps from the provider.

    `overrides` are beginnings of betas' names, with whether those may pass; of several that fit the longest counts, and
    what none fits passes.
    """
    if not overrides or _HEADER not in headers:
        return headers
    betas = (beta.strip() for beta in headers[_HEADER].split(","))
    kept = ",".join(beta for beta in betas if beta and _passes(beta, overrides))
    others = {name: value for name, value in headers.items() if name != _HEADER}
    return {**others, _HEADER: kept} if kept else others


def _passes(beta: str, overrides: Mapping[str, bool]) -> bool:
    fitting = [prefix for prefix in overrides if beta.startswith(prefix)]
    return not fitting or overrides[max(fitting, key=len)]
