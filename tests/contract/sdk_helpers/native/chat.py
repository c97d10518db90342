import openai

client = openai.OpenAI(base_url="http://localhost:8080/v1", api_key="dummy-key", max_retries=0)
messages = [{"role": "user", "content": "Hello!"}]
for model in ("openai/gpt-sim-large", "anthropic/claude-sim-large"):
    completion = client.chat.completions.create(model=model, messages=messages)
    assert completion.choices[0].finish_reason == "stop", completion
    assert completion._request_id, completion
    with client.chat.completions.stream(model=model, messages=messages) as stream:
        streamed = stream.get_final_completion()
    assert streamed.choices[0].message.content == completion.choices[0].message.content, streamed
try:
    raise AssertionError(client.chat.completions.create(model="groq/llama", messages=messages))
except openai.BadRequestError as error:
    assert error.param == "model", error.body
print("ok")
