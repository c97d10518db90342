"""The translation between dialects and wires, cell by cell, through the vendors' own SDKs.

A cell is one case, asked in one dialect, answered on one wire, plain and streamed. `cases.py` says what is asked and
answered, in nobody's words; a module of `dialects/` puts it into a client's, a module of `wires/` into a provider's.
A new dialect or wire is one module more, and its lines in `refusals.py`.
"""
