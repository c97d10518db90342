"""Structs that are exactly what is on the wire."""
