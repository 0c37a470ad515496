"""From a wish to what is sent, and from the state to "done"."""

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from custom_components.moat_link.link.errors import CommandError, CommandFailure
from custom_components.moat_link.link.path import Path
from custom_components.moat_link.model import Call, Publication, confirms, prepare
from custom_components.moat_link.model.values import reader_for

from .test_values import described

CMD = Path("a", "cmd")
SET = {"path": CMD}
RANGE = {"min": -100, "max": 100, "write": SET}


def sent(value: Any, quantity: str, **row: Any) -> Any:
    found = prepare(described(quantity, **{"write": SET} | row), value, now=1000.0)
    assert isinstance(found, Publication)
    assert found.path == CMD
    return found.value


def refused(value: Any, quantity: str, **row: Any) -> CommandFailure:
    with pytest.raises(CommandError) as caught:
        prepare(described(quantity, **row), value, now=1000.0)
    return caught.value.reason


def test_numbers() -> None:
    assert sent(1.5, "power", **RANGE) == 1.5
    assert sent(2, "power", **RANGE) == 2.0
    assert isinstance(sent(2.0, "power", **RANGE), float)
    assert isinstance(sent(2.0, "power", **RANGE, step=1), int)
    assert sent(2.5, "power", **RANGE, step=1) == 2.5
    assert sent(7, "ratio", **RANGE, scale=100) == 0.07


@pytest.mark.parametrize(
    "value", [101, -101, float("nan"), float("inf"), 10**400, True, "5", None, datetime.now(UTC)]
)
def test_what_is_no_number_in_range(value: Any) -> None:
    assert refused(value, "power", **RANGE) is CommandFailure.INVALID


def test_booleans() -> None:
    assert sent(True, "relay") is True
    assert sent(False, "relay", on=1, off=0) == 0
    assert refused(1, "relay", write=SET) is CommandFailure.INVALID
    assert refused(None, "relay", write=SET) is CommandFailure.INVALID


def test_choices() -> None:
    assert sent("a", "enum", options=["a", "b"]) == "a"
    assert sent("auto", "enum", options=[[None, "auto"], [5, "on"], [6, "on"]]) is None
    assert sent("on", "enum", options=[[None, "auto"], [5, "on"], [6, "on"]]) == 5
    assert refused("c", "enum", options=["a"], write=SET) is CommandFailure.INVALID
    assert refused(5, "enum", options=["a"], write=SET) is CommandFailure.INVALID


def test_covers_are_asked_for_a_goal() -> None:
    assert sent("open", "cover") == "open"
    assert sent("stopped", "cover") == "stopped"
    assert sent("closed", "valve", options=[[1, "open"], [0, "closed"]]) == 0
    assert refused("opening", "cover", write=SET) is CommandFailure.INVALID
    assert refused("stopped", "valve", options=["open", "closed"], write=SET)


def test_texts_and_triggers() -> None:
    assert sent("hello", "text") == "hello"
    assert refused("x" * 256, "text", write=SET) is CommandFailure.INVALID
    assert refused(5, "text", write=SET) is CommandFailure.INVALID
    assert sent(None, "button") is True
    assert refused(True, "button", write=SET) is CommandFailure.INVALID


def test_what_cannot_be_set() -> None:
    assert refused(5, "power") is CommandFailure.READ_ONLY


def test_publications() -> None:
    row = described("relay", write={"path": CMD, "retain": True})
    assert prepare(row, True, now=5.0) == Publication(path=CMD, value=True, retain=True)


def test_intents() -> None:
    write = {"path": CMD, "expires": 900}
    row = described("enum", options=[[None, "auto"], [True, "on"]], write=write)
    found = prepare(row, "on", now=1000.0, reason="plan")
    assert isinstance(found, Publication)
    assert found.value == {"value": True, "expires": 1900.0, "reason": "plan"}
    found = prepare(row, "on", now=1000.0)
    assert isinstance(found, Publication)
    assert found.value == {"value": True, "expires": 1900.0}
    found = prepare(row, "auto", now=1000.0, reason="plan")
    assert isinstance(found, Publication)
    assert found.value is None


def test_calls() -> None:
    write = {"service": "run.host.pi.x", "command": ["relay", "set"], "args": [3]}
    service = Path("run", "host", "pi", "x")
    assert prepare(described("relay", write=write), True, now=5.0) == Call(
        service=service, command=("relay", "set"), arguments=(3, True)
    )
    assert prepare(described("button", write=write), None, now=5.0) == Call(
        service=service, command=("relay", "set"), arguments=(3,)
    )
    row = described("relay", write=write | {"expires": 60})
    assert prepare(row, False, now=5.0, reason="test") == Call(
        service=service,
        command=("relay", "set"),
        arguments=(3, False),
        keywords={"expires": 65.0, "reason": "test"},
    )


@pytest.mark.parametrize(
    ("quantity", "row", "wish", "value", "done"),
    [
        ("relay", {}, True, True, True),
        ("relay", {}, True, False, False),
        ("relay", {}, True, None, False),
        ("power", RANGE, 3.141, 3.140625, True),
        ("power", RANGE, 3.2, 3.1, False),
        ("power", RANGE, 0.0, 0.0, True),
        ("power", RANGE | {"step": 1}, 3.4, 3.0, True),
        ("power", RANGE | {"step": 1}, 4.0, 3.0, False),
        ("enum", {"options": ["a", "b"]}, "a", "a", True),
        ("enum", {"options": ["a", "b"]}, "a", "b", False),
        ("cover", {}, "open", "opening", True),
        ("cover", {}, "open", "open", True),
        ("cover", {}, "open", "closing", False),
        ("cover", {}, "stopped", "stopped", True),
        ("cover", {}, "stopped", None, False),
        ("text", {}, "x", "x", True),
    ],
)
def test_confirmation(quantity: str, row: Any, wish: Any, value: Any, done: bool) -> None:
    assert confirms(described(quantity, **{"write": SET} | row), wish, value) is done


@settings(deadline=None)
@given(
    st.just(0.0) | st.floats(1e-9, 100) | st.floats(-100, -1e-9),
    st.sampled_from([None, 0.001, 0.1, 3, 1000, -1]),
)
def test_what_is_sent_reads_back(value: float, scale: float | None) -> None:
    row = described("power", **RANGE, **({"scale": scale} if scale else {}))
    found = prepare(row, value, now=0.0)
    assert isinstance(found, Publication)
    again = reader_for(row)(found.value)
    assert isinstance(again, float)
    assert confirms(row, value, again)
