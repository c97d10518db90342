import openai
import pydantic


class City(pydantic.BaseModel):
    name: str
    people: int


class Weather(pydantic.BaseModel):
    """Tells the weather."""

    city: str


client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
question = {"messages": [{"role": "user", "content": "Name a city."}], "response_format": City}
wish = {"messages": [{"role": "user", "content": "Please use the tool `Weather`."}]}
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    completion = client.chat.completions.parse(model=model, **question)
    assert completion.choices[0].message.parsed == City(name="example", people=1), completion
    with client.chat.completions.stream(model=model, **question) as stream:
        streamed = stream.get_final_completion()
    assert streamed.choices[0].message.parsed == City(name="example", people=1), streamed
    called = client.chat.completions.parse(model=model, **wish, tools=[openai.pydantic_function_tool(Weather)])
    (call,) = called.choices[0].message.tool_calls
    assert call.function.parsed_arguments == Weather(city="example"), call
print("ok")
