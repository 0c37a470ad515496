"""The elements of a path, and how each is spelled in a topic and in dotted text."""

import ast
import base64
import re
from collections.abc import Callable, Iterator
from enum import Enum
from math import isfinite
from typing import Final

from .errors import DecodeError, EncodeError

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

_IN_TOPIC: Final = {":": "::", "/": ":|", "#": ":h", "+": ":p"}
_IN_DOTTED: Final = {":": "::", ".": ":.", " ": ":_"}
_TO_TOPIC: Final = str.maketrans(_IN_TOPIC)
_TO_DOTTED: Final = str.maketrans(_IN_DOTTED)
_FROM_TOPIC: Final = {code[1]: char for char, code in _IN_TOPIC.items()} | {"_": " "}
_FROM_DOTTED: Final = {code[1]: char for char, code in _IN_DOTTED.items()}
_TOPIC_ESCAPE: Final = re.compile(r":(?:([:|hp_])|u([0-9a-f]{1,6})-?|)")
_DOTTED_TOKEN: Final = re.compile(r":([:._])|:u([0-9a-f]{1,6})-?|([:.])|[^:.]+")
_HALF_PAIR: Final = re.compile("[\ud800-\udfff]")
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


def normal(element: object) -> Element:
    """Make an element of what is derived from one, or a list. Raise EncodeError."""
    match element:
        case None | bool() | Root():
            return element
        case str():
            if not element.isascii() and _HALF_PAIR.search(element):
                raise EncodeError("half a surrogate pair in a path")
            return str.__str__(element)
        case int() if element.bit_length() <= MAX_BITS:
            return int(element)
        case float() if isfinite(element):
            return float(element)
        case bytes():
            return bytes(element)
        case tuple() | list():
            return tuple(map(normal, element))
    raise EncodeError(f"not fit for a path: {type(element).__name__}")


# Writing


def to_level(element: Element) -> str:
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


def to_dotted(element: Element) -> str:
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
    char, end = found[0], found.end()
    if char.isprintable():
        return char
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
            return text
        case _:
            return repr(item).replace("+", "")


# Reading


def from_level(level: str) -> Element:
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


def split_dotted(dotted: str) -> Iterator[tuple[str, str]]:
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


def from_dotted(part: tuple[str, str]) -> Element:
    """Read one part of a dotted path."""
    lead, text = part
    if not text:
        raise DecodeError("write an empty name as :e, a number as in home:1, the empty path as :")
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
