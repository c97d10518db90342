"""The paths for tests: read and reset the ledger, ask for health.

GET  /__ledger?since=N&user=U&limit=M   {"entries": [...], "last": n of the last one shown}, oldest first
GET  /__ledger/count?since=N&user=U     {"count", "finished", "aborted"}
POST /__keys {"key", …}                 how calls with that key are answered from now on, see `limits`
POST /__reset                           forgets the ledger, batches, files, and which `-once` faults were served
GET  /__health                          {"status": "ok"}
"""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import parse_qs

import msgspec

from deploy.simulator.http import Reply, Request
from deploy.simulator.ledger import Ledger
from deploy.simulator.limits import Conduct, Limits

PREFIX = "/__"
_LIMIT = 10_000


def respond(request: Request, ledger: Ledger, limits: Limits, reset: Callable[[], None]) -> Reply:
    """Answers one of the paths above; 404 elsewhere, 400 for a number that is none."""
    query = {name: values[-1] for name, values in parse_qs(request.query, keep_blank_values=True).items()}
    try:
        since, limit = int(query.get("since", "0")), int(query.get("limit", _LIMIT))
    except ValueError:
        return _reply(400, {"error": "since and limit are numbers"})
    match request.method, request.path:
        case "GET", "/__ledger":
            entries = ledger.read(since, query.get("user"), limit)
            return _reply(200, {"entries": entries, "last": entries[-1]["n"] if entries else since})
        case "GET", "/__ledger/count":
            return _reply(200, ledger.count(since, query.get("user")))
        case "POST", "/__keys":
            return _conducted(request.body, limits)
        case "POST", "/__reset":
            reset()
            return _reply(200, {"status": "ok"})
        case "GET", "/__health":
            return _reply(200, {"status": "ok"})
        case _:
            return _reply(404, {"error": f"nothing at {request.method} {request.path}"})


def _conducted(body: bytes, limits: Limits) -> Reply:
    try:
        limits.conduct(msgspec.json.decode(body, type=Conduct))
    except msgspec.MsgspecError as error:
        return _reply(400, {"error": str(error)})
    return _reply(200, {"status": "ok"})


def _reply(status: int, value: object) -> Reply:
    body = msgspec.json.encode(value)
    return Reply(status=status, chunks=[body], length=len(body))
