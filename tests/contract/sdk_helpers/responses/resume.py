import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
for model in ("sim-rate-50+words-60", "anthropic/sim-rate-50+words-60"):
    seen = []
    with client.responses.create(model=model, input="Hello!", background=True, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if len(seen) == 20:
                break
    assert seen[0].type == "response.created", seen[0]
    name, last = seen[0].response.id, seen[-1].sequence_number
    with client.responses.retrieve(name, stream=True, starting_after=last) as stream:
        seen += stream
    assert [event.sequence_number for event in seen] == list(range(len(seen))), seen
    assert seen[-1].type == "response.completed", seen[-1]
    text = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
    assert text == client.responses.retrieve(name).output_text, text
    assert len(text.split()) == 60, text
    with client.responses.retrieve(name, stream=True) as stream:
        assert [event.to_dict() for event in stream] == [event.to_dict() for event in seen], model
    with client.responses.stream(response_id=name, starting_after=last) as stream:
        assert next(iter(stream)).sequence_number == last + 1, model
        assert stream.get_final_response().output_text == text, model
print("ok")
