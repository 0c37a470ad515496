"""How gates are driven by a process: the table `[gates]`, and what is the same on a command line."""

from dataclasses import dataclass

import voluptuous as vol

from .show import LANGUAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class GatesOptions:
    """Whether, and in which language they are shown."""

    enabled: bool = True
    language: str = "en"


def gates_table(table: object) -> GatesOptions:
    """Check the table; raises voluptuous.Invalid."""
    schema = vol.Schema(
        {
            vol.Optional("enabled", default=True): bool,
            vol.Optional("language", default="en"): vol.In(LANGUAGES),
        }
    )
    return GatesOptions(**schema(table))
