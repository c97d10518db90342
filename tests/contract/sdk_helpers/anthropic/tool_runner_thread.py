import anthropic

client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key="dummy-key", max_retries=0)
cities = []


@anthropic.beta_tool
def weather(city: str) -> str:
    """Tells the weather.

    Args:
        city: Where.
    """
    cities.append(city)
    return "thunderstorms"


wish = {"max_tokens": 100, "messages": [{"role": "user", "content": "Please use the tool `weather`."}]}
# The runner begins a thread, which neither provider keeps: it must be told so in the words it waits for.
for model in ("claude-sim-large", "openai/gpt-sim-large"):
    runner = client.beta.messages.tool_runner(**wish, model=model, tools=[weather])
    assert "thunderstorms" in runner.until_done().content[0].text
    streamed = client.beta.messages.tool_runner(**wish, model=model, tools=[weather], stream=True)
    assert "thunderstorms" in [stream.get_final_message() for stream in streamed][-1].content[0].text
assert cities == ["example"] * 4, cities
print("ok")
