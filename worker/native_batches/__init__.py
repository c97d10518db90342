"""Batches at a provider's own batch API, which runs them later for half the price.

`wires.py` says what such an API can do, `anthropic.py`, `openai.py`, `gemini.py` and `bedrock.py` speak to four,
`offers.py` knows who has one, `choice.py` which items go there. `paper.py` writes requests and reads answers as the
executor does, the latter with `stand_ins.py` for files that may be gone; `requests.py` puts requests together,
`client.py` calls, `group.py` decides what comes next, `keeper.py` keeps what was answered, `records.py` how far all is.
`task.py` does the job, with `means.py`.
"""
