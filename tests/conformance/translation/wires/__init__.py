"""The wires of the matrix. Each module has the same names:

WIRE, ROW, MODEL: whom the gateway asks; REASONING_ROW, REASONING_MODEL: one that takes its own reasoning back.
ASKED: how the provider's request looks in each case, without the model; what a case lacks is like `text`.
passed_on(body): how a client's body of this very wire looks when it gets there.
HEARD: stop reasons that the wire has no word of its own for, and what it says instead.
answer(told): the provider's answer, plain and streamed.
ERRORS: the provider's error answers by name; `broken` is a stream that ends with one.
thoughts(body): the (text, signature) of each thinking that a request brings back.
"""

from tests.conformance.translation.wires import anthropic, openai_chat, openai_responses

WIRES = (anthropic, openai_chat, openai_responses)
