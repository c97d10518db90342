"""Faces clients: parses requests, submits jobs, waits for outcomes.."""
