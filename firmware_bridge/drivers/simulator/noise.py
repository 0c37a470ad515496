"""Reproducible randomness as a function of seed and time: the same question, the same answer."""

import math

_MASK = (1 << 64) - 1


def uniform(seed: int, *keys: int) -> float:
    """Return a number in [0, 1) that only depends on the arguments (splitmix64)."""
    state = seed & _MASK
    for key in (0, *keys):
        state = (state + 0x9E3779B97F4A7C15 + (key & _MASK)) & _MASK
        state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & _MASK
        state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & _MASK
        state ^= state >> 31
    return state / (1 << 64)


def smooth(seed: int, key: int, time: float, period: float) -> float:
    """Return a number in [0, 1) that wanders smoothly, with one free choice per period."""
    position = time / period
    index = math.floor(position)
    rest = position - index
    weight = rest * rest * (3 - 2 * rest)
    before = uniform(seed, key, index)
    return before + (uniform(seed, key, index + 1) - before) * weight
