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
for model in ("claude-sim-large", "openai/gpt-sim-large"):
    final = client.beta.messages.tool_runner(**wish, model=model, tools=[weather], thread=False).until_done()
    assert "thunderstorms" in final.content[0].text, final
    runner = client.beta.messages.tool_runner(**wish, model=model, tools=[weather], stream=True, thread=False)
    replies = [stream.get_final_message() for stream in runner]
    assert [reply.stop_reason for reply in replies] == ["tool_use", "end_turn"], replies
    assert "thunderstorms" in replies[1].content[0].text, replies
assert cities == ["example"] * 4, cities
print("ok")
