"""Bedrock's batch inference, whose requests and answers lie in S3. Pure.

https://docs.aws.amazon.com/bedrock/latest/userguide/batch-inference.html. Requests of all models are those of Converse,
as plain calls are. A job's input and output are objects below the bucket's prefix, named by the gateway's mark.
"""

from __future__ import annotations

from urllib.parse import quote, unquote

import msgspec
from msgspec import Raw, Struct

from shared.provider_settings import BatchBucket
from worker.native_batches.wires import Ask, Line, Seen, moment
from worker.providers.hints import safe

_JOBS = "/model-invocation-job"
_PAGE = 100
_NAME = "hermod-"
_HOURS = 24
_RUNNING = frozenset({"", "Submitted", "Validating", "Scheduled", "InProgress", "Stopping"})
_LINE = b'{"recordId":"%b","modelInput":%b}'


class _Job(Struct, rename="camel"):
    job_arn: str
    job_name: str = ""
    status: str = ""
    message: str = ""
    submit_time: str = ""


class _Page(Struct, rename="camel"):
    invocation_job_summaries: list[_Job] = []
    next_token: str = ""


class _Error(Struct, rename="camel"):
    error_code: int = 500
    error_message: str = ""


class _Record(Struct, rename="camel"):
    record_id: str
    model_output: Raw = Raw(b"")
    error: _Error | None = None


_encode = msgspec.json.Encoder().encode
_job = msgspec.json.Decoder(_Job).decode
_page = msgspec.json.Decoder(_Page).decode
_record = msgspec.json.Decoder(_Record).decode


class Bedrock:
    """The batch API as a key uses it; `control` is where jobs are kept, empty for the target's own address."""

    operations = frozenset({"chat"})
    most_items = 50_000
    most_bytes = 200_000_000

    def __init__(self, bucket: BatchBucket, control: str) -> None:
        self._bucket = bucket
        self._control = control

    def line(self, custom_id: str, path: str, body: bytes) -> bytes:  # noqa: ARG002 - shape of a protocol
        """A record."""
        return _LINE % (custom_id.encode(), body)

    def upload(self, lines: list[bytes], mark: str) -> Ask | None:
        """Puts the input into the bucket."""
        return self._object("PUT", self._input(mark), b"\n".join(lines))

    def uploaded(self, body: bytes, mark: str) -> str:  # noqa: ARG002 - the same
        """The key of the input."""
        return self._input(mark)

    def discard(self, file_id: str) -> Ask:
        """Deletes an object."""
        return self._object("DELETE", file_id)

    def create(self, lines: list[bytes], path: str, mark: str, file_id: str) -> Ask:  # noqa: ARG002 - the same
        """Creates the job; a second one of the same mark is the first."""
        uri = f"s3://{self._bucket.bucket_name}/"
        body = {
            "jobName": _NAME + mark,
            "clientRequestToken": mark,
            "roleArn": self._bucket.role_arn,
            "modelId": unquote(path.split("/")[2]),
            "modelInvocationType": "Converse",
            "inputDataConfig": {"s3InputDataConfig": {"s3Uri": uri + file_id, "s3InputFormat": "JSONL"}},
            "outputDataConfig": {"s3OutputDataConfig": {"s3Uri": f"{uri}{self._output(mark)}"}},
            "timeoutDurationInHours": _HOURS,
        }
        return Ask("POST", _JOBS, _encode(body), at=self._control)

    def look(self, batch_id: str) -> Ask:
        """Asks for a job."""
        return Ask("GET", f"{_JOBS}/{batch_id}", at=self._control)

    def cancel(self, batch_id: str) -> Ask:
        """Stops it."""
        return Ask("POST", f"{_JOBS}/{batch_id}/stop", at=self._control)

    def newest(self, after: str) -> Ask:
        """Asks for a page of jobs."""
        more = f"&nextToken={quote(after, safe='')}" if after else ""
        query = f"maxResults={_PAGE}{more}&sortBy=CreationTime&sortOrder=Descending"
        return Ask("GET", f"{_JOBS}s?{query}", at=self._control)

    def seen(self, body: bytes) -> Seen:
        """A job."""
        return self._seen(_job(body))

    def listed(self, body: bytes) -> tuple[list[Seen], str]:
        """A page of jobs."""
        page = _page(body)
        return [self._seen(job) for job in page.invocation_job_summaries], page.next_token

    def read(self, line: bytes) -> Line:
        """A record of the output."""
        found = _record(line)
        if output := bytes(found.model_output):
            return Line(found.record_id, 200, output)
        if found.error is None:
            return Line(found.record_id)
        return Line(found.record_id, found.error.error_code, _encode({"message": found.error.error_message}))

    def _seen(self, job: _Job) -> Seen:
        name, mark = job.job_arn.rpartition("/")[2], job.job_name.removeprefix(_NAME)
        ended, failed = job.status not in _RUNNING, job.status == "Failed"
        output = f"{self._output(mark)}{name}/{mark}.jsonl.out"
        leftovers = (self._input(mark), output, f"{self._output(mark)}{name}/manifest.json.out")
        return Seen(
            id=name,
            ended=ended,
            created_s=moment(job.submit_time),
            total=0,
            mark=mark,
            results=(self._object("GET", output),) if ended and not failed else (),
            failure=safe(job.message or "The provider refused the batch.") if failed else "",
            leftovers=tuple(map(self.discard, leftovers)) if ended else (),
        )

    def _input(self, mark: str) -> str:
        return f"{self._bucket.prefix}{mark}.jsonl"

    def _output(self, mark: str) -> str:
        return f"{self._bucket.prefix}{mark}/"

    def _object(self, method: str, key: str, body: bytes = b"") -> Ask:
        path = f"/{self._bucket.bucket_name}/{quote(key)}"
        return Ask(method, path, body, "application/x-ndjson", at=self._bucket.endpoint)
