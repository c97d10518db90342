"""Records (Redis) and blobs (object store)."""
