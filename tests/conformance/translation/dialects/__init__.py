"""The dialects of the matrix. Each module has the same names:

DIALECT: its name in the gateway.
REQUESTS: each case as a client of this dialect writes it; what it cannot say is not there. A case that is only about
    the answer is asked like `text`.
stop(told, reason): the word with which an answer ends.
connect(url): a client of the vendor's SDK, to be closed.
ask(client, body), follow(client, body): the answer as the SDK shows it, plain and accumulated from a stream:
    `Said`, and all of it as a dict.
refusal(client, body): the (status, path of the field) of a request that is refused.
error(client, body, streamed): the exception that tells the client why.
ERRORS: status by name of the error.
going_on(answer): the `text` request, the answer that `ask` or `follow` gave to it, and the same question again.
"""

from tests.conformance.translation.dialects import anthropic, openai_chat, openai_responses

DIALECTS = (anthropic, openai_chat, openai_responses)
