"""The first moment of the command."""

import sys
from importlib.abc import MetaPathFinder
from typing import Never, override

import pytest

from firmware_bridge import __main__ as rest
from firmware_bridge.start import main


class Interrupted(MetaPathFinder):
    """Somebody presses Ctrl-C while the rest is imported."""

    @override
    def find_spec(self, fullname: str, *_: object) -> None:
        if fullname == rest.__name__:
            raise KeyboardInterrupt


def test_interrupted_while_it_starts(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """That is no reason for a traceback."""
    monkeypatch.delitem(sys.modules, rest.__name__)
    monkeypatch.setattr(sys, "meta_path", [Interrupted(), *sys.meta_path])
    assert main() == 1
    assert capsys.readouterr() == ("", "")


def test_interrupted_before_anything_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt() -> Never:
        raise KeyboardInterrupt

    monkeypatch.setattr(rest, "main", interrupt)
    assert main() == 1


def test_does_the_rest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["moat-bridge", "server", "--check"])
    assert main() == 0
    assert capsys.readouterr().out.startswith("Server ")
