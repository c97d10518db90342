import openai

client = openai.OpenAI(base_url="http://localhost:8080/v1", api_key="dummy-key", max_retries=0)
found = client.embeddings.create(model="openai/text-embedding-3-small", input="Hello!")
assert len(found.data[0].embedding) > 1, found
print("ok")
