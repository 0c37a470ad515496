"""The data sheets of the board in the cellar and what hangs on it, the weather, the controls."""

from datetime import UTC, datetime

from ...link.codec import Value
from ...link.errors import RefusedError
from ...link.path import Path
from ...link.quantity import CLOSED, OPEN, STOPPED
from .board import Door, Press
from .home import Home
from .sheet import C, D, Q, Row, Sheet, number, row, text
from .weather import Sky

AGE = 180.0  # s
BOARD, EVENTS = Path("sat", "cellar", "out"), Path("sat", "cellar", "button")
LIGHT, VALVE = Path("light", "living", "out"), Path("valve", "garden", "out")
BLIND, WEATHER, CONTROLS = (
    Path("cover", "living", "out"),
    Path("weather", "out"),
    Path("sim", "out"),
)
TEXT_MAX = 20


def _moment(seconds: float) -> Value:
    return datetime.fromtimestamp(round(seconds), UTC)


def _booted(home: Home) -> None:
    if not home.board.up:
        raise RefusedError("the board is starting")


def _relay_1(home: Home, value: Value) -> None:
    _booted(home)
    home.board.set_relay(0, on=value is True)


def _relay_2(home: Home, value: Value) -> None:
    _booted(home)
    if value is True and home.board.door:
        raise RefusedError("the interlock holds relay 2 off while the door is open")
    home.board.set_relay(1, on=value is True)


def _show(home: Home, value: Value) -> None:
    _booted(home)
    home.board.text = text(value)


def _restart(home: Home, value: Value) -> None:
    home.board.restart()


def _identify(home: Home, value: Value) -> None:
    home.board.text = "Here I am!"


def _relay_rows(index: int, name: str) -> tuple[Row, ...]:
    return (
        row(f"relay_{index + 1}", Q.RELAY, BOARD, ("r", index), lambda h: h.board.relays[index],
            (_relay_1, _relay_2)[index], name=name, max_age=AGE, delay=0.1),
        row(f"relay_{index + 1}_switched", Q.COUNT, BOARD, ("n", index),
            lambda h: h.board.switched[index], name=f"{name} switched", category=D,
            enabled=False, max_age=AGE),
    )  # fmt: skip


BOARD_SHEET = Sheet(
    id="board",
    name="Cellar board",
    kind="satellite",
    model="Two relays, three inputs",
    hardware="ESP32-S3",
    area="Cellar",
    rows=(
        *_relay_rows(0, "Heater relay"),
        *_relay_rows(1, "Pump relay"),
        row("door", Q.DOOR, BOARD, "door", lambda h: h.board.door, max_age=AGE),
        row("motion", Q.MOTION, BOARD, "motion", lambda h: h.board.motion, max_age=AGE),
        row("button", Q.BUTTON_EVENT, EVENTS, name="Push button", options=tuple(Press)),
        row("temperature", Q.TEMPERATURE, BOARD, "t", lambda h: h.board.temperature,
            precision=1, deadband=0.15, interval=5, max_age=AGE),
        row("humidity", Q.HUMIDITY, BOARD, "h", lambda h: h.board.humidity,
            precision=0, deadband=0.9, interval=5, max_age=AGE),
        row("display", Q.TEXT, BOARD, "text", lambda h: h.board.text, _show,
            name="Display", limits=(0, TEXT_MAX), category=C, max_age=AGE),
        row("online", Q.CONNECTIVITY, BOARD, "up", lambda h: h.board.up, category=D, max_age=AGE),
        row("started", Q.UPTIME, BOARD, "since", lambda h: _moment(h.board.started),
            category=D, max_age=AGE),
        row("running_for", Q.DURATION, BOARD, "age", lambda h: h.board.uptime,
            name="Running for", precision=0, category=D, enabled=False, interval=60, max_age=AGE),
        row("signal_strength", Q.SIGNAL_STRENGTH, BOARD, "rssi", lambda h: h.board.signal,
            precision=0, category=D, deadband=1.5, interval=30, max_age=AGE),
        row("firmware", Q.TEXT, BOARD, "fw", lambda h: h.board.firmware,
            name="Firmware", category=D,
            enabled=False, max_age=AGE),
        row("restart", Q.RESTART, BOARD, (), None, _restart, category=C),
        row("identify", Q.IDENTIFY, BOARD, (), None, _identify, category=D),
    ),
)  # fmt: skip


def _light(home: Home, value: Value) -> None:
    home.lamp.on = value is True


def _brightness(home: Home, value: Value) -> None:
    home.lamp.wanted = max(1.0, number(value))
    home.lamp.on = number(value) > 0


LIGHT_SHEET = Sheet(
    id="light",
    name="Ceiling light",
    kind="light",
    model="Dimmer 14 W",
    via="board",
    area="Living room",
    rows=(
        row("light", Q.LIGHT, LIGHT, "on", lambda h: h.lamp.on, _light,
            group="lamp", max_age=AGE, delay=0.1),
        row("brightness", Q.BRIGHTNESS, LIGHT, "level", lambda h: h.lamp.wanted, _brightness,
            group="lamp", unit="%", precision=0, max_age=AGE, delay=0.1),
        row("power", Q.POWER, LIGHT, "p", lambda h: h.lamp.power,
            precision=1, category=D, deadband=0.2, max_age=AGE),
    ),
)  # fmt: skip


def _valve(home: Home, value: Value) -> None:
    if value == OPEN and home.weather.temperature < 0:
        raise RefusedError(f"there is frost ({home.weather.temperature:.1f} °C)")
    home.valve.open = value == OPEN


VALVE_SHEET = Sheet(
    id="valve",
    name="Garden valve",
    kind="valve",
    model="¾ inch, 24 V",
    via="board",
    area="Garden",
    rows=(
        row("valve", Q.VALVE, VALVE, "state", lambda h: OPEN if h.valve.open else CLOSED, _valve,
            group="valve", options=(OPEN, CLOSED), max_age=AGE, delay=0.8),
        row("flow", Q.VOLUME_FLOW_RATE, VALVE, "flow", lambda h: h.valve.flow,
            unit="L/min", precision=1, max_age=AGE),
        row("water", Q.WATER, VALVE, "water", lambda h: h.valve.volume,
            unit="L", precision=1, deadband=0.5, interval=5, max_age=AGE),
        row("moisture", Q.MOISTURE, VALVE, "soil", lambda h: h.valve.moisture,
            name="Soil moisture", precision=0, deadband=0.9, interval=10, max_age=AGE),
    ),
)  # fmt: skip


def _blind(home: Home, value: Value) -> None:
    if value == STOPPED:
        home.blind.stop()
    else:
        home.blind.wanted = 100.0 if value == OPEN else 0.0


def _position(home: Home, value: Value) -> None:
    if home.weather.wind > 11:  # m/s
        raise RefusedError(f"the wind is too strong ({home.weather.wind:.0f} m/s)")
    home.blind.wanted = number(value)


BLIND_SHEET = Sheet(
    id="blind",
    name="Blind",
    kind="blind",
    model="Venetian blind",
    via="board",
    area="Living room",
    rows=(
        row("cover", Q.COVER, BLIND, "state", lambda h: h.blind.motion.value, _blind,
            group="blind", max_age=AGE, delay=0.1),
        row("position", Q.COVER_POSITION, BLIND, "pos", lambda h: h.blind.position, _position,
            group="blind", unit="%", precision=0, max_age=AGE, delay=0.1),
    ),
)  # fmt: skip

WEATHER_SHEET = Sheet(
    id="weather",
    name="Weather station",
    kind="sensor",
    model="Mast beside the beds",
    area="Garden",
    rows=(
        row("temperature", Q.TEMPERATURE, WEATHER, "t", lambda h: h.weather.temperature,
            precision=1, deadband=0.15, interval=5, max_age=AGE),
        row("humidity", Q.HUMIDITY, WEATHER, "h", lambda h: h.weather.humidity,
            precision=0, deadband=0.9, interval=5, max_age=AGE),
        row("pressure", Q.ATMOSPHERIC_PRESSURE, WEATHER, "air", lambda h: h.weather.pressure,
            unit="hPa", precision=1, deadband=0.2, interval=30, max_age=AGE),
        row("wind_speed", Q.WIND_SPEED, WEATHER, "wind", lambda h: h.weather.wind,
            unit="m/s", precision=1, deadband=0.3, relative=0.05, interval=5, max_age=AGE),
        row("irradiance", Q.IRRADIANCE, WEATHER, "sun", lambda h: h.weather.irradiance,
            unit="W/m²", precision=0, deadband=5, relative=0.02, interval=5, max_age=AGE),
        row("illuminance", Q.ILLUMINANCE, WEATHER, "lx", lambda h: 110 * h.weather.irradiance,
            precision=0, enabled=False, deadband=500, relative=0.02, interval=5, max_age=AGE),
        row("clouds", Q.RATIO, WEATHER, "clouds", lambda h: 100 * h.weather.cloud,
            name="Clouds", unit="%", precision=0, deadband=3, interval=10, max_age=AGE),
        row("elevation", Q.ANGLE, WEATHER, "elevation", lambda h: h.weather.sun.elevation,
            name="Sun elevation", precision=1, category=D, enabled=False, deadband=0.3,
            interval=30, max_age=AGE),
    ),
)  # fmt: skip


def _sky(home: Home, value: Value) -> None:
    home.sky = Sky(text(value))


def _door(home: Home, value: Value) -> None:
    home.board.door_control = Door(text(value))


def _press(home: Home, value: Value) -> None:
    home.happen("board", "button", Press.SHORT)


CONTROLS_SHEET = Sheet(
    id="simulation",
    name="Simulation",
    kind="simulation",
    model="Simulated home",
    rows=(
        row("time", Q.TIMESTAMP, CONTROLS, "time", lambda h: _moment(h.time),
            name="Simulated time", category=D, enabled=False, interval=30, max_age=AGE),
        row("weather", Q.ENUM, CONTROLS, "sky", lambda h: h.sky.value, _sky,
            name="Weather", options=tuple(Sky), category=C, max_age=AGE),
        row("door", Q.ENUM, CONTROLS, "door", lambda h: h.board.door_control.value, _door,
            name="Cellar door", options=tuple(Door), category=C, max_age=AGE),
        row("press", Q.BUTTON, CONTROLS, (), None, _press, name="Press the push button"),
    ),
)  # fmt: skip
