"""Errors on the wire, both ways."""

from typing import Any

import pytest

from firmware_bridge.link.codec import FrameReader, Opaque, RemoteObject, encode_frame
from firmware_bridge.link.errors import (
    AuthenticationError,
    ConnectionLostError,
    LinkError,
    NotAuthorizedError,
    NotFoundError,
    OutOfDateError,
    RefusedError,
    RemoteError,
)
from firmware_bridge.link.meta import Meta, meta_object
from firmware_bridge.link.path import Path
from firmware_bridge.link.remote import (
    decode_error,
    decode_meta_object,
    encode_error,
    is_cancel,
    original,
    unknown_command,
)

META = Meta("me", 1700000000.5, ("x",), {"k": 1})


@pytest.mark.parametrize(
    ("items", "kind", "name", "text"),
    [
        ([-1], RemoteError, "_CSMErr", "_CSMErr: stopped"),
        ([-2], RemoteError, "_CNsErr", "_CNsErr: takes no stream"),
        ([-3], RemoteError, "_EMLClC", "_EMLClC: cancelled"),
        ([-4], RemoteError, "_CNCsErr", "_CNCsErr: takes no commands"),
        ([-5], RemoteError, "_CSDErr", "_CSDErr: data were dropped"),
        ([-6], RemoteError, "_CMSErr", "_CMSErr: must be called as a stream"),
        ([-7], RemoteError, "_rErr", "_rErr: an error that could not be encoded"),
        ([-8], RemoteError, "_COVErr", "_COVErr: receive buffer overrun"),
        ([-9], RemoteError, "unknown", "unknown: -9"),
        ([5], RemoteError, "unknown", "unknown: 5"),
        ([-11], NotFoundError, "_CNCErr", "0"),
        ([-14], NotFoundError, "_CNCErr", "3"),
        ([], RemoteError, "unknown", "unknown"),
        ([True], RemoteError, "unknown", "unknown: True"),
        ([None, 1], RemoteError, "unknown", "unknown: None, 1"),
        (["ZeroDivisionError", "by zero"], RemoteError, "ZeroDivisionError", None),
        ([Opaque(32769, "_CMSErr")], RemoteError, "_CMSErr", "_CMSErr"),
        ([RemoteObject("_EKyErr", ("zz",))], NotFoundError, "_EKyErr", "zz"),
        ([RemoteObject("_EKyErr", (7,))], NotFoundError, "_EKyErr", "7"),
        ([RemoteObject("_EKyErr", (Path("a", 1),))], NotFoundError, "_EKyErr", "a:1"),
        ([RemoteObject("_KyErr", (["nope", "dir"],))], NotFoundError, "_KyErr", "nope"),
        ([RemoteObject("_NPErr", ())], NotFoundError, "_NPErr", "not found"),
        ([RemoteObject("_ValErr", ("svc", 1))], RemoteError, "_ValErr", "_ValErr: svc, 1"),
        ([RemoteObject("_rErr", ("E", "by zero"))], RemoteError, "_rErr", None),
        ([RemoteObject("_AuD", ("No.",))], AuthenticationError, "_AuD", "No."),
        ([RemoteObject("_AuC")], AuthenticationError, "_AuC", "both sides have the same role"),
        ([RemoteObject("_AuV", (1, 1))], AuthenticationError, "_AuV", None),
        ([RemoteObject("_EMLClDt")], OutOfDateError, "_EMLClDt", "changed by somebody else"),
    ],
)
def test_decode(items: list[Any], kind: type[LinkError], name: str, text: str | None) -> None:
    """Every form of an error has a name; ours, where there is one."""
    error = decode_error(items)
    assert type(error) is kind
    remote = original(error)
    assert isinstance(remote, RemoteError)
    assert remote.name == name
    assert text is None or str(error) == text


def test_micropython_nests_arguments() -> None:
    """The one list of arguments is the arguments; not so for foreign exceptions."""
    nested = decode_error([RemoteObject("_ValErr", (["x", 1],))])
    foreign = decode_error([RemoteObject("_rErr", (["x", 1],))])
    assert isinstance(nested, RemoteError)
    assert isinstance(foreign, RemoteError)
    assert nested.arguments == ("x", 1)
    assert foreign.arguments == (["x", 1],)


def test_out_of_date_brings_metadata() -> None:
    """Who writes on a condition learns what is there."""
    error = decode_error([RemoteObject("_EMLClDt", (meta_object(META),))])
    assert isinstance(error, OutOfDateError)
    assert error.meta == META


@pytest.mark.parametrize(
    ("error", "items"),
    [
        (RemoteError("_KyErr", ("a", 1)), [RemoteObject("_KyErr", ("a", 1))]),
        (RemoteError("Odd", ("a",)), [RemoteObject("_rErr", ("Odd", "a"))]),
        (NotFoundError("a.b"), [RemoteObject("_EKyErr", ("a.b",))]),
        (OutOfDateError("x"), [RemoteObject("_EMLClDt", ("x",))]),
        (OutOfDateError("x", META), [RemoteObject("_EMLClDt", (meta_object(META),))]),
        (AuthenticationError("no"), [RemoteObject("_AuD", ("no",))]),
        (RefusedError("too hot"), [RemoteObject("_ValErr", ("too hot",))]),
        (NotAuthorizedError("t"), [RemoteObject("_ValErr", ("t: not authorized",))]),
        (ValueError("odd"), [RemoteObject("_ValErr", ("odd",))]),
        (KeyError("k", 1), [RemoteObject("_KyErr", ("k", 1))]),
        (NotImplementedError("n"), [RemoteObject("_NiErr", ("n",))]),
        (ConnectionLostError("gone"), [RemoteObject("_rErr", ("ConnectionLostError", "gone"))]),
        (ZeroDivisionError("z"), [RemoteObject("_rErr", ("ZeroDivisionError", "z"))]),
    ],
)
def test_encode(error: Exception, items: list[Any]) -> None:
    """Our errors have names that every MoaT program knows."""
    assert encode_error(error) == items


def test_encoded_errors_do_no_harm() -> None:
    """What would crash a peer is taken out of the arguments."""
    items = encode_error(RemoteError("_ValErr", (float("nan"), {("a", 1): float("inf")}, object())))
    (frame,) = FrameReader().feed(encode_frame([-2, *items]))
    error = decode_error(frame[1:])
    assert isinstance(error, RemoteError)
    assert error.arguments[0] is None


def test_unknown_command() -> None:
    """The reason is in the form that the real software uses."""
    assert encode_error(unknown_command(["foo", "bar"])) == [
        RemoteObject("_KyErr", ("foo", "Link", ["foo", "bar"], []))
    ]
    assert encode_error(unknown_command([])) == [RemoteObject("_KyErr", (None, "Link", [], []))]


def test_original_of_an_error_of_our_own() -> None:
    """There is nothing behind it."""
    error = RefusedError("x")
    assert original(error) is error


def test_metadata_among_arguments() -> None:
    """Metadata come back as they went; anything else is none."""
    assert decode_meta_object(meta_object(META)) == META
    assert decode_meta_object(RemoteObject("_MM", (1,))) is None
    assert decode_meta_object("me") is None


@pytest.mark.parametrize(
    ("frame", "cancel"), [([-2, -3], True), ([-2, -2], False), ([-2, -3.0], False), ([-2], False)]
)
def test_is_cancel(frame: list[Any], cancel: bool) -> None:
    """Only the code says so."""
    assert is_cancel(frame) is cancel
