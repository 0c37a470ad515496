"""Descriptions: strict per field, lenient per device, and never another exception."""

import contextlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings, strategies as st

from firmware_bridge.link.codec import ABSENT, Opaque, RemoteObject, decode, encode
from firmware_bridge.link.describe import (
    MAX_PARTS,
    MAX_POINTS,
    Access,
    Category,
    Code,
    DescriptionError,
    DescriptionIssue,
    DeviceDescription,
    PartDescription,
    PointDescription,
    WritePath,
    WriteService,
    describe,
    parse_device,
)
from firmware_bridge.link.path import ROOT, Path
from firmware_bridge.link.points import default_access
from firmware_bridge.link.quantity import QUANTITIES, Family, Kind, Quantity, StateClass
from tests.support.effort import examples

HERE = Path("home", "hall")
SET = {"path": HERE / "cmd"}


def read(value: Any, device_id: str = "box") -> tuple[DeviceDescription, list[DescriptionIssue]]:
    return parse_device(device_id, value)


def point(**row: Any) -> PointDescription:
    """Read one point that must be right."""
    device, issues = read(
        {"v": 1, "name": "Box", "parts": {"c1": {}}, "points": [{"key": "p", "path": HERE} | row]}
    )
    assert issues == []
    return device.points[0]


def issue(**row: Any) -> DescriptionIssue:
    """Read one point that must be wrong."""
    device, issues = read(
        {"v": 1, "name": "Box", "parts": {"c1": {}}, "points": [{"key": "p", "path": HERE} | row]}
    )
    assert device.points == ()
    assert len(issues) == 1
    return issues[0]


def key(value: Any) -> str:
    with pytest.raises(DescriptionError) as caught:
        read(value)
    assert caught.value.issue.key in str(caught.value)
    assert str(caught.value).startswith("device.box: ")
    return caught.value.issue.key


def test_a_thermometer() -> None:
    device, issues = read(
        {
            "v": 1,
            "name": "Hall",
            "points": [{"key": "temperature", "quantity": "temperature", "path": "home.hall"}],
        }
    )
    assert issues == []
    assert device == DeviceDescription(
        id="box",
        name="Hall",
        points=(
            PointDescription(
                key="temperature",
                quantity=Quantity.TEMPERATURE,
                unit="°C",
                state_class=StateClass.MEASUREMENT,
                path=HERE,
            ),
        ),
    )
    assert device.points[0].readable
    assert not device.points[0].writable


def test_all_facts_of_a_device() -> None:
    device, issues = read(
        {
            "v": 1,
            "name": " Battery ",
            "kind": "battery",
            "maker": "DIY",
            "model": "16S",
            "serial": "4711",
            "software": "1.2",
            "hardware": "B",
            "area": "Cellar",
            "via": "bridge",
            "alive": Path(ROOT, "run", "host", "pi", "bridge"),
            "parts": {"c1": {"name": "Cell 1", "kind": "cell", "software": "3"}, "c2": {}},
            "later": "unknown keys are for later versions",
        }
    )
    assert issues == []
    assert device == DeviceDescription(
        id="box",
        name="Battery",
        kind="battery",
        maker="DIY",
        model="16S",
        serial="4711",
        software="1.2",
        hardware="B",
        area="Cellar",
        via="bridge",
        alive=Path("run", "host", "pi", "bridge"),
        parts={
            "c1": PartDescription(name="Cell 1", kind="cell", software="3"),
            "c2": PartDescription(name="c2"),
        },
    )


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (None, "(all)"),
        (ABSENT, "(all)"),
        ([], "(all)"),
        ({}, "v"),
        ({"v": None}, "v"),
        ({"v": True}, "v"),
        ({"v": "1"}, "v"),
        ({"v": 0}, "v"),
        ({"v": 2, "name": "Later"}, "v"),
        ({"v": 10**400}, "v"),
        ({"v": 1, "points": {}}, "points"),
    ],
)
def test_unusable(value: Any, where: str) -> None:
    assert key(value) == where


@pytest.mark.parametrize("device_id", ["", "a/b", "a b", "ü", "x" * 65, "a\n"])
def test_unusable_ids(device_id: str) -> None:
    with pytest.raises(DescriptionError) as caught:
        read({"v": 1, "name": "Box"}, device_id)
    assert caught.value.issue.key == "(id)"
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("name", None),
        ("name", 5),
        ("name", "  "),
        ("name", "x" * 256),
        ("name", "a\nb"),
        ("name", "\ud800"),
        ("maker", b"x"),
        ("via", "not an id"),
        ("via", "box"),
        ("alive", 5),
        ("alive", "a..b"),
        ("alive", [1.5]),
        ("alive", Path()),
        ("alive", "x" * 1001),
        ("alive", ["x"] * 51),
        ("alive", ":1" * 51),
        ("parts", []),
    ],
)
def test_a_broken_fact_is_left_out(name: str, value: Any) -> None:
    device, issues = read({"v": 1, "name": "Box", name: value})
    assert [each.key for each in issues] == [name]
    assert getattr(device, name) in (None, "box", {})


def test_broken_parts_are_left_out() -> None:
    device, issues = read(
        {
            "v": 1,
            "name": "Box",
            "parts": {"a": {}, "b c": {}, 1: {}, "d": 5, "e": {"name": 5}},
            "points": [{"key": "p", "quantity": "number", "path": HERE, "part": "d"}],
        }
    )
    assert set(device.parts) == {"a"}
    assert device.points == ()
    keys = [each.key for each in issues]
    assert keys == ["parts", "parts", "parts.d", "parts.e.name", "points[0].part"]


def test_too_much() -> None:
    device, issues = read(
        {
            "v": 1,
            "name": "Box",
            "parts": {f"p{number}": {} for number in range(MAX_PARTS + 1)},
            "points": [
                {"key": f"p{number}", "quantity": "number", "path": HERE}
                for number in range(MAX_POINTS + 1)
            ],
        }
    )
    assert len(device.points) == MAX_POINTS
    assert len(device.parts) == MAX_PARTS
    assert {each.key for each in issues} == {"points", "parts"}


@pytest.mark.parametrize(
    "path", [HERE, Path(ROOT, "home", "hall"), "home.hall", ":R.home.hall", ["home", "hall"]]
)
def test_spellings_of_a_path(path: Any) -> None:
    assert point(quantity="number", path=path).path == HERE


def test_units() -> None:
    assert point(quantity="voltage", unit="mV").unit == "mV"
    assert point(quantity="voltage").unit == "V"
    assert point(quantity="current", unit="\u00b5A").unit == "\u03bcA"
    assert point(quantity="ratio").unit == "%"
    assert point(quantity="ratio", unit=None).unit is None
    assert point(quantity="number", unit="EUR/kWh").unit == "EUR/kWh"
    assert issue(quantity="voltage", unit="W").key == "points[0].unit"
    assert issue(quantity="voltage", unit=None).problem.startswith("null is not a unit")
    assert issue(quantity="relay", unit="W").problem == "'W' is not a unit of relay (null)"


def test_state_classes() -> None:
    assert point(quantity="energy").state_class is StateClass.TOTAL_INCREASING
    assert point(quantity="energy", state_class="total").state_class is StateClass.TOTAL
    assert point(quantity="relay").state_class is None
    assert issue(quantity="power", state_class="total").key == "points[0].state_class"
    assert issue(quantity="power", state_class="sum").key == "points[0].state_class"


@pytest.mark.parametrize(
    ("row", "where"),
    [
        ({}, "quantity"),
        ({"quantity": "flux"}, "quantity"),
        ({"quantity": 5}, "quantity"),
        ({"quantity": "number", "key": None}, "key"),
        ({"quantity": "number", "key": "A"}, "key"),
        ({"quantity": "number", "path": None}, "path"),
        ({"quantity": "number", "item": 1.5}, "item"),
        ({"quantity": "number", "item": True}, "item"),
        ({"quantity": "number", "item": 2**63}, "item"),
        ({"quantity": "number", "item": ["a"] * 17}, "item"),
        ({"quantity": "number", "item": "x" * 256}, "item"),
        ({"quantity": "number", "precision": 11}, "precision"),
        ({"quantity": "number", "precision": 1.0}, "precision"),
        ({"quantity": "number", "precision": True}, "precision"),
        ({"quantity": "number", "max_age": 0}, "max_age"),
        ({"quantity": "number", "max_age": "60"}, "max_age"),
        ({"quantity": "number", "max_age": True}, "max_age"),
        ({"quantity": "number", "max_age": float("inf")}, "max_age"),
        ({"quantity": "number", "max_age": 10**400}, "max_age"),
        ({"quantity": "number", "scale": 0}, "scale"),
        ({"quantity": "number", "scale": 5e-324}, "scale"),
        ({"quantity": "number", "step": 0}, "step"),
        ({"quantity": "number", "enabled": 1}, "enabled"),
        ({"quantity": "number", "category": "main"}, "category"),
        ({"quantity": "number", "category": "config"}, "category"),
        ({"quantity": "number", "part": "c3"}, "part"),
        ({"quantity": "number", "group": "a b"}, "group"),
        ({"quantity": "number", "min": 5, "max": 5}, "max"),
        ({"quantity": "text", "max": 256}, "max"),
        ({"quantity": "text", "min": 1.5}, "min"),
        ({"quantity": "number", "access": "x"}, "access"),
        ({"quantity": "number", "access": "rw"}, "write"),
        ({"quantity": "number", "access": "r", "write": SET}, "write"),
        ({"quantity": "number", "write": SET}, "min"),
        ({"quantity": "number", "write": SET, "min": 0}, "max"),
        ({"quantity": "number", "write": 5}, "write"),
        ({"quantity": "number", "write": {}}, "write"),
        ({"quantity": "number", "write": {"path": HERE, "service": HERE}}, "write"),
        ({"quantity": "relay", "write": {"path": "run.stop.pi.homeassistant"}}, "write.path"),
        ({"quantity": "relay", "write": {"path": ":R.device.other"}}, "write.path"),
        ({"quantity": "relay", "write": {"path": "error"}}, "write.path"),
        ({"quantity": "number", "write": {"path": HERE, "retain": 1}}, "write.retain"),
        ({"quantity": "number", "write": {"path": HERE, "expires": 0}}, "write.expires"),
        ({"quantity": "number", "write": {"service": HERE}}, "write.command"),
        (
            {"quantity": "number", "write": {"service": HERE, "command": "set", "args": 5}},
            "write.args",
        ),
        (
            {"quantity": "number", "write": {"service": HERE, "command": "set", "args": [[]]}},
            "write.args",
        ),
        ({"quantity": "button"}, "write"),
        ({"quantity": "button", "access": "rw", "write": SET}, "access"),
        ({"quantity": "event", "options": ["a"], "access": "w", "write": SET}, "access"),
        ({"quantity": "timestamp", "write": SET}, "access"),
        ({"quantity": "enum"}, "options"),
        ({"quantity": "event"}, "options"),
        ({"quantity": "enum", "options": []}, "options"),
        ({"quantity": "enum", "options": "auto"}, "options"),
        ({"quantity": "enum", "options": ["a"] * 257}, "options"),
        ({"quantity": "enum", "options": ["a", ""]}, "options[1]"),
        ({"quantity": "enum", "options": ["a", 5]}, "options[1]"),
        ({"quantity": "enum", "options": ["a", "a"]}, "options"),
        ({"quantity": "enum", "options": [[1, "a"], [1.0, "b"]]}, "options"),
        ({"quantity": "enum", "options": [["a"]]}, "options[0]"),
        ({"quantity": "enum", "options": [[b"", "a"]]}, "options[0]"),
        ({"quantity": "enum", "options": [["x" * 256, "a"]]}, "options[0]"),
        ({"quantity": "enum", "options": [[float("nan"), "a"]]}, "options[0]"),
        ({"quantity": "relay", "on": 1}, "on"),
        ({"quantity": "relay", "off": 1}, "on"),
        ({"quantity": "relay", "on": 1, "off": 1.0}, "off"),
        ({"quantity": "relay", "on": [], "off": 1}, "on"),
        ({"quantity": "cover", "write": SET, "options": ["open"]}, "options"),
        ({"quantity": "cover", "write": SET, "options": ["open", "closed", "ajar"]}, "options"),
        ({"quantity": "brightness", "unit": None}, "min"),
        ({"quantity": "light"}, "group"),
    ],
)
def test_broken_points(row: dict[str, Any], where: str) -> None:
    assert issue(**row).key == f"points[0].{where}"


def test_what_is_no_point() -> None:
    values = [5, "p", None, [], ABSENT, b"", 1.5, datetime.now(UTC), Path(), True]
    device, issues = read({"v": 1, "name": "Box", "points": values})
    assert device.points == ()
    assert [each.key for each in issues] == [f"points[{place}]" for place in range(len(values))]


def test_keys_are_unique() -> None:
    row = {"key": "p", "quantity": "number", "path": HERE}
    device, issues = read({"v": 1, "name": "Box", "points": [row, row | {"unit": "x"}]})
    assert [each.unit for each in device.points] == [None]
    assert issues == [DescriptionIssue("points[1].key", "'p' is taken by points[0]")]


def test_access() -> None:
    assert point(quantity="relay").access is Access.READ
    assert point(quantity="relay", write=SET).access is Access.READ_WRITE
    assert point(quantity="relay", write=SET, path=None).access is Access.WRITE
    assert point(quantity="relay", write=SET, access="w").access is Access.WRITE
    assert point(quantity="button", write=SET).access is Access.WRITE


def test_writing() -> None:
    write = point(quantity="relay", write=SET | {"retain": True, "expires": 900}).write
    assert write == WritePath(path=HERE / "cmd", retain=True, expires=900.0)
    write = point(
        quantity="relay",
        write={"service": HERE, "command": ["relay", 1, "set"], "args": [1, None, "x", True]},
    ).write
    assert write == WriteService(
        service=HERE, command=("relay", 1, "set"), args=(1, None, "x", True)
    )
    assert point(quantity="relay", write={"service": HERE, "command": "on"}).write == WriteService(
        service=HERE, command=("on",)
    )


def test_numbers() -> None:
    found = point(
        quantity="power", write=SET, min=-5, max=5.5, step=0.1, scale=1000, precision=2, max_age=60
    )
    assert (found.minimum, found.maximum, found.step) == (-5.0, 5.5, 0.1)
    assert (found.scale, found.precision, found.max_age) == (1000.0, 2, 60.0)
    assert point(quantity="brightness", write=SET).maximum == 100.0
    assert point(quantity="brightness", write=SET, unit=None, min=0, max=255).maximum == 255.0
    assert point(quantity="number", item=[3, "u"]).item == (3, "u")
    assert point(quantity="number", item="u").item == ("u",)
    assert point(quantity="number", min=3).minimum == 3.0
    found = point(quantity="text", write=SET, min=1, max=20)
    assert (found.minimum, found.maximum) == (1, 20)


def test_keys_of_another_kind_are_ignored() -> None:
    found = point(quantity="relay", min=5, max=1, precision="x", scale=0, options=5)
    assert (found.minimum, found.maximum, found.scale, found.options) == (None, None, None, ())
    assert point(quantity="number", on=5, options=[]).codes == ()


def test_options() -> None:
    assert point(quantity="enum", options=["a", "b"]).options == ("a", "b")
    assert point(quantity="enum", options=["a", "b"]).codes == ()
    found = point(quantity="enum", options=[[None, "auto"], [True, "on"], [1, "eco"], [2, "eco"]])
    assert found.options == ("auto", "on", "eco")
    assert found.codes == (Code(None, "auto"), Code(True, "on"), Code(1, "eco"), Code(2, "eco"))
    assert point(quantity="enum", options={"x": "on", "y": "off"}).codes == (
        Code("x", "on"),
        Code("y", "off"),
    )
    assert point(quantity="cover", write=SET).options == QUANTITIES[Quantity.COVER].words
    found = point(quantity="valve", write=SET, options=[[True, "open"], [False, "closed"]])
    assert found.options == ("open", "closed")


def test_booleans() -> None:
    assert point(quantity="relay").codes == ()
    assert point(quantity="relay", on=True, off=False).codes == ()
    assert point(quantity="relay", on=1, off=0).codes == (Code(1, True), Code(0, False))
    assert point(quantity="relay", on="ON", off=None).codes == (Code("ON", True), Code(None, False))
    assert point(quantity="relay", on=False, off=True).codes[0] == Code(False, True)


def test_codes_are_compared_strictly() -> None:
    assert Code(1, "a") != Code(True, "a")
    assert Code(1, "a") == Code(1.0, "a")
    assert hash(Code(1, "a")) == hash(Code(1.0, "a"))
    assert Code(1, "a") != (1, "a")


def test_categories_and_the_like() -> None:
    assert point(quantity="relay", category="diagnostic").category is Category.DIAGNOSTIC
    assert point(quantity="relay", category="config", write=SET).category is Category.CONFIG
    assert not point(quantity="relay", enabled=False).enabled
    assert point(quantity="relay", part="c1").part == "c1"
    assert point(quantity="relay", name="Pump").name == "Pump"


LAMP = {"quantity": "light", "path": HERE, "write": SET}
DIM = {"quantity": "brightness", "path": HERE, "write": SET}


@pytest.mark.parametrize(
    ("rows", "kept"),
    [
        ([LAMP], 1),
        ([DIM], 1),
        ([LAMP | {"group": "g"}, DIM | {"group": "g"}], 2),
        ([LAMP | {"group": "g"}, DIM | {"group": "g", "write": None}], 2),
        ([LAMP | {"group": "g"}, DIM], 2),
        ([LAMP | {"group": "g"}, LAMP | {"group": "g"}], 0),
        ([LAMP | {"group": "g"}, DIM | {"group": "g", "part": "c1"}], 0),
        ([LAMP | {"group": "g"}, DIM | {"group": "g", "quantity": "cover_position"}], 0),
        ([LAMP | {"group": "g", "write": None}, DIM | {"group": "g", "write": None}], 0),
        ([LAMP | {"group": "g"}, LAMP | {"group": "g", "quantity": "relay"}], 2),
    ],
)
def test_groups(rows: list[dict[str, Any]], kept: int) -> None:
    named = [{"key": f"p{place}"} | row for place, row in enumerate(rows)]
    device, issues = read({"v": 1, "name": "Box", "parts": {"c1": {}}, "points": named})
    assert len(device.points) == kept
    assert len(issues) == len(rows) - kept
    assert all(each.key.endswith("].group") for each in issues)


def test_a_group_of_its_own_has_the_name_of_its_point() -> None:
    assert point(**LAMP).group == "p"
    assert point(quantity="relay").group is None


# Whatever comes

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.binary(max_size=8)
    | st.sampled_from([ABSENT, ROOT, Path("a", 1), Path(ROOT), 10**400, datetime.now(UTC)])
    | st.sampled_from([RemoteObject("X"), Opaque(99, [1]), frozenset({1})])
)
WORDS = st.sampled_from(
    [
        *("v", "name", "points", "parts", "key", "quantity", "unit", "path", "item", "access"),
        *("write", "service", "command", "args", "options", "on", "off", "min", "max", "step"),
        *("scale", "precision", "category", "enabled", "part", "max_age", "group", "alive", "via"),
        *("voltage", "relay", "enum", "light", "brightness", "cover", "button", "event", "%", "rw"),
    ]
)
VALUES = st.recursive(
    SCALARS | WORDS | st.just(1),
    lambda inner: (
        st.lists(inner, max_size=6) | st.dictionaries(WORDS | st.integers(), inner, max_size=8)
    ),
    max_leaves=40,
)
ROWS = st.fixed_dictionaries(
    {"key": st.sampled_from(["a", "b", "c"]) | VALUES, "quantity": st.sampled_from(Quantity)},
    optional=dict.fromkeys(
        (
            *("path", "unit", "item", "access", "write", "options", "on", "off", "min", "max"),
            *("step", "scale", "precision", "category", "enabled", "part", "max_age", "group"),
        ),
        VALUES,
    ),
)


@settings(max_examples=examples(150))
@given(VALUES)
def test_nothing_else_is_ever_raised(value: Any) -> None:
    with contextlib.suppress(DescriptionError):
        read(value)


@settings(max_examples=examples(200))
@given(st.lists(ROWS, max_size=5), st.dictionaries(WORDS, VALUES, max_size=3))
def test_points_of_any_sort_are_taken_or_named(rows: list[Any], more: dict[Any, Any]) -> None:
    device, issues = read(more | {"v": 1, "points": rows})
    assert len(device.points) <= len(rows)
    for each in issues:
        assert each.key
        assert len(each.key) + len(each.problem) < 400
    again, left = read(describe(device))
    assert left == []
    assert again == device


# There and back

TEXTS = st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zs", "Zl", "Zp"]), min_size=1, max_size=20
).filter(lambda text: text == text.strip())
IDS = st.from_regex("[A-Za-z0-9_-]{1,10}", fullmatch=True)
KEYS = st.from_regex("[a-z0-9_]{1,10}", fullmatch=True)
PATHS = st.lists(KEYS | st.integers(-9, 9), min_size=1, max_size=4).map(lambda all_: Path(*all_))
STEPS = st.lists(TEXTS | st.integers(-(2**60), 2**60), max_size=4).map(tuple)
MEASURES = st.floats(-1e9, 1e9)
AGES = st.floats(0.001, 1e6)
PLAIN = st.none() | st.booleans() | st.integers(-(2**60), 2**60) | TEXTS
WRITES = st.builds(
    WritePath, path=PATHS, retain=st.booleans(), expires=st.none() | AGES
) | st.builds(
    WriteService,
    service=PATHS,
    command=STEPS.filter(len),
    args=st.lists(PLAIN | MEASURES, max_size=3).map(tuple),
    expires=st.none() | AGES,
)


@st.composite
def points(draw: st.DrawFn, key: str, parts: list[str]) -> PointDescription:
    """Make up a point that is right."""
    quantity = draw(st.sampled_from(Quantity))
    info = QUANTITIES[quantity]
    readable_only = info.kind in (Kind.EVENT, Kind.MOMENT)
    write = None if readable_only else draw(WRITES if info.family else st.none() | WRITES)
    if info.kind is Kind.TRIGGER:
        access, write = Access.WRITE, write or draw(WRITES)
    elif write is None:
        access = Access.READ
    else:
        access = draw(st.sampled_from([Access.WRITE, Access.READ_WRITE]))
    path = draw(PATHS if access is not Access.WRITE else st.none() | PATHS)
    number = info.kind is Kind.NUMBER
    low = draw(st.floats(-1e6, 0))
    limited = number and (write is not None or info.family is not None)
    return PointDescription(
        key=key,
        quantity=quantity,
        name=draw(st.none() | TEXTS),
        unit=draw(st.sampled_from(info.units)),
        state_class=draw(st.sampled_from(info.state_classes)) if info.state_classes else None,
        path=path,
        item=draw(STEPS),
        access=access,
        write=write,
        minimum=low if limited else None,
        maximum=low + draw(st.floats(1, 1e6)) if limited else None,
        step=draw(st.none() | AGES) if number else None,
        scale=draw(st.none() | st.floats(0.001, 1000)) if number else None,
        precision=draw(st.none() | st.integers(0, 10)) if number else None,
        category=draw(
            st.sampled_from([None, Category.DIAGNOSTIC, *([Category.CONFIG] if write else [])])
        ),
        enabled=draw(st.booleans()),
        part=draw(st.sampled_from([None, *parts])),
        max_age=draw(st.none() | AGES),
        group=key if info.family else draw(st.none() | IDS),
        **draw(meanings(info.kind, info.words)),
    )


@st.composite
def meanings(draw: st.DrawFn, kind: Kind, words: tuple[str, ...]) -> dict[str, Any]:
    """Make up options and raw values."""
    if kind is Kind.BOOLEAN:
        on, off = draw(
            st.tuples(PLAIN, PLAIN).filter(lambda pair: Code(pair[0], "") != Code(pair[1], ""))
        )
        usual = on is True and off is False
        codes = () if usual else (Code(on, True), Code(off, False))
        return {"codes": draw(st.sampled_from([(), codes]))}
    if kind not in (Kind.CHOICE, Kind.EVENT):
        return {}
    options = words or tuple(draw(st.lists(TEXTS, min_size=1, max_size=4, unique=True)))
    if draw(st.booleans()):
        return {"options": options}
    raws = st.lists(PLAIN, min_size=len(options), max_size=6, unique_by=lambda raw: Code(raw, ""))
    codes = tuple(
        Code(raw, options[min(place, len(options) - 1)]) for place, raw in enumerate(draw(raws))
    )
    plain = all(code.raw == code.meaning for code in codes)
    return {"options": options, "codes": () if plain else codes}


@st.composite
def devices(draw: st.DrawFn) -> DeviceDescription:
    """Make up a device that is right."""
    parts = draw(st.dictionaries(IDS, st.builds(PartDescription, name=TEXTS), max_size=3))
    keys = draw(st.lists(KEYS, max_size=4, unique=True))
    optional = st.none() | TEXTS
    return DeviceDescription(
        id="box",
        name=draw(TEXTS),
        kind=draw(optional),
        maker=draw(optional),
        area=draw(optional),
        via=draw(st.none() | IDS.filter(lambda text: text != "box")),
        alive=draw(st.none() | PATHS),
        parts=parts,
        points=tuple(draw(points(key, list(parts))) for key in keys),
    )


@settings(max_examples=examples(100))
@given(devices())
def test_there_and_back(device: DeviceDescription) -> None:
    again, issues = read(decode(encode(describe(device))))
    assert issues == []
    assert again == device


def test_default_access_of_every_kind() -> None:
    info = QUANTITIES[Quantity.BUTTON]
    assert default_access(info, has_path=True, has_write=True) is Access.WRITE
    assert info.family is None
    assert QUANTITIES[Quantity.LIGHT].family is Family.LIGHT
