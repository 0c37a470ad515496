"""What a point accepts, and the words it refuses the rest with."""

import pytest
from hypothesis import given, strategies as st

from firmware_bridge.commands import checked
from firmware_bridge.link.codec import Value
from firmware_bridge.link.describe import Access, Code, PointDescription
from firmware_bridge.link.errors import RefusedError
from firmware_bridge.link.quantity import Quantity

RW = Access.READ_WRITE
POWER = PointDescription(
    key="power", quantity=Quantity.POWER, unit="W", access=RW, minimum=0, maximum=5000, step=10
)
RELAY = PointDescription(key="relay", quantity=Quantity.RELAY, access=RW)
MODE = PointDescription(key="mode", quantity=Quantity.ENUM, access=RW, options=("on", "off"))
TEXT = PointDescription(key="text", quantity=Quantity.TEXT, access=RW, maximum=5)
BUTTON = PointDescription(key="go", quantity=Quantity.BUTTON, access=Access.WRITE)
LEVEL = PointDescription(key="level", quantity=Quantity.BRIGHTNESS, access=RW, unit="%")
COVER = PointDescription(key="cover", quantity=Quantity.COVER, access=RW)
RAW = PointDescription(
    key="raw",
    quantity=Quantity.ENUM,
    access=RW,
    options=("a", "b"),
    codes=(Code(1, "a"), Code(2, "b")),
)


@pytest.mark.parametrize(
    ("point", "value", "result"),
    [
        (POWER, 100, 100),
        (POWER, 1004.0, 1000),
        (POWER, 5000, 5000),
        (RELAY, True, True),
        (MODE, "off", "off"),
        (TEXT, "", ""),
        (TEXT, "hello", "hello"),
        (BUTTON, None, None),
        (LEVEL, 30.5, 30.5),
        (COVER, "stopped", "stopped"),
        (RAW, 2, 2),
    ],
)
def test_accepted(point: PointDescription, value: Value, result: Value) -> None:
    """The right type within the range goes through, on the nearest step."""
    assert checked(point, value) == result


@pytest.mark.parametrize(
    ("point", "value", "reason"),
    [
        (POWER, 5001, "5001 W is more than 5000"),
        (POWER, -1, "-1 W is less than 0"),
        (POWER, "100", "power takes a number"),
        (POWER, True, "power takes a number"),
        (POWER, float("nan"), "power takes a number"),
        (POWER, None, "power takes a number"),
        (RELAY, 1, "relay takes one of true, false"),
        (RELAY, "on", "relay takes one of true, false"),
        (MODE, "auto", "mode takes one of on, off"),
        (TEXT, "longer", "the text has more than 5 characters"),
        (TEXT, b"x", "text takes a text"),
        (BUTTON, True, "go takes no value"),
        (LEVEL, 101, "101 % is more than 100"),
        (COVER, "up", "cover takes one of open, opening, closed, closing, stopped"),
        (RAW, "a", "raw takes one of 1, 2"),
        (RAW, True, "raw takes one of 1, 2"),
        (
            PointDescription(key="u", quantity=Quantity.VOLTAGE),
            1,
            "u can only be read",
        ),
        (
            PointDescription(key="t", quantity=Quantity.TIMESTAMP, access=RW),
            1,
            "t can only be read",
        ),
    ],
)
def test_refused(point: PointDescription, value: Value, reason: str) -> None:
    """Everything else is refused with a reason for people."""
    with pytest.raises(RefusedError) as refused:
        checked(point, value)
    assert str(refused.value) == reason


@given(st.floats(0, 5000))
def test_every_number_lands_on_a_step_within_the_range(value: float) -> None:
    """Rounding to the step never leaves the range."""
    result = checked(POWER, value)
    assert isinstance(result, float)
    assert 0 <= result <= 5000
    assert abs(result - value) <= 5 + 1e-9
    assert result % 10 == pytest.approx(0, abs=1e-6)
