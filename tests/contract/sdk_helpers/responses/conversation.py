import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key", max_retries=0)
schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
tools = [{"type": "function", "name": "weather", "parameters": schema, "strict": False}]
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    first = client.responses.create(model=model, input="Hello!")
    second = client.responses.create(model=model, input="And now?", previous_response_id=first.id)
    assert second.previous_response_id == first.id, second
    history = first.usage.input_tokens + first.usage.output_tokens
    assert second.usage.input_tokens == history + 2, second
    third = client.responses.create(model=model, input="Still?", previous_response_id=second.id)
    assert third.usage.input_tokens == second.usage.total_tokens + 1, third

    wish = client.responses.create(model=model, input="Please use the tool `weather`.", tools=tools)
    (call,) = wish.output
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "thunderstorms"}
    answer = client.responses.create(model=model, input=[result], tools=tools, previous_response_id=wish.id)
    assert "thunderstorms" in answer.output_text, answer

    client.responses.delete(first.id)
    try:
        raise AssertionError(client.responses.create(model=model, input="And?", previous_response_id=first.id))
    except openai.APIStatusError as error:
        assert error.status_code in {400, 404}, error
        assert "previous_response_id" in f"{error.param} {error.message}", error
print("ok")
