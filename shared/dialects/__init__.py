"""Client wire formats to and from the canonical form; pure."""
