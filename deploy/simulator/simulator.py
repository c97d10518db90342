"""The simulated provider itself: one request in, one reply out, no I/O."""

from __future__ import annotations

import random
from typing import Any, TypeAlias

import msgspec

from deploy.simulator import control, routes
from deploy.simulator.answers import compose
from deploy.simulator.anthropic_batches import AnthropicBatches
from deploy.simulator.bedrock_batches import PATH as BEDROCK_BATCHES
from deploy.simulator.bedrock_batches import BedrockBatches
from deploy.simulator.gemini_batches import PATH as GEMINI_BATCHES
from deploy.simulator.gemini_batches import GeminiBatches
from deploy.simulator.http import HTML, MAX_BODY_BYTES, Reply, Request
from deploy.simulator.knobs import Knobs, Orders, read_orders
from deploy.simulator.ledger import Entry, Ledger
from deploy.simulator.limits import Limits
from deploy.simulator.openai_batches import OpenAIBatches
from deploy.simulator.routes import Route
from deploy.simulator.wires import Question, Refusal, Wire

_GARBAGE = b"<html><body><h1>502 Bad Gateway</h1></body></html>"
_MOST_REMEMBERED = 100_000
_Batches: TypeAlias = AnthropicBatches | BedrockBatches | GeminiBatches | OpenAIBatches
_HINTS = {429: b"retry-after: 1\r\n", 529: b"x-should-retry: true\r\n"}
"""Headers of faults that a model's name, or a knob, orders."""


class Simulator:
    """Answers by the knobs and by the orders in model names, and notes every call in its ledger."""

    def __init__(self, knobs: Knobs) -> None:
        self._knobs = knobs
        self._ledger = Ledger(knobs.ledger_size)
        self._limits = Limits(knobs)
        self._random = random.Random(knobs.seed)
        self._failed_once: dict[str, None] = {}
        self._unnoted = Ledger(0)
        self._new_batches()

    def respond(self, request: Request) -> Reply:
        """The reply to any request."""
        if request.path.startswith(control.PREFIX):
            return control.respond(request, self._ledger, self._limits, self._reset)
        entry = self._ledger.open(request.method, request.path, request.headers, request.body)
        route = routes.find(request.method, request.path, request.headers)
        try:
            reply = self._operate(route, request, entry)
        except Refusal as refusal:
            reply = _refused(route.wire, refusal, entry)
        reply.headers += b"%b: req_sim%012x\r\n" % (route.wire.request_id, entry.n)
        reply.entry = entry
        return reply

    def _operate(self, route: Route, request: Request, entry: Entry) -> Reply:
        if route.operation == "none":
            raise Refusal(404, f"Invalid URL ({request.method} {request.path})")
        route.wire.check(request.headers, route.key_required)
        if route.query not in request.query:
            raise Refusal(404, "Resource not found", code="404")
        if request.too_large:
            raise Refusal(413, f"Request exceeds the maximum allowed number of bytes: {MAX_BODY_BYTES}.")
        match route.operation:
            case "answer":
                question = route.wire.read(request.body, request.headers)
                question.model = route.name or question.model
                return self._limited(route.wire, question, entry)
            case "model":
                _refuse_as_ordered(route.wire, read_orders(route.name).fault, route.name)
                return _plain(route.wire.model(route.name))
            case "batch":
                if self._limits.is_revoked(entry.key_hash):
                    raise route.wire.ordered(401, "")
                return _plain(self._batches(route, request).answer(request, entry))
            case _:
                return _plain(route.wire.models(request.query))

    def _batches(self, route: Route, request: Request) -> _Batches:
        if BEDROCK_BATCHES.fullmatch(request.path):
            return self._amazon
        if GEMINI_BATCHES.fullmatch(request.path):
            return self._google
        return self._claude if route.wire.request_id == b"request-id" else self._gpt

    def _limited(self, wire: Wire[Any], question: Question, entry: Entry) -> Reply:
        """The answer, if the key may have one."""
        verdict = self._limits.judge(entry.key_hash, question.model, question.tokens_in, wire.limits)
        hint = verdict.hint
        if verdict.status:
            entry.model, entry.user, entry.stream = question.model, question.user, question.stream
            entry.retry_after_s = hint.retry_after_s
            refusal = wire.ordered(verdict.status, question.model)
            refusal.message, refusal.details = hint.message or refusal.message, hint.details
            reply = _refused(wire, refusal, entry)
        else:
            reply = self._answer(wire, question, entry)
        reply.headers += b"".join(
            b"%b: %b\r\n" % (name.encode(), value.encode()) for name, value in hint.headers.items()
        )
        return reply

    def _answer_item(self, path: str, headers: dict[str, str], body: bytes) -> tuple[int, bytes]:
        """Status and body for a request of a batch; the ledger does not show it."""
        route, entry = routes.find("POST", path, headers), self._unnoted.open("POST", path, headers, body)
        try:
            reply = self._answer(route.wire, route.wire.read(body, headers), entry)
        except Refusal as refusal:
            reply = _refused(route.wire, refusal, entry)
        if not reply.status:
            reply = _refused(route.wire, route.wire.ordered(500, entry.model), entry)
        return reply.status, b"".join(reply.chunks)

    def _answer(self, wire: Wire[Any], question: Question, entry: Entry) -> Reply:
        question.ask.words = read_orders(question.model).words
        try:
            answer = compose(question.ask)
        except ValueError as error:
            raise Refusal(400, str(error)) from error
        name = f"sim{entry.request_sha256[:12]}{entry.n:08x}"
        stream = wire.stream if question.stream else None
        question.stream = stream is not None
        chunks = stream(question, answer, name) if stream else [wire.plain(question, answer, name)]
        self._limits.answered(entry.key_hash, question.model, answer.tokens)
        return self._played(wire, question, entry, chunks)

    def _played(self, wire: Wire[Any], question: Question, entry: Entry, chunks: list[bytes]) -> Reply:
        """Sends `chunks` as fast, and as faultily, as ordered."""
        entry.model, entry.user, entry.stream = question.model, question.user, question.stream
        orders = read_orders(question.model)
        fault = self._fault(orders, entry)
        if not fault and self._limits.cuts(entry.key_hash):
            fault = "cut-stream"
        reply = self._faulty(wire, question, fault, chunks, entry)
        reply.wait_s = (self._knobs.latency_ms if orders.latency_ms is None else orders.latency_ms) / 1000
        rate = self._knobs.tokens_per_s if orders.tokens_per_s is None else orders.tokens_per_s
        if question.stream and rate:
            reply.gap_s = 1 / rate
        return reply

    def _faulty(self, wire: Wire[Any], question: Question, fault: str, chunks: list[bytes], entry: Entry) -> Reply:
        half = chunks[: max(1, len(chunks) // 2)]
        match fault:
            case "":
                return _stream(wire, chunks) if question.stream else _plain(chunks[0])
            case "cut":
                return Reply(status=0, chunks=[], whole=False)
            case "cut-stream" if question.stream:
                return msgspec.structs.replace(_stream(wire, half), whole=False)
            case "cut-stream":
                whole = _plain(chunks[0])
                return msgspec.structs.replace(whole, chunks=[chunks[0][: len(chunks[0]) // 2]], whole=False)
            case "garbage":
                return msgspec.structs.replace(_plain(_GARBAGE), headers=HTML)
            case "stream-error" if question.stream:
                return _stream(wire, [*half, wire.broken(half)])
            case "stream-error-first" if question.stream:
                return _stream(wire, [wire.broken([])])
            case "stream-error-head" if question.stream:
                head = [chunks[0].partition(b"\n\n")[0] + b"\n\n"]
                return _stream(wire, [*head, wire.broken(head)])
            case _:
                status = int(fault) if fault.isdigit() else wire.overloaded
                reply = _refused(wire, wire.ordered(status, question.model), entry)
                reply.headers += _HINTS.get(status, b"")
                return reply

    def _fault(self, orders: Orders, entry: Entry) -> str:
        if orders.once:
            return "" if self._failed_before(entry) else orders.fault
        if orders.fault or not self._knobs.error_rate:
            return orders.fault
        return self._knobs.error_kind if self._random.random() < self._knobs.error_rate else ""

    def _failed_before(self, entry: Entry) -> bool:
        """Whether this body has failed already; from now on it has."""
        if entry.request_sha256 in self._failed_once:
            return True
        self._failed_once[entry.request_sha256] = None
        if len(self._failed_once) > _MOST_REMEMBERED:
            del self._failed_once[next(iter(self._failed_once))]
        return False

    def _reset(self) -> None:
        self._ledger.reset()
        self._failed_once.clear()
        self._limits = Limits(self._knobs)
        self._new_batches()

    def _new_batches(self) -> None:
        self._claude = AnthropicBatches(self._answer_item)
        self._gpt = OpenAIBatches(self._answer_item)
        self._google = GeminiBatches(self._answer_item)
        self._amazon = BedrockBatches(self._answer_item)


def _refuse_as_ordered(wire: Wire[Any], fault: str, name: str) -> None:
    if fault.isdigit():
        raise wire.ordered(int(fault), name)


def _refused(wire: Wire[Any], refusal: Refusal, entry: Entry) -> Reply:
    reply = _plain(wire.error(refusal, f"req_sim{entry.n:012x}"))
    reply.status = refusal.status
    if wire.error_type and refusal.code:
        reply.headers += b"%b: %b\r\n" % (wire.error_type, refusal.code.encode())
    return reply


def _plain(body: bytes) -> Reply:
    return Reply(status=200, chunks=[body], length=len(body))


def _stream(wire: Wire[Any], chunks: list[bytes]) -> Reply:
    return Reply(status=200, chunks=chunks, headers=wire.stream_type)
