"""Listeners come and go, and do not harm each other."""

import logging

import pytest

from custom_components.moat_link.model.listeners import Listeners


def test_everybody_is_told_until_leaving() -> None:
    told: list[str] = []
    listeners: Listeners[[str]] = Listeners()
    leave = listeners.add(lambda word: told.append(f"a{word}"))
    listeners.add(lambda word: told.append(f"b{word}"))
    listeners("1")
    assert len(listeners) == 2
    leave()
    leave()
    listeners("2")
    assert told == ["a1", "b1", "b2"]
    assert len(listeners) == 1


def test_the_same_callback_twice() -> None:
    told: list[int] = []
    listeners: Listeners[[int]] = Listeners()
    leave = listeners.add(told.append)
    listeners.add(told.append)
    leave()
    listeners(1)
    assert told == [1]


def test_leaving_while_being_told() -> None:
    told: list[str] = []
    listeners: Listeners[[]] = Listeners()

    def first() -> None:
        told.append("first")
        leave()

    listeners.add(first)
    leave = listeners.add(lambda: told.append("second"))
    listeners()
    assert told == ["first"]


def test_one_that_fails_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    told: list[str] = []
    listeners: Listeners[[]] = Listeners()
    listeners.add(lambda: told.append(str(1 / 0)))
    listeners.add(lambda: told.append("told"))
    with caplog.at_level(logging.ERROR):
        listeners()
        listeners()
    assert told == ["told", "told"]
    assert len(caplog.records) == 1
