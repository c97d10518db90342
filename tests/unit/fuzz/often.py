"""How many examples are tried. The environment variable HERMOD_FUZZ_EXAMPLES raises the count, and draws new ones."""

from __future__ import annotations

import os

from hypothesis import HealthCheck, Phase, settings

MORE = "HERMOD_FUZZ_EXAMPLES"


def often(examples: int, *, shrink: bool = True) -> settings:
    """The same `examples` examples in every run, or as many fresh ones as asked for; a failure prints how to repeat it.

    What takes too long is found by the properties themselves: Hypothesis would count the drawing too. Without `shrink`
    a failure is shown as it was drawn, which is soon: for properties whose failures are timeouts.
    """
    wanted = int(os.environ.get(MORE, "0"))
    return settings(
        max_examples=max(examples, wanted),
        derandomize=not wanted,
        database=None,
        print_blob=True,
        deadline=None,
        phases=[Phase.explicit, Phase.generate, *[Phase.shrink] * shrink],
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
