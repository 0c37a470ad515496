"""How hard property tests try: EFFORT=10 script/test looks at ten times as many examples."""

import os
from typing import Final

from hypothesis import HealthCheck, settings

EFFORT: Final = float(os.environ.get("EFFORT", "1"))


def examples(number: int) -> int:
    """Scale the number of examples of a test that does not take the usual one."""
    return max(1, round(number * EFFORT))


def load_profile() -> None:
    """Let no property test fail because the machine is busy; in CI each run is the same."""
    settings.register_profile(
        "moat",
        settings.get_profile("ci" if os.environ.get("CI") else "default"),
        max_examples=examples(100),
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("moat")
