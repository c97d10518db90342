"""Faces providers: claims jobs, calls providers, writes outcomes."""
