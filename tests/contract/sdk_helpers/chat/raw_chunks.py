import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
question = {"messages": [{"role": "user", "content": "Hello!"}], "stream": True}
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    chunks = list(client.chat.completions.create(model=model, **question))
    counted = list(client.chat.completions.create(model=model, **question, stream_options={"include_usage": True}))
    for told in (chunks, counted[:-1]):
        assert all(chunk.choices and not chunk.usage for chunk in told), told
        assert told[0].choices[0].delta.role == "assistant", told[0]
        assert told[-1].choices[0].finish_reason == "stop", told[-1]
        text = "".join(chunk.choices[0].delta.content or "" for chunk in told)
        assert text.startswith('You said: "Hello!"'), text
    assert counted[-1].choices == [], counted[-1]
    assert counted[-1].usage.total_tokens > counted[-1].usage.completion_tokens > 0, counted[-1]
    assert len({chunk.id for chunk in chunks}) == 1, chunks
print("ok")
