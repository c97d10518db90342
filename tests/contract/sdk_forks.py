"""Runs scripts one after the other, each in a process of its own that has the SDKs imported: a fork of this one.

To import them takes longer than all that a script then does. Reads lines of JSON: the path of a script and those of the
files for its output and its errors; answers each with the exit status.
"""

import gc
import json
import os
import runpy
import sys
from importlib import import_module
from pathlib import Path

PACKAGES = ("anthropic.resources", "openai.resources")
"""With what their clients import when they are first asked for something."""


def next_script() -> str:
    """Returns in the process that is to run it."""
    for package in PACKAGES:
        import_module(package)
    gc.freeze()  # what is imported is not looked through again by every process that ends
    for line in sys.stdin:
        script, *outputs = json.loads(line)
        child = os.fork()
        if not child:
            for target, path in enumerate((os.devnull, *outputs)):
                os.dup2(os.open(path, os.O_RDWR), target)
            return str(script)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
    sys.exit()


if __name__ == "__main__":
    sys.argv = [next_script()]
    sys.path[0] = str(Path(sys.argv[0]).parent)
    runpy.run_path(sys.argv[0], run_name="__main__")
