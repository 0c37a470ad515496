"""Names of files: in order whatever the clock does, and never too long."""

from firmware_bridge.server.names import next_name

PATTERN = "%Y-%m/%d/%H-%M-%S.moat"
NOW = 1_800_000_000.0
HERE = "2027-01/15/08-00-00.moat"


def test_by_the_time() -> None:
    assert next_name(PATTERN, NOW, "", lambda _: False) == HERE
    assert next_name(PATTERN, NOW, "2027-01/14/99.moat", lambda _: False) == HERE


def test_within_a_second() -> None:
    """The second file of a second gets the next one."""
    assert next_name(PATTERN, NOW, HERE, lambda _: False) == "2027-01/15/08-00-01.moat"
    taken = {HERE, "2027-01/15/08-00-01.moat"}
    assert next_name(PATTERN, NOW, "", taken.__contains__) == "2027-01/15/08-00-02.moat"


def test_after_the_real_server() -> None:
    """Its names have no seconds, and sort behind ours of the same minute."""
    assert next_name(PATTERN, NOW, "2027-01/15/08-00.moat", lambda _: False) > "2027-01/15/08-01"


def test_the_clock_has_gone_back() -> None:
    """Thousands of files later, names are in order, and of the same length."""
    names = ["2030-01/01/00-00-00.moat"]
    for _ in range(12_000):
        names.append(next_name(PATTERN, NOW, names[-1], lambda _: False))
    assert names == sorted(names)
    assert len(set(names)) == len(names)
    assert names[1] == "2030-01/01/00-00-00_0001.moat"
    assert max(map(len, names)) < 40


def test_everything_is_taken() -> None:
    name = next_name(PATTERN, NOW, "", lambda name: "_0003" not in name)
    assert name == "2027-01/15/08-01-00_0003.moat"
