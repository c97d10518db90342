import openai
import pydantic


class City(pydantic.BaseModel):
    name: str
    people: int


class Weather(pydantic.BaseModel):
    """Tells the weather."""

    city: str


client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
wish = {"input": "Please use the tool `Weather`.", "tools": [openai.pydantic_function_tool(Weather)]}
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    response = client.responses.parse(model=model, input="Name a city.", text_format=City)
    assert response.output_parsed == City(name="example", people=1), response
    with client.responses.stream(model=model, input="Name a city.", text_format=City) as stream:
        assert stream.get_final_response().output_parsed == response.output_parsed, model
    (call,) = client.responses.parse(model=model, **wish).output
    assert call.parsed_arguments == Weather(city="example"), call
print("ok")
