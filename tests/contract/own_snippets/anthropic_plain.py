import anthropic

client = anthropic.Anthropic(base_url="http://localhost:8080/anthropic", api_key="dummy-key")
message = client.messages.create(
    model="claude-haiku-5-5", max_tokens=100, messages=[{"role": "user", "content": "Hello!"}]
)
assert message.content[0].text, message
assert message.stop_reason == "end_turn", message
assert message._request_id
print("ok")
