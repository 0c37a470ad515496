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


def asked(now: datetime = NOW, **data: Any) -> list[str | None]:
    return [
        None if each is None else datetime.fromtimestamp(each, UTC).strftime("%d %H:%M:%S")
        for each in span(data, now)
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


def test_clocks_that_are_changed() -> None:
    """A day that begins in summer and ends in winter begins at midnight all the same, and vice versa."""
    hour = timedelta(hours=1)
    autumn, spring = (datetime(2026, *day, 14, tzinfo=UTC) for day in ((10, 25), (3, 29)))
    assert asked(autumn, duration=hour, step=DAY)[0] == "24 22:00:00"
    assert asked(spring, duration=hour, step=DAY)[0] == "28 23:00:00"
    assert asked(spring, duration=hour, step=7 * DAY)[0] == "22 23:00:00"
    twice = [datetime(2026, 10, 25, each, 50, tzinfo=UTC) for each in (0, 1)]
    begins = [asked(each, duration=hour / 2, step=hour)[0] for each in twice]
    assert begins == ["25 00:00:00", "25 01:00:00"], "from two to three it is twice"


@pytest.mark.parametrize(
    ("data", "key"),
    [
        ({"start": NOW, "end": NOW, "duration": DAY}, "history_span"),
        ({"start": NOW, "end": NOW - DAY}, "history_backwards"),
        ({"start": datetime(1, 1, 1)}, "history_no_date"),
        ({"start": NOW, "duration": 3_000_000 * DAY}, "history_no_date"),
        ({"duration": 1_000_000 * DAY}, "history_no_date"),
        ({"duration": DAY, "step": 1_000_000 * DAY}, "history_no_date"),
    ],
)
def test_no_time_at_all(data: dict[str, Any], key: str) -> None:
    with pytest.raises(ServiceValidationError) as caught:
        span(data, NOW)
    assert caught.value.translation_key == key
