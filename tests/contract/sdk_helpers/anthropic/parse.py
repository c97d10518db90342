import anthropic
import pydantic


class City(pydantic.BaseModel):
    name: str
    people: int


client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key="dummy-key")
question = {"max_tokens": 100, "messages": [{"role": "user", "content": "Name a city."}]}
for model in ("claude-sim-large", "openai/gpt-sim-large"):
    message = client.messages.parse(model=model, output_format=City, **question)
    assert message.parsed_output == City(name="example", people=1), message
    with client.messages.stream(model=model, output_format=City, **question) as stream:
        assert stream.get_final_message().parsed_output == message.parsed_output, model
print("ok")
