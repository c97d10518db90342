"""A provider simulator: real HTTP, deterministic answers, a ledger of every call."""
