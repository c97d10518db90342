"""Batches at a provider's own batch API, which runs them later for half the price.

`wires.py` says what such an API can do, `anthropic.py`, `openai.py` and `gemini.py` speak three, `offers.py` knows who
has one. `paper.py` writes requests and reads answers as the executor does, `requests.py` puts them together,
`client.py` calls, `group.py` decides what comes next, `task.py` does the job.
"""
