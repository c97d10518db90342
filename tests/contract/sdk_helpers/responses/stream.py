import json

import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
schema["additionalProperties"] = False
tools = [{"type": "function", "name": "weather", "parameters": schema, "strict": True}]
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    with client.responses.stream(model=model, input="Hello!") as stream:
        deltas = [event for event in stream if event.type == "response.output_text.delta"]
        response = stream.get_final_response()
    assert response.output_text == deltas[-1].snapshot == "".join(event.delta for event in deltas), response
    assert response.usage.output_tokens > 0, response
    with client.responses.stream(model=model, input="Please use the tool `weather`.", tools=tools) as stream:
        deltas = [event for event in stream if event.type == "response.function_call_arguments.delta"]
        (call,) = stream.get_final_response().output
    assert (call.type, call.name, call.status) == ("function_call", "weather", "completed"), call
    assert json.loads(call.arguments) == {"city": "example"}, call
    assert call.arguments == deltas[-1].snapshot, call
print("ok")
