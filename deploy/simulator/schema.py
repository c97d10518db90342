"""The smallest value a JSON schema allows: what the simulator passes to tools and answers as structured output."""

from __future__ import annotations

from typing import Any

ANY_OBJECT = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
"""Stands for a schema where any JSON object will do."""

_DEEPEST = 12
"""Levels below which a schema that refers to itself is cut short with null."""


def example(schema: dict[str, Any]) -> Any:
    """A value for `schema`: strings "example", numbers 1, the first member of an enum, required properties only.

    Raises ValueError when it is no JSON schema.
    """
    try:
        return _value(schema, schema, 0)
    except (AttributeError, KeyError, TypeError) as error:
        raise ValueError("Invalid JSON schema.") from error


def _value(schema: Any, root: dict[str, Any], depth: int) -> Any:
    if not isinstance(schema, dict) or depth > _DEEPEST:
        return None
    schema = _resolved(schema, root)
    if "const" in schema:
        return schema["const"]
    if schema.get("enum"):
        return schema["enum"][0]
    for choice in ("anyOf", "oneOf"):
        if options := [option for option in schema.get(choice, []) if option != {"type": "null"}]:
            return _value(options[0], root, depth + 1)
    if schema.get("allOf"):
        return _value(_merged(schema, root), root, depth + 1)
    return _of_kind(_kind(schema), schema, root, depth)


def _resolved(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    reference = schema.get("$ref")
    if not isinstance(reference, str) or not reference.startswith("#"):
        return schema
    found: Any = root
    for step in reference.removeprefix("#").split("/")[1:]:
        found = found.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(found, dict) else {}
    return found if isinstance(found, dict) else {}


def _merged(schema: dict[str, Any], root: dict[str, Any]) -> dict[str, Any]:
    whole = {key: value for key, value in schema.items() if key != "allOf"}
    for part in schema["allOf"]:
        resolved = _resolved(part, root)
        whole = {
            **resolved,
            **whole,
            "properties": {**whole.get("properties", {}), **resolved.get("properties", {})},
            "required": [*whole.get("required", []), *resolved.get("required", [])],
        }
    return whole


def _kind(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((name for name in kind if name != "null"), "null")
    return kind if isinstance(kind, str) else ("object" if "properties" in schema else "string")


def _of_kind(kind: str, schema: dict[str, Any], root: dict[str, Any], depth: int) -> Any:
    match kind:
        case "object":
            properties, required = schema.get("properties", {}), schema.get("required", [])
            if not all(isinstance(name, str) for name in required):
                raise TypeError("properties have names")
            return {name: _value(properties.get(name, {}), root, depth + 1) for name in required}
        case "array":
            return [_value(schema.get("items", {}), root, depth + 1) for _ in range(schema.get("minItems", 1))]
        case "integer" | "number":
            return _number(schema)
        case "boolean":
            return True
        case "null":
            return None
        case _:
            return "example".ljust(schema.get("minLength", 0), "e")[: schema.get("maxLength")]


def _number(schema: dict[str, Any]) -> Any:
    if (low := schema.get("minimum", 1)) > 1:
        return low
    if (above := schema.get("exclusiveMinimum", 0)) >= 1:
        return above + 1
    return min(1, schema.get("maximum", 1))
