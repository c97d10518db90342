import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
model = "text-embedding-3-small"
whole = client.embeddings.create(model=model, input=["Hello!", "Good night."])
assert (whole.object, [item.index for item in whole.data]) == ("list", [0, 1]), whole
assert whole.usage.total_tokens == whole.usage.prompt_tokens > 0, whole.usage
first, second = (item.embedding for item in whole.data)
assert len(first) == len(second) > 1, whole
assert all(isinstance(number, float) for number in first), first
assert first != second, first
floats = client.embeddings.create(model=model, input="Hello!", encoding_format="float").data[0].embedding
assert all(abs(one - other) < 1e-6 for one, other in zip(floats, first, strict=True)), floats
assert len(client.embeddings.create(model=model, input="Hello!", dimensions=8).data[0].embedding) == 8
print("ok")
