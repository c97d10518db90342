"""A container without a container engine: a root that holds only what is named, read-only, and an ordinary user in it.

A private mount namespace, a root of its own with the system's programs and one Python at /usr/local, as in the image's
base, and then the user without any capability. The network is this machine's.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

_FROM_ETC = ("hosts", "ld.so.cache", "localtime", "nsswitch.conf", "resolv.conf", "ssl")
_USER = ("--clear-groups", "--no-new-privs", "--bounding-set=-all", "--inh-caps=-all")


@dataclass(frozen=True)
class Mount:
    """What is at `target`: a file or folder of this machine, or without a `source` an empty folder in memory."""

    target: str
    source: Path | None = None
    writable: bool = False

    def script(self) -> str:
        place = shlex.quote("." + self.target)
        if self.source is None:
            return f"mkdir -p {place}; mount -t tmpfs -o mode=1777 tmpfs {place}"
        source = shlex.quote(str(self.source))
        made = f"mkdir -p {place}" if self.source.is_dir() else f"mkdir -p $(dirname {place}); touch {place}"
        read_only = "" if self.writable else f"; mount -o remount,bind,ro {place}"
        return f"{made}; mount --bind {source} {place}{read_only}"


def command(
    root: Path,
    mounts: Sequence[Mount],
    arguments: Sequence[str],
    *,
    user: int,
    environment: Mapping[str, str],
    folder: str = "/",
) -> list[str]:
    """What to run to have `arguments` run inside; `root` is an empty folder, `user` the id of user and group.

    What is run becomes the program itself: its process id, its signals and its end are the program's.
    """
    etc = [Mount(f"/etc/{name}", Path("/etc", name)) for name in _FROM_ETC if Path("/etc", name).exists()]
    base = [Mount("/usr", Path("/usr")), *_python(), *etc]
    variables = [f"{name}={value}" for name, value in environment.items()]
    became = ["setpriv", f"--reuid={user}", f"--regid={user}", *(_USER if user else ("--clear-groups",))]
    inside = ["chroot", ".", *became, "/usr/bin/env", "-i", f"--chdir={folder}", *variables, *arguments]
    steps = [
        f"mount -t tmpfs -o mode=755 tmpfs {shlex.quote(str(root))}",
        f"cd {shlex.quote(str(root))}",
        "for name in bin sbin lib lib32 lib64; do if [ -L /$name ]; then cp -P /$name .; fi; done",
        *(mount.script() for mount in base),
        *(f"mkdir {name}; mount --rbind /{name} {name}" for name in ("dev", "proc")),
        *(mount.script() for mount in mounts),
        "mount -o remount,ro .",
        f"exec {shlex.join(inside)}",
    ]
    return ["unshare", "--mount", "--propagation", "private", "sh", "-euc", "\n".join(steps)]


def _python() -> list[Mount]:
    """This Python in the place where the image's base has its own, and where its program looks for its library."""
    home = Path(sys.base_prefix)
    return [] if home.is_relative_to("/usr") else [Mount("/usr/local", home), Mount(str(home), home)]


def needed(folder: Path) -> None:
    """Skips the test where the machine cannot do this."""
    tools = [name for name in ("unshare", "setpriv", "chroot") if shutil.which(name) is None]
    if tools or os.geteuid() != 0:
        pytest.skip(f"a read-only root for another user takes root and {', '.join(tools) or 'its rights'}")
    folder.mkdir()
    tried = command(folder, [], ["/usr/bin/true"], user=65532, environment={})
    done = subprocess.run(tried, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"this machine lets nobody make a mount namespace: {done.stderr.strip()}")
