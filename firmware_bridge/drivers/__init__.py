"""Everything that a bus can be: one file or folder a driver, one row each here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ..driver import Configure
from . import simulator

DRIVERS: Final[Mapping[str, Configure]] = MappingProxyType({"simulator": simulator.configure})
"""By the word that stands as `type` in the configuration."""
