"""Which URL belongs to which surface."""
