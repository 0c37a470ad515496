"""Which rule counts, and how it is written."""

import pytest

from firmware_bridge.server.retention import Keep, Rules, make_rule, parse_rule, parse_size


def test_longest_prefix() -> None:
    rules = Rules({"a": Keep(age=1), "a/b": Keep(size=2)})
    assert rules.prefix("a/b/c") == "a/b"
    assert rules.prefix("a/b") == "a/b"
    assert rules.prefix("a/bc") == "a"
    assert rules.prefix("ab") is None
    assert rules["a/b"] == Keep(size=2)
    assert Rules({"": Keep(age=1)}).prefix("x") == ""


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("30", Keep(age=2_592_000.0)),
        ("0.5, 500M", Keep(age=43_200.0, size=524_288_000)),
        (",2GiB", Keep(size=2 << 30)),
        (",1.5g", Keep(size=3 << 29)),
        (",100000", Keep(size=100_000)),
        (",64kB", Keep(size=65_536)),
    ],
)
def test_rules(text: str, rule: Keep) -> None:
    assert parse_rule(text) == rule


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "days, a size"),
        ("x", "x is no number of days"),
        ("0", "more than 0"),
        ("-1", "more than 0"),
        ("nan", "more than 0"),
        ("inf", "more than 0"),
        ("1,x", "x is no size"),
        (",1X", "1X is no size"),
        (",-5M", "too small"),
        (",1", "too small"),
        (",infM", "no size"),
        (",nan", "no size"),
    ],
)
def test_wrong_rules(text: str, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        parse_rule(text)


def test_from_a_table() -> None:
    assert make_rule(30, None) == parse_rule("30")
    assert make_rule(None, 1_000_000) == Keep(size=1_000_000)
    assert parse_size("1T") == 1 << 40
