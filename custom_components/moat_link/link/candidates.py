"""Where a server may be, in order, and who of them is told our token."""

from collections.abc import Iterable
from dataclasses import replace

from .config import LinkConfig
from .direct import Endpoint, same_machine, with_token


def candidates(
    config: LinkConfig, announced: Iterable[Endpoint], peer: str | None
) -> list[Endpoint]:
    """Return the configured end point, then the announced ones, with their tokens.

    `peer` is the address of the broker's machine, if it is known.
    """
    found = []
    if (fixed := config.endpoint) is not None:
        found.append(replace(fixed, token=config.token or fixed.token))
        if config.only:
            return found
    hosts = [config.broker.host, peer]
    hosts += [fixed.host] if fixed is not None else []
    others = with_token([*announced], config.token, same_machine(*hosts))
    if fixed is not None and fixed.tls:
        others = [each for each in others if each.tls]
    return list(dict.fromkeys(found + others))
