"""The wires of the matrix. Each module has the same names:

WIRE, ROW, MODEL: whom the gateway asks; REASONING_ROW, REASONING_MODEL: one that takes its own reasoning back.
ASKED: how the provider's request looks in each case, or in one as a dialect tells it, without the model; what a case
lacks is like `text`.
passed_on(body): how a client's body of this very wire looks when it gets there.
said(told): the answer without what the wire has no words for at all.
HEARD: stop reasons that the wire has no word of its own for, and what it says instead.
answer(told): the provider's answer, plain and streamed.
ERRORS: the provider's error answers by name; `broken` is a stream that ends with one.
thoughts(body): the (text, signature) of each thinking that a request brings back.
"""

from tests.conformance.translation.wires import anthropic, bedrock, gemini, openai_chat, openai_responses

WIRES = (anthropic, openai_chat, openai_responses, bedrock, gemini)

NAMED_IN_URL = (bedrock, gemini)
"""Those whose URL, not body, says which model is asked and whether for a stream."""
