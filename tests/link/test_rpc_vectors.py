"""Every recorded exchange, replayed in both roles."""

import re
from dataclasses import dataclass, field
from typing import Any

import pytest

from firmware_bridge.link.codec import FrameReader, Opaque
from firmware_bridge.link.errors import LinkError, NotFoundError, RemoteError
from firmware_bridge.link.frames import ERROR, FINAL, STREAM, WARNING, Frame, take_apart
from firmware_bridge.link.path import Path
from firmware_bridge.link.remote import original
from firmware_bridge.link.rpc import (
    Answered,
    Ended,
    Engine,
    Event,
    Exchange,
    Failed,
    Item,
    Opened,
)
from tests.support.vectors import load

LINK_FILES = (
    "rpc-commands",
    "rpc-errors",
    "rpc-handshake",
    "rpc-probe",
    "rpc-service",
    "rpc-streams",
)
MICRO_FILES = ("rpc-micropython", "rpc-cpython")


@dataclass
class Recording:
    """One exchange, its number changed to 0: (sent by the opener, kind, frame)."""

    name: str
    frames: list[tuple[bool, int, Frame]] = field(default_factory=list)
    saw: dict[str, str] | None = None

    def add(self, opener: bool, data: str) -> None:
        """Add a frame as recorded."""
        (frame,) = FrameReader().feed(bytes.fromhex(data))
        kind = frame[0] & 3
        self.frames.append((opener, kind, [kind if opener else kind - 4, *frame[1:]]))

    def complete(self) -> bool:
        """Tell if both sides were recorded to their end."""
        return {opener for opener, kind, _ in self.frames if kind in (FINAL, ERROR)} == {
            True,
            False,
        }


def link_recordings() -> list[Recording]:
    """Return the exchanges recorded from the real server and client."""
    found = []
    for file in LINK_FILES:
        content = load(f"moat-link/{file}")
        for group in content.get("connections") or content["vectors"]:
            for exchange in group if isinstance(group, list) else group["exchanges"]:
                recording = Recording(f"{file}: {exchange['title']} {exchange['id']}")
                for each in exchange["frames"]:
                    sender = each["dir"].split(">")[0]
                    recording.add(sender == exchange["initiator"], each["hex"])
                found.append(recording)
    for index, connection in enumerate(load("moat-link/rpc-handshake-legacy")["connections"]):
        sides: dict[tuple[str, int], Recording] = {}
        for each in connection:
            sender, receiver = each["dir"].split(">")
            (frame,) = FrameReader().feed(bytes.fromhex(each["hex"]))
            number = frame[0] >> 2
            key = (sender, number) if number >= 0 else (receiver, -number - 1)
            recording = sides.setdefault(key, Recording(f"legacy {index} {key}"))
            recording.add(number >= 0, each["hex"])
        found += sides.values()
    return found


def micro_recordings() -> list[Recording]:
    """Return the exchanges recorded from satellites; one entry may hold several channels."""
    found = []
    for file in MICRO_FILES:
        for exchange in load(f"moat-micro/{file}")["exchanges"]:
            channels: dict[tuple[str, int], Recording] = {}
            for each in exchange["messages"]:
                opener = each["opened_by_sender"]
                side = each["from"] if opener else ("satellite", "host")[each["from"] != "host"]
                recording = channels.setdefault(
                    (side, each["channel"]),
                    Recording(f"{file}: {exchange['name']} {side} {each['channel']}"),
                )
                recording.add(opener, each["hex"])
            found += channels.values()
            if len(channels) == 1:
                found[-1].saw = exchange["caller_saw"]
    return found


LINK = link_recordings()
MICRO = micro_recordings()


def named(recordings: list[Recording]) -> Any:
    """Name the parameters of a test."""
    return pytest.mark.parametrize("recording", recordings, ids=lambda each: each.name)


class Replay:
    """Plays one side of a recording with an engine."""

    def __init__(self, recording: Recording, opener: bool) -> None:
        """Take one side's part."""
        self.sent: list[Frame] = []
        self.granted = 0
        self.events: list[Event] = []
        self.engine = Engine(lambda *frames: self.sent.extend(frames))
        self.exchange: Exchange | None = None
        self.window: int | None = None
        for sender, kind, frame in recording.frames:
            if sender is not opener:
                self.receive(frame)
            elif opener:
                self.act_as_opener(kind, frame)
            else:
                self.act_as_responder(kind, frame)

    def receive(self, frame: Frame) -> None:
        """Take a frame of the other side, and use up every item at once."""
        event = self.engine.receive(frame)
        if event is None:
            return
        self.events.append(event)
        self.exchange = event.exchange
        if isinstance(event, Item):
            event.exchange.consumed()

    def act_as_opener(self, kind: int, frame: Frame) -> None:
        """Do what the caller must have done."""
        if self.exchange is None and kind == WARNING:
            self.window = frame[1]
        elif self.exchange is None:
            reply = take_apart(frame, 2)
            self.exchange = self.engine.open(
                frame[1],
                reply.arguments,
                reply.keywords,
                stream=kind == STREAM,
                window=self.window,
            )
        else:
            self.act(kind, frame)

    def act_as_responder(self, kind: int, frame: Frame) -> None:
        """Do what the handler must have done."""
        assert self.exchange is not None
        reply = take_apart(frame, 1)
        if kind == WARNING and not self.exchange.answered:
            self.window = frame[1]
        elif kind == STREAM and not self.exchange.answered:
            self.exchange.accept(reply.arguments, reply.keywords, window=self.window)
        else:
            self.act(kind, frame)

    def act(self, kind: int, frame: Frame) -> None:
        """Do what either side may have done."""
        assert self.exchange is not None
        reply = take_apart(frame, 1)
        if kind == STREAM:
            self.exchange.send(reply.arguments, reply.keywords)
        elif kind == FINAL:
            self.exchange.finish(reply.arguments, reply.keywords)
        elif kind == ERROR and frame[1:] == [-3]:
            self.exchange.cancel()
        elif kind == ERROR:
            self.exchange.fail(frame[1:])

    def outcome(self) -> list[Any]:
        """Return what the caller saw: values and items, or an error."""
        return [
            event.error if isinstance(event, Failed) else event.reply
            for event in self.events
            if isinstance(event, Answered | Item | Ended | Failed)
        ]


def essence(frames: list[Frame], opener: bool) -> list[Frame]:
    """Leave out top-up credit, and what comes after the side's last word."""
    kept: list[Frame] = []
    answered = False
    for frame in frames:
        kind = frame[0] & 3
        if kind == WARNING and answered:
            continue
        answered = answered or kind != WARNING
        kept.append(frame)
        if kind in (FINAL, ERROR) and not (opener and kind == FINAL and len(kept) == 1):
            break
    return kept


@named([each for each in LINK + MICRO if each.complete()])
@pytest.mark.parametrize("opener", [True, False], ids=["opener", "responder"])
def test_same_frames(recording: Recording, opener: bool) -> None:
    """For the same actions, the engine sends what the real software sent, and nothing is left."""
    replay = Replay(recording, opener)
    recorded = [frame for sender, _, frame in recording.frames if sender is opener]
    assert essence(replay.sent, opener) == essence(recorded, opener)
    assert replay.exchange is not None
    assert replay.exchange.closed
    assert len(replay.engine) == 0


@named([each for each in LINK + MICRO if not each.complete()])
@pytest.mark.parametrize("opener", [True, False], ids=["opener", "responder"])
def test_cancelled(recording: Recording, opener: bool) -> None:
    """Exchanges that one side never ended were cancelled by the other one."""
    replay = Replay(recording, opener)
    recorded = [frame for sender, _, frame in recording.frames if sender is opener]
    assert essence(replay.sent, opener) == essence(recorded, opener)
    cancelled = any(frame[1:] == [-3] for _, _, frame in recording.frames)
    assert len(replay.engine) == (0 if cancelled else 1)


def readable(text: str) -> Any:
    """Evaluate what the recording shows of a Python object."""
    text = re.sub(r"<class '(\w+)'>", r"'\1'", text)
    return eval(text, {"bytearray": bytes, "P": Path.parse})  # our own recordings


def plain(value: Any) -> Any:
    """Make values comparable: sequences are lists, references are text."""
    known = {"x_overheat": "OH", "_KyErr": "KeyError"}
    if isinstance(value, Opaque):
        return known[str(value.value)]
    if isinstance(value, dict):
        return {key: plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


CALLS = [each for each in MICRO if each.saw and not any(f[1] == STREAM for f in each.frames)]
STREAMS = [
    each
    for each in MICRO
    if each.saw and each.frames[0][1] == WARNING and "result" in each.saw and each.complete()
]


@named([each for each in CALLS if each.saw and "result" in each.saw and each.complete()])
def test_call_result(recording: Recording) -> None:
    """The caller sees the result that the real caller saw."""
    assert recording.saw is not None
    (reply,) = Replay(recording, opener=True).outcome()
    shown = recording.saw["result"]
    if shown.startswith("message "):
        match = re.fullmatch(r"message (\[.*\]) (\{.*\})", shown)
        assert match is not None
        pairs = [[[False], {}], [[False], {}]]  # one value for each message within a message
        values = plain(readable(match[1]))
        assert plain(reply.arguments) == (pairs if values == [pairs] else values)
        assert reply.keywords == readable(match[2])
    elif len(reply.arguments) > 1 and shown.startswith("["):
        assert plain(reply.arguments) == plain(readable(shown))
    elif "dir-root" in recording.name:  # the real caller added the link's own commands
        assert plain(reply.value) == {"d": plain(readable(shown))["d"]}
    else:
        assert plain(reply.value) == plain(readable(shown))


@named([each for each in CALLS if each.saw and "raises" in each.saw])
def test_call_error(recording: Recording) -> None:
    """The caller sees the error that the real caller saw."""
    assert recording.saw is not None
    (error,) = Replay(recording, opener=True).outcome()
    assert isinstance(error, LinkError)
    remote = original(error)
    assert isinstance(remote, RemoteError)
    kinds = {
        "KeyError": (NotFoundError, "_KyErr"),
        "FileNotFoundError": (NotFoundError, "_FnErr"),
        "RemoteError": (RemoteError, "_rErr"),
        "ValueError": (RemoteError, "_ValErr"),
        "UserCrash": (RemoteError, "_T_UCr"),
    }
    assert (type(error), remote.name) == kinds[recording.saw["raises"]]
    shown = recording.saw["text"]
    words = readable(shown) if shown[0] in "[(" else [shown.removeprefix("<class '").rstrip("'>")]
    assert plain(remote.arguments) == plain(words)


@named(STREAMS)
def test_stream_items(recording: Recording) -> None:
    """The reader sees the items that the real reader saw."""
    assert recording.saw is not None
    replay = Replay(recording, opener=True)
    items = [event.reply for event in replay.events if isinstance(event, Item)]
    shown = [
        ([each] if isinstance(each, int | dict) else each)
        for each in readable(recording.saw["result"])
    ]
    seen: list[Any] = [
        [*map(plain, item.arguments), *([plain(item.keywords)] if item.keywords else [])]
        for item in items
    ]
    flat = [
        [*each[0], *([each[1]] if each[1] else [])] if isinstance(each, tuple) else each
        for each in shown
    ]
    assert seen == plain(flat)


@pytest.mark.parametrize(
    "entry",
    load("moat-micro/rpc-headers")["entries"],
    ids=lambda each: f"{each['channel']}-{each['kind']}",
)
def test_headers(entry: dict[str, Any]) -> None:
    """Leading integers are as the real software makes them."""
    kind = ("final", "stream", "error", "warning").index(entry["kind"])
    sent: list[Frame] = []
    engine = Engine(lambda *frames: sent.extend(frames))
    number = entry["channel"] - 1 if entry["channel"] > 0 else -entry["channel"] - 1
    if entry["channel"] > 0:
        for _ in range(number):
            engine.open(["x"]).cancel()
        exchange = engine.open(["x"], stream=True)
        engine.receive([(-number - 1) * 4 + STREAM])
        if kind == STREAM:
            assert sent[-1][0] == entry["header"]
    else:
        event = engine.receive([number * 4 + STREAM, ["x"]])
        assert isinstance(event, Opened)
        exchange = event.exchange
        exchange.accept()
    act = [exchange.finish, exchange.send, lambda: exchange.fail([-1]), exchange.warn][kind]
    act()
    assert sent[-1][0] == entry["header"]
