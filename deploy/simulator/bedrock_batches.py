"""Bedrock's batch inference, and the part of S3 that holds what it reads and writes.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_CreateModelInvocationJob.html
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, quote, unquote

import msgspec

from deploy.simulator.batches import AnswerItem, Batch, Item, Result, Shelf, moment
from deploy.simulator.bedrock_signature import check_signature
from deploy.simulator.http import Request
from deploy.simulator.ledger import Entry
from deploy.simulator.wires import Refusal

PATH = re.compile(
    r"/bedrock/model-invocation-job(?:(?P<all>s)|/(?P<id>[a-z0-9]+)(?P<stop>/stop)?)?|/s3/(?P<object>[^/]+/.+)"
)

_LEAST, _MOST = 100, 50_000
"""Records of a job, by AWS's quotas; it is found out once the job was created."""
_ROLE = re.compile(r"arn:aws:iam::[0-9]{12}:role/.+")
_SUCCEEDED = 200
_SCHEME = "s3://"
_KEYED = {"authorization": "Bearer batch"}
"""What stands for the role with which Bedrock calls the model itself."""
_encode = msgspec.json.Encoder().encode


class _Place(msgspec.Struct, rename="camel"):
    s3_uri: str


class _Input(msgspec.Struct, rename="camel"):
    s3_input_data_config: _Place


class _Output(msgspec.Struct, rename="camel"):
    s3_output_data_config: _Place


class _Create(msgspec.Struct, rename="camel"):
    job_name: str
    role_arn: str
    model_id: str
    input_data_config: _Input
    output_data_config: _Output
    client_request_token: str = ""
    model_invocation_type: str = "InvokeModel"

    def __post_init__(self) -> None:
        if self.model_invocation_type != "Converse":
            raise ValueError("modelInvocationType: the simulator knows Converse only")


class _Record(msgspec.Struct, rename="camel"):
    record_id: str
    model_input: msgspec.Raw


class _Told(msgspec.Struct):
    message: str = ""


_read = msgspec.json.Decoder(_Create).decode
_record = msgspec.json.Decoder(_Record).decode
_told = msgspec.json.Decoder(_Told).decode


class BedrockBatches:
    """Answers what `PATH` matches."""

    def __init__(self, answer_item: AnswerItem) -> None:
        self._shelf = Shelf("", answer_item)
        self._asked: dict[str, _Create] = {}
        self._objects: dict[str, bytes] = {}

    def answer(self, request: Request, entry: Entry) -> bytes:
        """The body of the answer. Raises Refusal."""
        check_signature(request.path, request.headers, request.body, request.method, request.query)
        found = PATH.fullmatch(request.path)
        held, name, stop, every = found.group("object", "id", "stop", "all") if found else (None,) * 4
        if held:
            return self._object(request.method, unquote(held), request.body)
        match request.method, name, stop, every:
            case "POST", None, None, None:
                return _encode({"jobArn": _arn(self._create(request, entry).id)})
            case "GET", None, None, "s":
                return self._list(request.query)
            case "GET", str(known), None, None:
                return _encode(self._shown(self._shelf.look(known)))
            case "POST", str(known), "/stop", None:
                self._shelf.cancel(known)
                return b"{}"
            case _:
                raise Refusal(404, f"Invalid URL ({request.method} {request.path})")

    def _object(self, method: str, name: str, body: bytes) -> bytes:
        if method == "PUT":
            self._objects[name] = body
        elif method == "DELETE":
            self._objects.pop(name, None)
        elif method != "GET" or name not in self._objects:
            raise Refusal(404, "The specified key does not exist.", code="NoSuchKey")
        return self._objects[name] if method == "GET" else b""

    def _create(self, request: Request, entry: Entry) -> Batch:
        try:
            asked = _read(request.body)
        except msgspec.DecodeError as error:
            raise Refusal(400, str(error), code="ValidationException") from error
        if not _ROLE.fullmatch(asked.role_arn):
            raise Refusal(400, "The provided ARN is no role's.", code="ValidationException")
        known = (job for job, other in self._asked.items() if other.client_request_token == asked.client_request_token)
        if asked.client_request_token and (before := next(known, None)):
            return self._shelf.find(before)
        uri = asked.input_data_config.s3_input_data_config.s3_uri
        records = [_record(line) for line in self._objects.get(uri.removeprefix(_SCHEME), b"").splitlines()]
        path = f"/bedrock/model/{quote(asked.model_id, safe='')}/converse"
        items = [Item(record.record_id, path, bytes(record.model_input)) for record in records]
        self._asked[self._shelf.name_of(entry)] = asked
        return self._shelf.add(items, _KEYED, entry, asked.model_id)

    def _list(self, query: str) -> bytes:
        asked = {name: values[-1] for name, values in parse_qs(query).items()}
        batches, more = self._shelf.newest(int(asked.get("maxResults", "10")), asked.get("nextToken", ""))
        page: dict[str, Any] = {"invocationJobSummaries": [self._shown(batch) for batch in batches]}
        return _encode({**page, "nextToken": batches[-1].id} if more else page)

    def _shown(self, batch: Batch) -> dict[str, Any]:
        asked, results = self._asked[batch.id], batch.results
        fits = _LEAST <= len(batch.items) <= _MOST
        if results is not None and fits:
            self._write(batch.id, asked, results)
        ended = "Stopped" if batch.cancelled else "Completed" if fits else "Failed"
        why = "" if fits else f"Your input file must have {_LEAST} to {_MOST} records, and has {len(batch.items)}."
        return {
            "jobArn": _arn(batch.id),
            "jobName": asked.job_name,
            "modelId": asked.model_id,
            "roleArn": asked.role_arn,
            "status": "InProgress" if results is None else ended,
            "message": "" if results is None else why,
            "submitTime": moment(batch.created),
            "inputDataConfig": asked.input_data_config,
            "outputDataConfig": asked.output_data_config,
        }

    def _write(self, job_id: str, asked: _Create, results: list[Result]) -> None:
        folder = asked.output_data_config.s3_output_data_config.s3_uri.removeprefix(_SCHEME) + job_id
        read = asked.input_data_config.s3_input_data_config.s3_uri.rpartition("/")[2]
        lines = b"".join(_encode(_shown(result)) + b"\n" for result in results if result.status)
        self._objects.setdefault(f"{folder}/{read}.out", lines)
        self._objects.setdefault(f"{folder}/manifest.json.out", _encode({"processedRecordCount": len(results)}))


def _arn(job_id: str) -> str:
    return f"arn:aws:bedrock:us-east-1:123456789012:model-invocation-job/{job_id}"


def _shown(result: Result) -> dict[str, Any]:
    if result.status == _SUCCEEDED:
        return {"recordId": result.custom_id, "modelOutput": msgspec.Raw(result.body)}
    error = {"errorCode": result.status, "errorMessage": _told(result.body).message}
    return {"recordId": result.custom_id, "error": error}
