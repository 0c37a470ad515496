"""Paths and their spellings."""

import copy
import pickle
from enum import IntEnum, StrEnum

import pytest
from hypothesis import assume, given, strategies as st

from firmware_bridge.link.errors import DecodeError, EncodeError
from firmware_bridge.link.path import MAX_LEVELS, ROOT, Path, wildcard
from tests.support import strategies, vectors

TOPICS = vectors.load("moat-link/topics")
RECORDED = [
    pytest.param(vectors.value(vector["elements"]), vector, id=vector["name"])
    for vector in TOPICS["vectors"]
]
BASE = Path.parse(TOPICS["root"])


class Word(StrEnum):
    """Text that is more than text."""

    HOME = "home"


class Number(IntEnum):
    """An integer that is more than one."""

    ONE = 1


@pytest.mark.parametrize(("elements", "vector"), RECORDED)
def test_writes_what_moat_writes(elements, vector):
    """All three spellings are those of the real software."""
    path = Path(*elements)
    assert str(path) == vector["dotted"]
    assert (BASE / path).topic == vector["topic"]
    assert list(path) == elements


@pytest.mark.parametrize(("elements", "vector"), RECORDED)
def test_reads_what_moat_writes(elements, vector):
    """From left to right, thus also what the real software cannot read back."""
    path = Path(*elements)
    assert Path.parse(vector["dotted"]) == path
    assert Path.from_topic(vector["topic"]) == BASE / path
    assert Path.from_topic(vector["topic"]).relative_to(BASE) == path


@given(strategies.paths)
def test_survives_a_topic(path):
    """Every path but those of nothing but an empty name can be told from its topic."""
    assume(path != Path(""))
    back = Path.from_topic(path.topic)
    assert back == path
    assert list(map(type, back)) == list(map(type, path))


@given(strategies.paths | strategies.rooted)
def test_survives_dotted_text(path):
    """Including the root's marker and the empty path."""
    back = Path.parse(str(path))
    assert back == path
    assert repr(back.elements) == repr(path.elements)


@given(strategies.paths, strategies.paths)
def test_equal_means_same_elements(one, other):
    """Equality, hash and topic agree with the elements and their types."""
    same = repr(one.elements) == repr(other.elements)
    assert (one == other) == same
    assert (hash(one) == hash(other)) == same


@given(strategies.paths)
def test_never_leaves_its_place(path):
    """No element adds a level, a wildcard or anything that MQTT forbids to the topic."""
    topic = (Path("root") / path).topic
    assert topic.split("/")[0] == "root"
    assert topic.count("/") == len(path)
    assert not set("+#\0") & set(topic)
    assert topic.isprintable()


@pytest.mark.parametrize("values", [(1, True, "1", 1.0, (1,)), (0, False, "0", 0.0, -0.0, None)])
def test_is_type_strict(values):
    """What Python takes for equal are different nodes."""
    assert len({Path("a", value) for value in values}) == len(values)
    assert Path("a") != "a"


def test_strips_subclasses():
    """Enumerations are what they are derived from, so that nothing depends on them later."""
    path = Path(Word.HOME, Number.ONE)
    assert [type(element) for element in path] == [str, int]
    assert path == Path("home", 1)


def test_behaves_like_a_sequence():
    """Length, items, slices, parent."""
    path = Path("a", 1, None)
    assert len(path) == 3
    assert path[1] == 1
    assert path[1:] == Path(1, None)
    assert path.parent == Path("a", 1)
    assert Path().parent == Path()
    assert path / "b" / Path(2, 3) == Path("a", 1, None, "b", 2, 3)
    assert path / ("x", 1) == Path("a", 1, None, ("x", 1))
    assert repr(path) == "Path('a:1:n')"
    assert not Path()
    assert copy.deepcopy(path) == pickle.loads(pickle.dumps(path)) == path


def test_compares_by_whole_elements():
    """A prefix ends where an element ends."""
    assert Path("a", "b").starts_with(Path("a"))
    assert Path("a", "b").starts_with(Path())
    assert Path("").starts_with(Path())
    assert not Path("ab").starts_with(Path("a"))
    assert not Path("a").starts_with(Path("a", ""))
    assert Path("a", "b").relative_to(Path("a", "b")) == Path()
    with pytest.raises(ValueError, match="is not below"):
        Path("ab").relative_to(Path("a"))


def test_the_empty_path_is_not_an_empty_name():
    """Though below a root, and only there, their topics are the same text."""
    assert Path() != Path("")
    assert str(Path()) == ":"
    assert str(Path("")) == ":e"
    assert Path.from_topic("") == Path()
    assert (Path("r") / Path()).topic == "r"
    assert (Path("r") / "").topic == "r/"
    assert Path.from_topic("r/") == Path("r", "")


def test_the_root_is_a_marker_until_it_is_known():
    """A path with the marker has no topic."""
    path = Path.parse(":R.run.id")
    assert path == Path(ROOT, "run", "id")
    assert path.resolve() == Path("run", "id")
    assert path.resolve(Path("moat", "x")) == Path("moat", "x", "run", "id")
    assert Path("run").resolve(Path("moat")) == Path("run")
    assert path != Path("R", "run", "id")
    with pytest.raises(EncodeError, match=r"root of :R\.run\.id"):
        _ = path.topic
    with pytest.raises(EncodeError, match="marker within"):
        Path("a", ROOT)
    with pytest.raises(EncodeError, match="marker within"):
        _ = Path("a") / path
    with pytest.raises(DecodeError):
        Path.parse("a:R")


def test_filters():
    """A subtree includes its node; wildcards in names do not act as such."""
    assert wildcard(Path("a", "+"), subtree=True) == "a/:p/#"
    assert wildcard(Path("a", 1), subtree=False) == "a/:1"
    assert wildcard(Path(), subtree=True) == "#"


@pytest.mark.parametrize(
    ("topic", "elements"),
    [
        (":x1f", [31]),
        (":o17", [15]),
        (":b-11", [-3]),
        (":i5", [5]),
        (":0x1f", [31]),
        (":0o17", [15]),
        (":0b11", [3]),
        (":y00ff", [b"\0\xff"]),
        (":y", [b""]),
        (":s+/A=".replace("+", ":p").replace("/", ":|"), [b"\xfb\xf0"]),
        (":v:_:|:p", [b" /+"]),
        ("a:_b", ["a b"]),
        (":_", [" "]),
        ("::", [":"]),
        (":h:p:|", ["#+/"]),
        (":u41", ["A"]),
        ("a:u1-b", ["a\x01b"]),
        ("a:u1--b", ["a\x01-b"]),
        (":1e5", [1e5]),
        (":-1.5e-7", [-1.5e-7]),
        (":.5", [0.5]),
        (":()", [()]),
        (":(1,2)", [(1, 2)]),
        (":1,:_( 2 , 3 )", [(1, (2, 3))]),
        (":1,2,", [(1, 2)]),
        (":((1))", [1]),
        (":(b'x','y'),", [((b"x", "y"),)]),
        (":'a'", ["a"]),
        (""":"it's",'\\x2f\\u00e4\\\\'""", [("it's", "/ä\\")]),
        (":True,False,None", [(True, False, None)]),
        ("a b/ü/温", ["a b", "ü", "温"]),
        ("a\xa0b", ["a\xa0b"]),
    ],
)
def test_reads_other_spellings(topic, elements):
    """What others may write for the same; we have one spelling for each."""
    path = Path.from_topic(topic)
    assert repr(list(path)) == repr(elements)
    assert Path.from_topic(path.topic) == path == Path(*elements)


@pytest.mark.parametrize(
    "topic",
    [
        "a/+",
        "#",
        "a\0",
        "\ud800",
        ":",
        "a:",
        "a:z",
        ":zz:bad",
        ":t1",
        ":R",
        ":S",
        ":s!",
        ":sA",
        ":vü",
        ":yx",
        ":x",
        ":x1_f",
        ":x\u0661",
        ":b2",
        ":1_000",
        ":007",
        ":1.2.3",
        ":0b12",
        ":1e999",
        ":inf",
        ":nan",
        ":1,,2",
        ":,",
        ":(1",
        ":1)",
        ":(1))",
        ":1 2",
        ":'a''b'",
        ":'a",
        ":'\\d'",
        ":b'\\u0041',",
        ":'\\ud800'",
        ":'\\U99999999'",
        ":(" * 9 + "1" + ")" * 9,
        ":" + "(" * 9 + "1" + ")" * 9,
        ":" + "1" * 100,
        ":x" + "f" * 100,
        ":" + "1" * 2000,
        ":ud800",
        ":u110000",
        ":a=1",
        ":exec('1')",
        ":1+1",
        ":1j",
        ":f''",
        ":[1]",
        ":{}",
    ],
)
def test_refuses_topics(topic):
    """One exception for all that cannot be read."""
    with pytest.raises(DecodeError):
        Path.from_topic(topic)


@pytest.mark.parametrize(
    "dotted", ["", ".", "a.", ".a", "a..b", "a:", "a.:t", "a::.:", ":S.x", "a:h", "a:ud800", ":tt"]
)
def test_refuses_dotted_text(dotted):
    """What people type is read strictly; an empty name is written `:e`."""
    with pytest.raises(DecodeError):
        Path.parse(dotted)


@pytest.mark.parametrize(
    ("dotted", "elements"),
    [
        ("home.kitchen", ["home", "kitchen"]),
        ("a b.c", ["a b", "c"]),
        ("a:1:t:e.b", ["a", 1, True, "", "b"]),
        (":1:.5:s/w==", [1.5, b"\xff"]),
        (":1.5", [1, "5"]),
        (":+5", [5]),
        ("+.#./", ["+", "#", "/"]),
        ("a:u41b", ["a\u041b"]),
    ],
)
def test_reads_dotted_text(dotted, elements):
    """As the real software reads it."""
    assert repr(list(Path.parse(dotted))) == repr(elements)


@pytest.mark.parametrize(
    "element",
    [
        float("nan"),
        float("inf"),
        2**256,
        -(2**256),
        "\ud800",
        ("a", "\udfff"),
        object(),
        {},
        Path("a"),
        ("x" * 1000,),
        (((((((((1,),),),),),),),),),
        "x" * 65_536,
        "\x01" * 22_000,
    ],
)
def test_refuses_elements(element):
    """What has no spelling, or one that no broker takes."""
    with pytest.raises(EncodeError):
        Path("a", element)
    with pytest.raises(DecodeError):
        Path.of(["a", element])


def test_bounds_the_number_of_levels():
    """A broker closes the connection of whoever sends more."""
    assert len(Path(*"a" * MAX_LEVELS)) == MAX_LEVELS
    assert len(Path.from_topic("a/" * (MAX_LEVELS - 1) + ":1")) == MAX_LEVELS
    with pytest.raises(EncodeError, match="too long"):
        Path(*"a" * (MAX_LEVELS + 1))
    with pytest.raises(DecodeError, match="too long"):
        Path.from_topic("a/" * MAX_LEVELS)
    with pytest.raises(DecodeError, match="too long"):
        Path.parse("a" * 65_536)
    with pytest.raises(DecodeError, match="too long"):
        Path.from_topic("a" * 65_536)


def test_takes_long_topics():
    """Up to what MQTT can carry, counted in bytes."""
    assert Path.from_topic("a" * 65_535).topic == "a" * 65_535
    assert Path.from_topic("ü" * 32_767) == Path("ü" * 32_767)
    with pytest.raises(DecodeError, match="too long"):
        Path.from_topic("ü" * 32_768)


@given(st.text(max_size=30) | st.text(":(),'\"\\1.etfnsvyxobiu- |hp_/", max_size=30))
def test_reads_anything_or_says_so(text):
    """Whatever comes, it is a path that keeps its topic, or a DecodeError."""
    for read in (Path.from_topic, Path.parse):
        try:
            path = read(text).resolve()
        except DecodeError:
            continue
        assume(path != Path(""))
        assert Path.from_topic(path.topic) == path
