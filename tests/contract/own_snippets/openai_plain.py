import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key")
completion = client.chat.completions.create(model="gpt-4o-mini", messages=[{"role": "user", "content": "Hello!"}])
assert completion.choices[0].message.content, completion
assert completion.choices[0].finish_reason == "stop", completion
assert completion._request_id
print("ok")
