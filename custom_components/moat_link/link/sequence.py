"""A sequence of CBOR items, as in a file: each decoded with the guards that a message has."""

from io import BytesIO
from typing import Final

import cbor2

from .codec import MAX_PAYLOAD, clean, open_decoder
from .errors import DecodeError
from .scan import Limits, Scanner
from .values import Value

_ITEM: Final = Limits(size=4 * MAX_PAYLOAD, items=60_000, depth=24)


class EndOfDataError(DecodeError):
    """The data end within an item."""


class SequenceReader:
    """Reads items one after the other; `position` is where the next one starts.

    `read` raises EndOfDataError when the data end too early, DecodeError for what is no item; the
    position is then where that item starts.
    """

    def __init__(self, data: bytes, position: int = 0) -> None:
        """Read these bytes from a position on."""
        self._data = data
        self._source = BytesIO(data)
        self._source.seek(position)
        self._decoder = open_decoder(self._source, _ITEM.depth)
        self.position = position

    def seek(self, position: int) -> None:
        """Go on elsewhere."""
        self._source.seek(position)
        self.position = position

    def read(self) -> Value:
        """Return the next item."""
        try:
            item = self._decoder.decode()
        except cbor2.CBORDecodeError:
            item = self._read_odd()
        end = self._source.tell()
        if end - self.position > _ITEM.size:
            raise DecodeError(f"{end - self.position} bytes are too many")
        value = clean(item)
        self.position = end
        return value

    def _read_odd(self) -> object:
        """Read what is incomplete, or has keys that are not text, if they can do no harm."""
        start = self.position
        rest = self._data[start : start + _ITEM.size + 1]
        length = Scanner(_ITEM).scan(rest)
        if not length:
            raise EndOfDataError(f"the data end within the item at {start}")
        try:
            item = open_decoder(BytesIO(rest[:length]), _ITEM.depth, text_keys=False).decode()
        except cbor2.CBORError as err:
            raise DecodeError(f"at {start}: {str(err)[:200]}") from err
        self._source.seek(start + length)
        self._decoder = open_decoder(self._source, _ITEM.depth)
        return item
