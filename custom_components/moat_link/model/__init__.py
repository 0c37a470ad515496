"""The devices of an installation as typed, observable objects. Pure: no I/O, no clock of its own."""

from .command import Call, Publication, confirms, prepare
from .device import Device
from .listeners import Unsubscribe
from .point import Point, Reading
from .site import Site
from .values import PointValue

__all__ = [
    "Call",
    "Device",
    "Point",
    "PointValue",
    "Publication",
    "Reading",
    "Site",
    "Unsubscribe",
    "confirms",
    "prepare",
]
