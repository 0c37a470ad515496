"""Topics below `src` and `dst`: they are the same on both sides, and must be what a path is written as."""

from typing import Final

from ..link.errors import DecodeError
from ..link.path import Path

MAX_LEVELS: Final = 100
MAX_LENGTH: Final = 2_000
"""Of a topic below `src` or `dst`, so that it fits below either, and below `error`, too."""
MAX_PREFIX: Final = 40
"""Elements of `src` and `dst`."""


def dotted(text: str) -> Path:
    """Read what people write for a place and all that is below it. ValueError, with what is right."""
    try:
        path = Path.parse(text)
    except DecodeError as err:
        raise ValueError(f"{text!r} is not a dotted path: {err}") from None
    if not path:
        raise ValueError("must not be empty")
    if "#" in path or any("/" in str(each) for each in path.elements):
        right = text.replace("/", ".").strip(".#")
        raise ValueError(f"{text!r}: write {right or 'a name'}; what is below counts as well")
    return path


def unfit(topic: str) -> str | None:
    """Return why a topic is not what a path would be written as; None if it is."""
    if len(topic) > MAX_LENGTH or topic.count("/") >= MAX_LEVELS:
        return "the topic is too long"
    try:
        spelled = Path.from_topic(topic).topic
    except DecodeError as err:
        return str(err)
    return None if spelled == topic else f"as a path it would be {spelled[:80]!r}"
