"""A value's place in the range of its point."""

import pytest

from custom_components.moat_link.range import fraction, value_at
from tests.model.world import World


@pytest.mark.parametrize(
    ("value", "part"), [("dark", None), (None, None), (0, 0.0), (64, 0.25), (256, 1.0), (999, 1.0)]
)
def test_fraction(value: object, part: float | None) -> None:
    """What is beyond the range counts as its end; what is no number as unknown."""
    world = World()
    point, _ = world.follow(quantity="ratio", max=256)
    world.say("a/b", value)
    assert fraction(point) == part


@pytest.mark.parametrize(
    ("part", "value"), [(0.0, 0.0), (0.5, 128.0), (0.701, 179.0), (1.0, 256.0)]
)
def test_value(part: float, value: float) -> None:
    """And back, on the nearest step."""
    point, _ = World().follow(quantity="ratio", max=256)
    assert value_at(point.description, part) == value
