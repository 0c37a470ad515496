"""Where on Earth the simulated home stands, and what time its people call it."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Self

EARLY_AFTERNOON = 13.5  # h, by the sun


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """A place with its time zone; `zone` is None where the machine's own is meant."""

    latitude: float = 49.45
    longitude: float = 11.08
    zone: str | None = None

    @classmethod
    def sunny(cls, now: datetime) -> Self:
        """Return where it is an early afternoon in summer now, so that pictures show the sun."""
        hours = (EARLY_AFTERNOON - now.hour - now.minute / 60 + 12) % 24 - 12
        whole = min(max(round(hours), -11), 11)
        north = now.month in range(4, 10)
        # the sign in these names is the other way round
        zone = f"Etc/GMT{-whole:+d}" if whole else "Etc/GMT"
        return cls(latitude=49.0 if north else -37.0, longitude=hours * 15, zone=zone)

    @property
    def tzinfo(self) -> tzinfo:
        """The zone as Python wants it; for the machine's own, UTC does."""
        if self.zone is None or self.zone == "Etc/GMT":
            return UTC
        return timezone(-timedelta(hours=int(self.zone.removeprefix("Etc/GMT"))))
