"""How gates are driven by a process: the table `[gates]`, and what is the same on a command line."""

import argparse
from collections.abc import Callable
from dataclasses import dataclass, field

import voluptuous as vol

from .limits import Limits, parse_broker, parse_prefix
from .show import LANGUAGES


@dataclass(frozen=True, slots=True, kw_only=True)
class GatesOptions:
    """Whether, in which language they are shown, and what they may touch."""

    enabled: bool = True
    language: str = "en"
    limits: Limits = field(default_factory=Limits)


def gates_table(table: object) -> GatesOptions:
    """Check the table; raises voluptuous.Invalid."""
    schema = vol.Schema(
        {
            vol.Optional("enabled", default=True): bool,
            vol.Optional("language", default="en"): vol.In(LANGUAGES),
            vol.Optional("allow", default=None): vol.Any(None, [_read(parse_prefix)]),
            vol.Optional("backends", default=list): [_read(parse_broker)],
        }
    )
    checked = schema(table)
    limits = Limits(allow=checked.pop("allow"), backends=checked.pop("backends"))
    return GatesOptions(**checked, limits=limits)


def add_limits(add: Callable[..., argparse.Action]) -> None:
    """Add what can be said about what gates may touch; `limits` reads it."""
    add(
        "--allow",
        action="append",
        type=_argument(parse_prefix),
        metavar="TOPICS",
        help="let gates touch these topics of the broker alone, and all below: a prefix, dotted, "
        "+ for any one level; may be repeated (all that is outside the root)",
    )
    add(
        "--allow-broker",
        action="append",
        type=_argument(parse_broker),
        metavar="HOST:PORT",
        help="let gates touch this other broker; may be repeated (none)",
    )


def limits(options: argparse.Namespace) -> Limits:
    """Return what gates may touch."""
    return Limits(allow=options.allow, backends=options.allow_broker or ())


def _read[T](parse: Callable[[str], T]) -> Callable[[object], T]:
    def read(value: object) -> T:
        if not isinstance(value, str):
            raise vol.Invalid("must be a text")
        try:
            return parse(value)
        except ValueError as err:
            raise vol.Invalid(str(err)) from None

    return read


def _argument[T](parse: Callable[[str], T]) -> Callable[[str], T]:
    def read(value: str) -> T:
        try:
            return parse(value)
        except ValueError as err:
            raise argparse.ArgumentTypeError(str(err)) from None

    return read
