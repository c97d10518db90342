"""Converse requests as AWS's own SDK would take them."""

import functools
import json

import botocore.session
from botocore.validate import ParamValidator


@functools.cache
def _shape():
    service = botocore.session.Session().get_service_model("bedrock-runtime")
    return service.operation_model("Converse").input_shape


def assert_taken_by_aws(body, model="anthropic.claude-3-haiku-20240307-v1:0"):
    """The body is what boto3 would send: every field known, of its type, within its bounds, one member of a union."""
    report = ParamValidator().validate({"modelId": model, **json.loads(body)}, _shape())
    assert not report.has_errors(), report.generate_report()
