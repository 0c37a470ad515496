"""Which time the action `history` is asked about, and in which intervals."""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final

import probatio
from homeassistant.exceptions import ServiceValidationError
from homeassistant.helpers import config_validation as cv
from homeassistant.util import dt as dt_util

from .const import DOMAIN

ATTR_DURATION: Final = "duration"
ATTR_END: Final = "end"
ATTR_START: Final = "start"
ATTR_STEP: Final = "step"

_SECOND: Final = timedelta(seconds=1)
_DAY: Final = timedelta(days=1)

SPAN: Final[dict[probatio.Marker, Any]] = {
    probatio.Optional(ATTR_START): cv.datetime,
    probatio.Optional(ATTR_END): cv.datetime,
    probatio.Optional(ATTR_DURATION): cv.positive_time_period,
    probatio.Optional(ATTR_STEP): probatio.All(
        cv.positive_time_period, probatio.Range(min=_SECOND)
    ),
}


def span(data: Mapping[str, Any], now: datetime) -> tuple[float | None, float | None]:
    """Return start and end in Unix seconds, None where there is none. ServiceValidationError.

    Of start, end and duration two are enough; the duration alone ends now. Intervals that are not told
    where to start begin where a clock on the wall begins them: at full hours, at midnight.
    """
    try:
        return _span(data, now)
    except OverflowError as err:
        raise _invalid("history_no_date") from err


def _span(data: Mapping[str, Any], now: datetime) -> tuple[float | None, float | None]:
    """Do so; OverflowError before the first and after the last of all dates."""
    start, end = (_moment(data.get(field)) for field in (ATTR_START, ATTR_END))
    duration: timedelta | None = data.get(ATTR_DURATION)
    if duration is not None:
        if start is not None and end is not None:
            raise _invalid("history_span")
        if start is not None:
            end = start + duration
        else:
            start = (now if end is None else end) - duration
            if (step := data.get(ATTR_STEP)) is not None:
                start = _on_the_clock(start, step)
    if start is not None and end is not None and end < start:
        raise _invalid("history_backwards")
    return (
        None if start is None else start.timestamp(),
        None if end is None else end.timestamp(),
    )


def _moment(given: datetime | None) -> datetime | None:
    """Take a time without a zone as a local one."""
    return None if given is None else dt_util.as_utc(given)


def _on_the_clock(moment: datetime, step: timedelta) -> datetime:
    """Return where the interval begins that this is in: counted from midnight, or from a Monday."""
    local = dt_util.as_local(moment)
    shown = local.replace(tzinfo=None)
    first = shown.date() if step <= _DAY else date.min  # that was a Monday
    begin = shown - (shown - datetime.combine(first, time.min)) % step
    return dt_util.as_utc(begin.replace(tzinfo=local.tzinfo, fold=local.fold))


def _invalid(key: str) -> ServiceValidationError:
    return ServiceValidationError(translation_domain=DOMAIN, translation_key=key)
