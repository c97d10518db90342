"""Requests for Gemini as Google would take them."""

import msgspec

from deploy.simulator.gemini_body import Body

_BODY = msgspec.json.Decoder(Body)


def assert_taken_by_google(body):
    """Every field is one the API has, of its type; every part holds something."""
    asked = _BODY.decode(body)
    assert asked.contents
    assert all(content.parts for content in asked.contents)
    assert all(part.has_data for content in asked.contents for part in content.parts)
