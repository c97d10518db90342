"""Room for connections: a call or a waiting client is one file descriptor each, and the usual soft limit is 1,024."""

from __future__ import annotations

import resource


def raise_file_limit() -> None:
    """Raise this process' soft limit on open files to its hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
