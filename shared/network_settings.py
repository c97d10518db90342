"""Parts of how a provider is reached, read by `shared/config_network.py`."""

from __future__ import annotations

from typing import Literal

import msgspec

from shared.masked import Masked


class ProxySettings(Masked, frozen=True, kw_only=True):
    """What stands between a worker and a provider: `providers.{name}.proxy_config`.

    Attributes:
        type: `environment` for `https_proxy`, `http_proxy` and `no_proxy`; `http` for the one of `url`; `none`.
            Default `environment`.
        url: `http://` or `https://`, with `username` and `password` in it.
        ca_cert_pem: PEM of authorities that are trusted besides the usual, for a proxy that opens what passes it.
    """

    type: Literal["environment", "http", "none"] = "environment"
    url: str | None = None
    ca_cert_pem: str = ""


class StreamGuard(msgspec.Struct, frozen=True, kw_only=True):
    """The least pace of a stream: `network_config.stream_throughput_guard`.

    Attributes:
        minimum_output_characters_per_second: default 0, none.
        probe_window_in_seconds: over which it is measured from the first character on; default 5. Once 256 characters
            are there they do, whatever the window.
    """

    minimum_output_characters_per_second: int = 0
    probe_window_in_seconds: int = 5
