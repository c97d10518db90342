"""Serves the simulator over HTTP/1.1.

    POST /v1/messages, /v1/messages/count_tokens     Anthropic, also under `/anthropic`; key and version required
    GET  /anthropic/v1/models[/{id}]                 the same without the prefix, given an `anthropic-version` header
    POST /chat/completions                           OpenAI, also under `/v1`, `/openai`, `/openai/v1`; key required
    POST /responses, /responses/input_tokens         the same prefixes; nothing is stored, so nothing is found again
    POST /embeddings                                 the same; 16 dimensions unless the request says otherwise
    GET  /models[/{id}]                              the same
    …    /v1/messages/batches[/{id}[/cancel|results]]   Anthropic's batches, also under `/anthropic`
    …    /batches[/{id}[/cancel]]                     OpenAI's, the same prefixes and `/azure/openai/v1`
    …    /files[/{id}/content]                        what those are made of and what they come to
    …    /ollama/v1, /vllm/v1                         OpenAI's paths for stand-ins, the key is optional
    …    /azure/openai/v1                             the same with Azure's key
    POST /azure/openai/deployments/{name}/chat/completions?api-version=…   and Azure's other older addresses
    POST /gemini/v1beta/models/{name}:generateContent    also `:streamGenerateContent?alt=sse` and `:countTokens`
    GET  /gemini/v1beta/models[/{name}]                  a name that begins with `gemini-3` signs its calls
    POST /vertex/v1beta1/projects/…/publishers/google/models/{name}:generateContent   the same with Google's credential
    POST /vertex/v1/projects/…/publishers/anthropic/models/{name}:rawPredict   Claude with Google's credential
    POST /bedrock/model/{id}/converse, …/converse-stream, …/count-tokens   Bedrock, with a key of its own or signed by
                                                  the access key `simulator` with the secret `simulator`
    …    /__ledger, /__ledger/count, /__keys, /__reset, /__health      see `control`

The answer depends on the request alone. It repeats the last user text, or the tool results of the last turn;
`use the tool NAME` or `use tools` in the text calls tools, two of them with `in parallel`, the arguments made from
their schema. Where a request asks for thoughts it gets them; on `/responses` from a model whose name holds `reason`, or
`o1`, `gpt-5` or a later number, when the effort is not `none`. Orders in the model's name make one call slow or
faulty: the table is in `knobs`.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import signal

import uvloop

from deploy.simulator.http import Connection
from deploy.simulator.knobs import Knobs
from deploy.simulator.simulator import Simulator

_BACKLOG = 2048
_STOPPING = (signal.SIGINT, signal.SIGTERM)

logger = logging.getLogger(__name__)


def serve(host: str, port: int, knobs: Knobs) -> None:
    """Serves until SIGINT or SIGTERM; raises OSError when the port is taken. Port 0 is any free one, see the log."""
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(host, port, Simulator(knobs)))


async def _serve(host: str, port: int, simulator: Simulator) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for number in _STOPPING:
        loop.add_signal_handler(number, stopped.set)
    server = await loop.create_server(lambda: Connection(simulator.respond, loop), host, port, backlog=_BACKLOG)
    logger.info("simulator listens on %s:%d", host, server.sockets[0].getsockname()[1])
    await stopped.wait()
    server.close()
