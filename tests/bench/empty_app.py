"""The least a Litestar process can do: `python -m tests.bench.empty_app PORT`, served as `api/app.py` serves ours."""

from __future__ import annotations

import sys

import uvicorn
from litestar import Litestar, post
from litestar.response.base import ASGIResponse


@post("/anthropic/v1/messages", status_code=200)
async def empty() -> ASGIResponse:
    """Read nothing, say nothing."""
    return ASGIResponse(body=b"{}", media_type="application/json")


def main() -> None:
    app = Litestar([empty], logging_config=None, openapi_config=None, request_max_body_size=None)
    uvicorn.run(
        app,
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        access_log=False,
        log_config=None,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=75,
    )


if __name__ == "__main__":
    main()
