"""Canonical form to and from each provider wire; pure."""
