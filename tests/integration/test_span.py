"""Which time is meant."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from homeassistant.core import HomeAssistant
from homeassistant.exceptions import ServiceValidationError

from custom_components.moat_link.span import span

NOW = datetime(2026, 7, 3, 10, 20, 30, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(autouse=True)
async def berlin(hass: HomeAssistant) -> None:
    await hass.config.async_set_time_zone("Europe/Berlin")


def asked(**data: Any) -> list[str | None]:
    return [
        None if each is None else datetime.fromtimestamp(each, UTC).strftime("%d %H:%M:%S")
        for each in span(data, NOW)
    ]


def test_what_is_given_counts() -> None:
    """Times without a zone are local; what is left out is not limited."""
    start = datetime(2026, 7, 1)
    assert asked() == [None, None]
    assert asked(start=start) == ["30 22:00:00", None]
    assert asked(end=NOW) == [None, "03 10:20:30"]
    assert asked(start=start, end=start) == ["30 22:00:00", "30 22:00:00"]
    assert asked(start=start, end=NOW, step=DAY) == ["30 22:00:00", "03 10:20:30"]


def test_duration() -> None:
    """Before the end, which may be now, or after the start."""
    assert asked(duration=DAY) == ["02 10:20:30", None]
    assert asked(duration=DAY, end=NOW - DAY) == ["01 10:20:30", "02 10:20:30"]
    assert asked(duration=DAY, start=NOW - DAY) == ["02 10:20:30", "03 10:20:30"]


def test_intervals_of_the_clock() -> None:
    """Hours are full ones, days begin at midnight, both where the user lives."""
    assert asked(duration=DAY, step=timedelta(hours=1)) == ["02 10:00:00", None]
    assert asked(duration=DAY, step=DAY) == ["01 22:00:00", None]
    assert asked(duration=DAY, step=timedelta(minutes=7))[0] == "02 10:15:00"
    assert asked(duration=DAY, step=timedelta(days=7))[0] == "28 22:00:00", "a Monday"


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"start": NOW, "end": NOW, "duration": DAY}, "history_span"),
        ({"start": NOW, "end": NOW - DAY}, "history_backwards"),
    ],
)
def test_no_time_at_all(data: dict[str, Any], key: str) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        span(data, NOW)
    assert caught.value.translation_key == key
