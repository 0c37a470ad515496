"""Errors in words that mean something to people."""

import socket

import pytest

from firmware_bridge.link.errors import system_reason


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConnectionRefusedError(111, "Connect call failed"), "Connection refused"),
        (socket.gaierror(-3, "Temporary failure"), "host name not found"),
        (ConnectionResetError(), "the other side hung up"),
        (ValueError("no such port"), "no such port"),
    ],
)
def test_system_reason(error: Exception, told: str) -> None:
    assert system_reason(error) == told
