"""Model names are read as orders, schemas as examples."""

from __future__ import annotations

import pytest

from deploy.simulator.knobs import Orders, read_orders
from deploy.simulator.schema import example
from tests.unit.simulator.questions import ARGUMENTS, WEATHER


@pytest.mark.parametrize(
    ("model", "orders"),
    [
        ("gpt-5", Orders()),
        ("sim", Orders()),
        ("sim-large", Orders()),
        ("sim-429", Orders(fault="429")),
        ("openai/sim-529-once", Orders(fault="529", once=True)),
        ("sim-cut-stream", Orders(fault="cut-stream")),
        ("sim-stream-error-first-once", Orders(fault="stream-error-first", once=True)),
        ("sim-latency-500+words-50", Orders(latency_ms=500, words=50)),
        ("sim-rate-50+latency-0+500", Orders(tokens_per_s=50, latency_ms=0, fault="500")),
        ("sim-latency-500+nonsense", Orders()),
    ],
)
def test_a_model_name_is_read_as_orders(model, orders):
    assert read_orders(model) == orders


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({}, "example"),
        (WEATHER, ARGUMENTS),
        ({"type": ["null", "number"]}, 1),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "number", "maximum": 0.5}, 0.5),
        ({"type": "array", "items": {"type": "boolean"}}, [True]),
        ({"anyOf": [{"type": "null"}, {"const": 7}]}, 7),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"type": "null"}}}, None),
        ({"allOf": [WEATHER, {"required": ["note"]}]}, ARGUMENTS | {"note": "example"}),
        ({"type": "string", "minLength": 9, "maxLength": 9}, "exampleee"),
    ],
)
def test_an_example_fits_its_schema(schema, value):
    assert example(schema) == value


def test_a_schema_that_needs_itself_ends():
    schema = {"type": "object", "properties": {"next": {"$ref": "#"}}, "required": ["next"]}
    assert example(schema)["next"]["next"]


@pytest.mark.parametrize("properties", [{"properties": [], "required": ["a"]}, {"required": [None]}, {"required": 7}])
def test_no_schema_is_refused(properties):
    with pytest.raises(ValueError, match="Invalid JSON schema"):
        example({"type": "object", **properties})
