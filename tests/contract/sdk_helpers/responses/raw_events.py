import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
flow = [
    "response.created",
    "response.in_progress",
    "response.output_item.added",
    "response.content_part.added",
    "response.output_text.delta",
    "response.output_text.done",
    "response.content_part.done",
    "response.output_item.done",
    "response.completed",
]
for model in ("gpt-sim-large", "anthropic/claude-sim-large"):
    plain = client.responses.create(model=model, input="Hello!")
    events = list(client.responses.create(model=model, input="Hello!", stream=True))
    assert list(dict.fromkeys(event.type for event in events)) == flow, events
    assert [event.sequence_number for event in events] == list(range(len(events))), events
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    final = events[-1].response
    assert text == final.output_text == plain.output_text, text
    assert final.status == "completed", final
    assert final.usage.output_tokens == plain.usage.output_tokens, final
    assert {event.response.id for event in (events[0], events[1], events[-1])} == {final.id}, events
print("ok")
