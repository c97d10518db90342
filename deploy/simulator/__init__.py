"""A provider simulator: real HTTP, deterministic answers, a ledger of every call.

It is a witness: it speaks the vendors' wires by its own means and shares no translation code with the gateway.
`knobs` holds the table of model names that make one call slow or faulty, `server` the table of paths.
"""
