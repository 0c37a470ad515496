"""Coverage is compared with the first demand that fits."""

import pytest

from script.coverage import demanded, shortfalls

DEMANDS = {"a/pure/*": 100, "a/*": 95.0}


@pytest.mark.parametrize(
    ("path", "share"), [("a/pure/x.py", 100), ("a/x.py", 95), ("a/b/c.py", 95), ("b/x.py", 0)]
)
def test_first_pattern_counts(path: str, share: float) -> None:
    assert demanded(path, DEMANDS) == share


def test_shortfalls() -> None:
    def covered(share: float) -> dict[str, object]:
        return {"summary": {"percent_covered": share}, "missing_lines": [7, 9]}

    files = {"a/pure/x.py": covered(99.5), "a/good.py": covered(95.0), "b/x.py": covered(0)}
    assert shortfalls({"files": files}, DEMANDS) == [
        "a/pure/x.py: 99.5 % of 100 %, first missing lines: 7, 9"
    ]
