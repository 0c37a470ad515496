"""Paths: typed elements and their spellings as MQTT topic, as dotted text and in CBOR."""

import ast
import base64
import re
from collections.abc import Callable, Iterable, Iterator
from enum import Enum
from math import isfinite
from typing import Final, Self, overload, override

from .errors import DecodeError, EncodeError

MAX_TOPIC: Final = 65_535
"""Bytes in a topic: MQTT has no more."""
MAX_LEVELS: Final = 200
"""Levels in a topic: mosquitto disconnects whoever sends more."""
MAX_BITS: Final = 256
"""Size of an integer; what grows further is an attack."""
MAX_LITERAL: Final = 1_000
"""Characters in a number or tuple."""
MAX_NESTING: Final = 8
"""Tuples within tuples."""


class Root(Enum):
    """The marker that stands for the installation's root."""

    ROOT = "R"


ROOT: Final = Root.ROOT

type Element = str | int | float | bytes | bool | tuple[Element, ...] | Root | None


class Path:
    """A node's address. Immutable; equal only if every element has the same type and value."""

    __slots__ = ("_elements", "_key")
    _elements: tuple[Element, ...]
    _key: str  # the topic after one slash, so that the empty path differs from one empty name

    def __init__(self, *elements: Element) -> None:
        """Take the elements; `ROOT` may only be the first. Raise EncodeError for anything odd."""
        self._elements = tuple(map(_plain, elements))
        self._key = "".join(map(_level, self._elements))
        if ROOT in self._elements[1:]:
            raise EncodeError("the root's marker within a path")
        if len(self._elements) > MAX_LEVELS or len(self._key.encode()) > MAX_TOPIC + 1:
            raise EncodeError(f"path too long: {self._key[:40]}…")

    @classmethod
    def from_topic(cls, topic: str) -> Self:
        """Read the slash form, escapes from left to right. Raise DecodeError."""
        if (
            topic.isprintable()
            and ":" not in topic
            and "+" not in topic
            and "#" not in topic
            and len(topic) <= MAX_TOPIC // 4
            and len(elements := tuple(topic.split("/"))) <= MAX_LEVELS
        ):
            path = cls.__new__(cls)
            path._elements = elements if topic else ()  # noqa: SLF001  our own
            path._key = "/" + topic if topic else ""  # noqa: SLF001
            return path
        if len(topic) > MAX_TOPIC or topic.count("/") >= MAX_LEVELS:
            raise DecodeError(f"topic too long: {topic[:40]}…")
        if _FORBIDDEN.search(topic):
            raise DecodeError(f"not a topic to publish to: {topic[:80]!r}")
        return cls.of(_parse_level(level) for level in topic.split("/"))

    @classmethod
    def parse(cls, dotted: str) -> Self:
        """Read the dotted form; a leading ":R" is the root's marker. Raise DecodeError."""
        if dotted == ":":
            return cls()
        if len(dotted) > MAX_TOPIC:
            raise DecodeError(f"path too long: {dotted[:40]}…")
        return cls.of(map(_parse_part, _split(dotted)))

    @classmethod
    def of(cls, elements: Iterable[object]) -> Self:
        """Take the elements as they came in CBOR (lists for tuples). Raise DecodeError."""
        try:
            return cls(*map(_plain, elements))
        except EncodeError as err:
            raise DecodeError(str(err)) from err

    @property
    def elements(self) -> tuple[Element, ...]:
        """The elements."""
        return self._elements

    @property
    def topic(self) -> str:
        """The slash form, fit for publishing. Raise EncodeError if the root is still a marker."""
        if self._key.startswith(_ROOT_LEVEL):
            raise EncodeError(f"the root of {self} is not known here")
        return self._key[1:]

    @property
    def parent(self) -> Path:
        """The path without its last element; the empty path is its own parent."""
        return self[:-1]

    def resolve(self, root: Path | None = None) -> Path:
        """Put the root in its marker's place; without a root, drop the marker."""
        if ROOT not in self._elements[:1]:
            return self
        return Path(*(root or ()), *self._elements[1:])

    def starts_with(self, prefix: Path) -> bool:
        """Whether this is the prefix itself or below it."""
        key = prefix._key
        return self._key == key or self._key.startswith(key + "/")

    def relative_to(self, prefix: Path) -> Path:
        """Return what follows the prefix. Raise ValueError if this path is not below it."""
        if not self.starts_with(prefix):
            raise ValueError(f"{self} is not below {prefix}")
        return self[len(prefix) :]

    def __truediv__(self, other: Element | Path) -> Path:
        """Append one element, or another path's elements."""
        return Path(*self._elements, *(other if isinstance(other, Path) else (other,)))

    def __len__(self) -> int:
        """Return the number of elements."""
        return len(self._elements)

    def __iter__(self) -> Iterator[Element]:
        """Walk through the elements."""
        return iter(self._elements)

    @overload
    def __getitem__(self, index: int) -> Element: ...
    @overload
    def __getitem__(self, index: slice) -> Path: ...
    def __getitem__(self, index: int | slice) -> Element | Path:
        """Return one element, or some as a path."""
        if isinstance(index, slice):
            return Path(*self._elements[index])
        return self._elements[index]

    @override
    def __eq__(self, other: object) -> bool:
        """Compare type-strictly."""
        return self._key == other._key if isinstance(other, Path) else NotImplemented

    @override
    def __hash__(self) -> int:
        """Hash what is compared."""
        return hash(self._key)

    @override
    def __str__(self) -> str:
        """Return the dotted form."""
        return "".join(map(_dotted, self._elements)).removeprefix(".") or ":"

    @override
    def __repr__(self) -> str:
        """Show the dotted form."""
        return f"Path({str(self)!r})"


def wildcard(path: Path, *, subtree: bool) -> str:
    """Return the filter to subscribe to: the node alone, or with everything below it."""
    if not subtree:
        return path.topic
    return f"{path.topic}/#" if path else "#"


_ROOT_LEVEL: Final = "/:R"
_FORBIDDEN: Final = re.compile("[+#\0\ud800-\udfff]")
_IN_TOPIC: Final = {":": "::", "/": ":|", "#": ":h", "+": ":p"}
_IN_DOTTED: Final = {":": "::", ".": ":.", " ": ":_"}
_TO_TOPIC: Final = str.maketrans(_IN_TOPIC)
_TO_DOTTED: Final = str.maketrans(_IN_DOTTED)
_FROM_TOPIC: Final = {code[1]: char for char, code in _IN_TOPIC.items()} | {"_": " "}
_FROM_DOTTED: Final = {code[1]: char for char, code in _IN_DOTTED.items()}
_TOPIC_ESCAPE: Final = re.compile(r":(?:([:|hp_])|u([0-9a-f]{1,6})-?|)")
_DOTTED_TOKEN: Final = re.compile(r":([:._])|:u([0-9a-f]{1,6})-?|([:.])|[^:.]+")
_UNSEEN: Final = re.compile(r"[^ -~]")
_HEX: Final = frozenset("0123456789abcdefABCDEF-")
_CONSTANTS: Final[dict[str, Element]] = {"t": True, "f": False, "n": None}
_NAMES: Final[dict[str, Element]] = {"e": "", "R": ROOT}
_WORDS: Final[dict[str, Element]] = {"True": True, "False": False, "None": None}
_ESCAPE: Final = r"\\(?:[\\'\"abfnrtv]|x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8})"
_TOKEN: Final = re.compile(
    rf"""\ *(?:([(),])
    |([+-]?(?:0[xXoObB][0-9a-fA-F]+|[0-9.]+(?:[eE][+-]?[0-9]+)?))
    |(True|False|None)
    |(b?(?:'(?:[^'\\]|{_ESCAPE})*'|"(?:[^"\\]|{_ESCAPE})*"))
    )\ *""",
    re.VERBOSE,
)


def _plain(element: object) -> Element:
    """Make an element of what is derived from one, or a list. Raise EncodeError."""
    match element:
        case None | bool() | Root():
            return element
        case str():
            return str.__str__(element)
        case int() if element.bit_length() <= MAX_BITS:
            return int(element)
        case float() if isfinite(element):
            return float(element)
        case bytes():
            return bytes(element)
        case tuple() | list():
            return tuple(map(_plain, element))
    raise EncodeError(f"not fit for a path: {type(element).__name__}")


# Writing


def _level(element: Element) -> str:
    """Spell an element as a topic level, with the slash before it."""
    match element:
        case str():
            return "/" + _escaped(element, _TO_TOPIC)
        case bytes() if _is_text(element):
            return "/:v" + _escaped(element.decode(), _TO_TOPIC).replace(" ", ":_")
        case bytes():
            coded = base64.b64encode(element).decode()
            # MoaT sees no escapes in base 64, but it knows hexadecimal
            return f"/:y{element.hex()}" if "/" in coded or "+" in coded else "/:s" + coded
        case _:
            return "/:" + _symbol(element)


def _dotted(element: Element) -> str:
    """Spell an element for the dotted form, with what separates it from the one before."""
    match element:
        case "":
            return ":e"
        case str():
            return "." + _escaped(element, _TO_DOTTED)
        case bytes() if _is_text(element):
            return ":v" + _escaped(element.decode(), _TO_DOTTED)
        case bytes():
            return ":s" + base64.b64encode(element).decode()
        case _:
            return ":" + _symbol(element).replace(".", ":.")


def _escaped(text: str, table: dict[int, str]) -> str:
    """Escape what has a meaning in the form, and whatever cannot be seen."""
    text = text.translate(table)
    return text if text.isprintable() else _UNSEEN.sub(_escape_unseen, text)


def _escape_unseen(found: re.Match[str]) -> str:
    char = found[0]
    if char.isprintable():
        return char
    if "\ud800" <= char <= "\udfff":
        raise EncodeError("half a surrogate pair in a path")
    end = found.end()
    return f":u{ord(char):x}" + ("-" if found.string[end : end + 1] in _HEX else "")


def _is_text(element: bytes) -> bool:
    return element.isascii() and element.decode().isprintable()


def _symbol(element: Element) -> str:
    """Spell what is neither text nor bytes."""
    match element:
        case None | bool():
            return {True: "t", False: "f", None: "n"}[element]
        case Root():
            return element.value
        case tuple():
            text = _tuple_literal(element, MAX_NESTING)
            if len(text) > MAX_LITERAL:
                raise EncodeError("tuple too long for a path")
            return f"({text})" if not text or text[0] == "b" else text  # ":b" is binary
        case _:
            return repr(element).replace("+", "")


def _tuple_literal(items: tuple[Element, ...], depth: int) -> str:
    """Spell a tuple without its parentheses, unless they are all there is."""
    if not depth:
        raise EncodeError("tuples too deep for a path")
    return ",".join(_literal(item, depth) for item in items) + "," * (len(items) == 1)


def _literal(item: Element, depth: int) -> str:
    """Spell a tuple's item as Python does, with nothing that has a meaning in any form."""
    match item:
        case tuple():
            return f"({_tuple_literal(item, depth - 1)})"
        case str() | bytes():
            text = repr(item)
            for char in ":/+#. ":
                text = text.replace(char, f"\\x{ord(char):02x}")
            if len(text.encode(errors="replace")) > MAX_LITERAL:
                raise EncodeError("tuple too long for a path")
            return text
        case _:
            return repr(item).replace("+", "")


# Reading


def _parse_level(level: str) -> Element:
    """Read one topic level."""
    text = _TOPIC_ESCAPE.sub(_unescape, level[1:] if (special := _is_special(level)) else level)
    return _parse_symbol(text) if special else text


def _is_special(level: str) -> bool:
    return level[:1] == ":" and level[1:2] not in tuple(":|hp_u")


def _unescape(found: re.Match[str]) -> str:
    if found[1]:
        return _FROM_TOPIC[found[1]]
    if found[2]:
        return _char(found[2])
    raise DecodeError(f"unknown escape in {found.string[:80]!r}")


def _char(code: str) -> str:
    number = int(code, 16)
    if number > 0x10FFFF or 0xD800 <= number <= 0xDFFF:
        raise DecodeError(f"no character has the number {code}")
    return chr(number)


def _split(dotted: str) -> Iterator[tuple[str, str]]:
    """Cut a dotted path into (separator, unescaped text); the first separator may be empty."""
    lead, part = "", ""
    for found in _DOTTED_TOKEN.finditer(dotted):
        if not found[3]:
            if found[1]:
                part += _FROM_DOTTED[found[1]]
            else:
                part += _char(found[2]) if found[2] else found[0]
            continue
        if found.start() or found[3] == ".":
            yield lead, part
        lead, part = found[3], ""
    yield lead, part


def _parse_part(part: tuple[str, str]) -> Element:
    """Read one part of a dotted path."""
    lead, text = part
    if not text:
        raise DecodeError("an empty name is written :e, the empty path as :")
    if lead != ":":
        return text
    return _NAMES[text] if text in _NAMES else _parse_symbol(text)


def _parse_symbol(text: str) -> Element:
    """Read what follows the colon of an element that is not text."""
    if text in _CONSTANTS:
        return _CONSTANTS[text]
    kind, rest = text[:1], text[1:]
    try:
        if kind in _CODED:
            return _CODED[kind](rest)
        if len(text) > MAX_LITERAL:
            raise DecodeError(f"too long for a number or tuple: {text[:40]}…")
        return _parse_literal(text)
    except (ValueError, SyntaxError, UnicodeError) as err:
        raise DecodeError(f"cannot read the element :{text[:80]}") from err


def _integer(text: str, base: int) -> int:
    """Read an integer without what Python allows besides digits."""
    if len(text) > MAX_BITS + 2 or not text.removeprefix("-").isalnum() or not text.isascii():
        raise ValueError(text)
    return int(text, base)


_CODED: Final[dict[str, Callable[[str], Element]]] = {
    "s": lambda text: base64.b64decode(text, validate=True),
    "v": lambda text: text.encode("ascii"),
    "y": bytes.fromhex,
    "x": lambda text: _integer(text, 16),
    "o": lambda text: _integer(text, 8),
    "b": lambda text: _integer(text, 2),
    "i": lambda text: _integer(text, 10),
}


def _parse_literal(text: str) -> Element:
    """Read a number, or a tuple of literals; raise ValueError or SyntaxError."""
    tokens: list[re.Match[str]] = []
    position = 0
    while position < len(text):
        token = _TOKEN.match(text, position)
        if token is None:
            raise ValueError(text)
        tokens.append(token)
        position = token.end()
    tokens.reverse()
    if not tokens:
        raise ValueError(text)
    result = _parse_items(tokens, MAX_NESTING)
    if tokens:
        raise ValueError(text)
    return result


def _parse_items(tokens: list[re.Match[str]], depth: int) -> Element:
    """Read items up to the closing parenthesis; one without a comma stands for itself."""
    items: list[Element] = []
    comma = True
    while comma and tokens and tokens[-1][1] != ")":
        items.append(_parse_item(tokens.pop(), tokens, depth))
        comma = bool(tokens) and tokens[-1][1] == ","
        if comma:
            tokens.pop()
    return tuple(items) if comma else items[0] if len(items) == 1 else tuple(items)


def _parse_item(token: re.Match[str], tokens: list[re.Match[str]], depth: int) -> Element:
    """Read one literal, or a tuple in parentheses."""
    mark, number, word, text = token.groups()
    if mark:
        if mark != "(" or not depth:
            raise ValueError(mark)
        inner = _parse_items(tokens, depth - 1)
        if not tokens or tokens.pop()[1] != ")":
            raise ValueError("parenthesis missing")
        return inner
    if number:
        is_float = "." in number or ("e" in number.lower() and "x" not in number.lower())
        return float(number) if is_float else int(number, 0)
    if word:
        return _WORDS[word]
    literal: Element = ast.literal_eval(text)
    return literal
