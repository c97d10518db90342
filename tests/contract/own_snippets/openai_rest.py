import openai

client = openai.OpenAI(base_url="http://localhost:8080/openai", api_key="dummy-key", max_retries=0)
for name in [model.id for model in client.models.list()]:
    assert client.models.retrieve(name).id == name
try:
    client.chat.completions.create(model="sim-404", messages=[{"role": "user", "content": "Hello!"}])
except openai.NotFoundError as error:
    print("ok" if error.code == "model_not_found" else error.body)
