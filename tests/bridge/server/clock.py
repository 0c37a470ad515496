"""A clock that stands still until it is told to go on."""


class StoppedClock:
    """Both times advance by `advance` only."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now

    def time(self) -> float:
        return self.now

    def monotonic(self) -> float:
        return self.now - 1_799_990_000.0

    def advance(self, seconds: float) -> None:
        self.now += seconds
