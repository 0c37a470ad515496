"""Which subtrees to watch."""

from hypothesis import given, settings, strategies as st

from custom_components.moat_link.model.prefixes import FAN, MOST, covering


def test_a_few_topics_are_watched_one_by_one() -> None:
    assert set(covering(["a/b", "a/c", "b"])) == {"a/b", "a/c", "b"}


def test_many_are_watched_together() -> None:
    assert list(covering(f"a/{number}/x" for number in range(FAN))) == ["a"]
    assert len(list(covering(f"a/{number}/x" for number in range(FAN - 1)))) == FAN - 1


def test_the_root_never() -> None:
    assert len(list(covering(str(number) for number in range(50)))) == 50
    assert len(list(covering(f"/{number}" for number in range(50)))) == 50


def test_there_is_an_end() -> None:
    """Somebody who describes a thousand scattered values gets larger subtrees, not a thousand."""
    scattered = [f"{number}/{more}/x" for number in range(MOST // 2) for more in "abc"]
    assert set(covering(scattered)) == {str(number) for number in range(MOST // 2)}
    assert len(list(covering([*(f"{number}/x" for number in range(2 * MOST)), "/x"]))) == MOST


def test_what_lies_below_another_is_covered() -> None:
    assert list(covering(["a", "a/b", "a/b/c"])) == ["a"]
    assert list(covering([])) == []


@settings(deadline=None)
@given(st.sets(st.lists(st.sampled_from("abcdefghijkl"), min_size=1, max_size=4).map("/".join)))
def test_everything_is_covered_once(topics: set[str]) -> None:
    found = list(covering(topics))
    for topic in topics:
        assert len([each for each in found if f"{topic}/".startswith(f"{each}/")]) == 1
    assert all(any(f"{topic}/".startswith(f"{each}/") for topic in topics) for each in found)
