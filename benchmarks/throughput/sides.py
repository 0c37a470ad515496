"""The two sides: what each wants to be told so that it shows the same sensors."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import cbor2

from .wire import ROOT, Format, properties

POINTS = 10
"""Points of a device."""

type Retained = tuple[str, bytes, bytes]
"""Topic, payload, MQTT properties."""


def topic_of(number: int) -> str:
    """Return the topic of one value."""
    return f"{ROOT}/plant/d{number // POINTS}/v{number % POINTS}"


class Side(Protocol):
    """An integration under test."""

    name: str
    domain: str
    form: Format

    def descriptions(self, count: int) -> Iterator[Retained]:
        """Return what makes the integration show this many sensors."""

    def entry(self, port: int) -> Mapping[str, Any]:
        """Return how its config entry differs from an empty one."""


class Moat:
    """The integration of this checkout: one description a device."""

    name = "moat"
    domain = "moat_link"
    form = Format.CBOR

    def descriptions(self, count: int) -> Iterator[Retained]:
        """Return the devices' descriptions; their values are items of maps."""
        for device in range(count // POINTS):
            points = [
                {
                    "key": f"v{point}",
                    "name": f"Value {point}",
                    "quantity": "power",
                    "unit": "W",
                    "path": cbor2.CBORTag(39, ["plant", f"d{device}", f"v{point}"]),
                    "item": "v",
                }
                for point in range(POINTS)
            ]
            about = {"v": 1, "name": f"Dev {device}", "points": points}
            # long ago, so that nothing here is newer than a value
            props = properties(1_700_000_000.0 + device)
            yield f"{ROOT}/device/d{device}", cbor2.dumps(about), props

    def entry(self, port: int) -> Mapping[str, Any]:
        """Return broker and root."""
        return {
            "data": {"host": "127.0.0.1", "port": port, "root": ROOT},
            "version": 1,
            "minor_version": 1,
        }


class Peer:
    """Home Assistant's own mqtt integration: JSON, a value template, discovery."""

    name = "peer"
    domain = "mqtt"
    form = Format.JSON

    def descriptions(self, count: int) -> Iterator[Retained]:
        """Return a discovery message for each sensor."""
        for number in range(count):
            device = {"identifiers": [f"d{number // POINTS}"], "name": f"Dev {number // POINTS}"}
            about = {
                "name": f"Value {number % POINTS}",
                "unique_id": f"q{number}",
                "state_topic": topic_of(number),
                "value_template": "{{ value_json.v }}",
                "device_class": "power",
                "unit_of_measurement": "W",
                "state_class": "measurement",
                "device": device,
            }
            yield f"homeassistant/sensor/q{number}/config", json.dumps(about).encode(), b""

    def entry(self, port: int) -> Mapping[str, Any]:
        """Return a broker with MQTT 5, which is its default, and discovery."""
        return {
            "data": {"broker": "127.0.0.1", "port": port, "protocol": "5"},
            "options": {"discovery": True},
            "version": 2,
            "minor_version": 1,
        }


class PeerWithMeta(Peer):
    """The same with MoaT's metadata on every message, which it does not look at."""

    name = "peer+meta"
    form = Format.JSON_META


SIDES: Mapping[str, Side] = {side.name: side for side in (Moat(), Peer(), PeerWithMeta())}
