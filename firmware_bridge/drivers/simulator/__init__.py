"""A simulated home: deterministic, plausible, faster than real time if asked."""

from .settings import configure

__all__ = ["configure"]
