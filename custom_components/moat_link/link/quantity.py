"""The vocabulary: what a point can be, one row of a table each.

Words, units and state classes are Home Assistant's own wherever it has one
(`tests/integration/test_vocabulary.py` holds us to it); rows say which word is
Home Assistant's when ours has to differ, because one word there means a number
in one place and yes/no in another (`battery`, `moisture`, `power` …).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final


class Kind(StrEnum):
    """What the values of a quantity look like."""

    NUMBER = "number"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    TEXT = "text"
    MOMENT = "moment"
    TRIGGER = "trigger"
    EVENT = "event"


class Family(StrEnum):
    """Points that only together make one thing, by their `group`."""

    LIGHT = "light"
    COVER = "cover"
    VALVE = "valve"


class StateClass(StrEnum):
    """How a number behaves over time, in Home Assistant's words."""

    MEASUREMENT = "measurement"
    MEASUREMENT_ANGLE = "measurement_angle"
    TOTAL = "total"
    TOTAL_INCREASING = "total_increasing"


class Quantity(StrEnum):
    """What a point measures, reports or does."""

    # numbers: energy
    APPARENT_POWER = "apparent_power"
    CHARGE = "charge"
    CURRENT = "current"
    ENERGY = "energy"
    ENERGY_DISTANCE = "energy_distance"
    ENERGY_STORAGE = "energy_storage"
    FREQUENCY = "frequency"
    MONETARY = "monetary"
    POWER = "power"
    POWER_FACTOR = "power_factor"
    REACTIVE_ENERGY = "reactive_energy"
    REACTIVE_POWER = "reactive_power"
    RESISTANCE = "resistance"
    STATE_OF_CHARGE = "state_of_charge"
    STATE_OF_HEALTH = "state_of_health"
    VOLTAGE = "voltage"
    # numbers: climate, air, weather
    ABSOLUTE_HUMIDITY = "absolute_humidity"
    AQI = "aqi"
    ATMOSPHERIC_PRESSURE = "atmospheric_pressure"
    CARBON_DIOXIDE = "carbon_dioxide"
    CARBON_MONOXIDE = "carbon_monoxide"
    HUMIDITY = "humidity"
    ILLUMINANCE = "illuminance"
    IRRADIANCE = "irradiance"
    MOISTURE = "moisture"
    NITROGEN_DIOXIDE = "nitrogen_dioxide"
    NITROGEN_MONOXIDE = "nitrogen_monoxide"
    NITROUS_OXIDE = "nitrous_oxide"
    OZONE = "ozone"
    PM1 = "pm1"
    PM10 = "pm10"
    PM25 = "pm25"
    PM4 = "pm4"
    PRECIPITATION = "precipitation"
    PRECIPITATION_INTENSITY = "precipitation_intensity"
    RADON = "radon"
    SOUND_PRESSURE = "sound_pressure"
    SULPHUR_DIOXIDE = "sulphur_dioxide"
    TEMPERATURE = "temperature"
    TEMPERATURE_DELTA = "temperature_delta"
    UV_INDEX = "uv_index"
    VOLATILE_ORGANIC_COMPOUNDS = "volatile_organic_compounds"
    VOLATILE_ORGANIC_COMPOUNDS_PARTS = "volatile_organic_compounds_parts"
    WIND_DIRECTION = "wind_direction"
    WIND_SPEED = "wind_speed"
    # numbers: everything else
    ANGLE = "angle"
    AREA = "area"
    BATTERY = "battery"
    CONDUCTIVITY = "conductivity"
    COUNT = "count"
    DATA_RATE = "data_rate"
    DATA_SIZE = "data_size"
    DISTANCE = "distance"
    DURATION = "duration"
    GAS = "gas"
    NUMBER = "number"
    PH = "ph"
    PRESSURE = "pressure"
    RATIO = "ratio"
    ROTATION_SPEED = "rotation_speed"
    SIGNAL_STRENGTH = "signal_strength"
    SPEED = "speed"
    VOLUME = "volume"
    VOLUME_FLOW_RATE = "volume_flow_rate"
    VOLUME_STORAGE = "volume_storage"
    WATER = "water"
    WEIGHT = "weight"
    # yes/no
    BATTERY_CHARGING = "battery_charging"
    BATTERY_LOW = "battery_low"
    BOOLEAN = "boolean"
    CARBON_MONOXIDE_DETECTED = "carbon_monoxide_detected"
    COLD = "cold"
    CONNECTIVITY = "connectivity"
    DOOR = "door"
    GARAGE_DOOR = "garage_door"
    GAS_DETECTED = "gas_detected"
    GLASS_BREAK = "glass_break"
    HEAT = "heat"
    LIGHT_DETECTED = "light_detected"
    LOCK = "lock"
    MOISTURE_DETECTED = "moisture_detected"
    MOTION = "motion"
    MOVING = "moving"
    OCCUPANCY = "occupancy"
    OPENING = "opening"
    OUTLET = "outlet"
    PERMITTED = "permitted"
    PLUG = "plug"
    POWER_DETECTED = "power_detected"
    PRESENCE = "presence"
    PROBLEM = "problem"
    RELAY = "relay"
    RUNNING = "running"
    SAFETY = "safety"
    SMOKE = "smoke"
    SOUND = "sound"
    TAMPER = "tamper"
    UPDATE = "update"
    VIBRATION = "vibration"
    WINDOW = "window"
    # choices, text, moments
    ENUM = "enum"
    TEXT = "text"
    TIMESTAMP = "timestamp"
    UPTIME = "uptime"
    # commands and occurrences
    BUTTON = "button"
    IDENTIFY = "identify"
    RESTART = "restart"
    BUTTON_EVENT = "button_event"
    DOORBELL_EVENT = "doorbell_event"
    EVENT = "event"
    MOTION_EVENT = "motion_event"
    # lights, covers, valves
    BRIGHTNESS = "brightness"
    COVER = "cover"
    COVER_POSITION = "cover_position"
    LIGHT = "light"
    VALVE = "valve"
    VALVE_POSITION = "valve_position"


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantityInfo:
    """One row: the kind of value, and what may be said about it.

    `units` are the allowed units of measurement, the first is the default, None
    means "no unit"; `any_unit` allows every other text besides. `state_classes`
    are those allowed, the first is the default. `words` fixes the options of a
    choice. `limits` are the range of a number that does not say its own.
    """

    kind: Kind
    device_class: str | None = None
    units: tuple[str | None, ...] = (None,)
    any_unit: bool = False
    state_classes: tuple[StateClass, ...] = ()
    words: tuple[str, ...] = ()
    limits: tuple[float, float] | None = None
    family: Family | None = None

    @property
    def unit(self) -> str | None:
        """The unit of a point that does not state one."""
        return self.units[0]

    @property
    def accumulates(self) -> bool:
        """Whether the number is a total unless the point says otherwise."""
        return self.state_classes[:1] in (_TOTAL, _INCREASING)


OPEN: Final = "open"
OPENING: Final = "opening"
CLOSED: Final = "closed"
CLOSING: Final = "closing"
STOPPED: Final = "stopped"
"""The states of covers and valves; the wishes are `open`, `closed` and `stopped`."""

_MEASUREMENT = (StateClass.MEASUREMENT,)
_TOTAL = (StateClass.TOTAL,)
_INCREASING = (StateClass.TOTAL_INCREASING,)
_TOTALS = (StateClass.TOTAL_INCREASING, StateClass.TOTAL)
_MOSTLY_MEASURED = (StateClass.MEASUREMENT, StateClass.TOTAL_INCREASING, StateClass.TOTAL)
_MOSTLY_TOTALS = (StateClass.TOTAL_INCREASING, StateClass.TOTAL, StateClass.MEASUREMENT)

_ENERGIES = (
    *("Wh", "kWh", "MWh", "GWh", "TWh", "mWh", "J", "kJ", "MJ", "GJ"),
    *("cal", "kcal", "Mcal", "Gcal", "thm"),
)
_PRESSURES = (
    *("hPa", "Pa", "kPa", "mPa", "bar", "mbar", "cbar"),
    *("mmHg", "inHg", "inH₂O", "psi", "atm"),
)
_VOLUMES = ("L", "m³", "mL", "ft³", "CCF", "MCF", "gal", "fl. oz.")
_SPEEDS = ("m/s", "km/h", "mm/s", "m/min", "in/s", "ft/s", "mph", "kn", "Beaufort")
_DUST = ("μg/m³",)
_DIRECTIONS = (OPEN, OPENING, CLOSED, CLOSING, STOPPED)
_PERCENT = (0.0, 100.0)


def _number(
    *units: str | None,
    state_classes: tuple[StateClass, ...] = _MEASUREMENT,
    device_class: str | None = None,
    any_unit: bool = False,
) -> QuantityInfo:
    return QuantityInfo(
        kind=Kind.NUMBER,
        device_class=device_class,
        units=units or (None,),
        any_unit=any_unit,
        state_classes=state_classes,
    )


def _boolean(device_class: str | None = None) -> QuantityInfo:
    return QuantityInfo(kind=Kind.BOOLEAN, device_class=device_class)


def _position(family: Family) -> QuantityInfo:
    return QuantityInfo(
        kind=Kind.NUMBER,
        units=("%", None),
        state_classes=_MEASUREMENT,
        limits=_PERCENT,
        family=family,
    )


_Q = Quantity

QUANTITIES: Final[Mapping[Quantity, QuantityInfo]] = MappingProxyType(
    {
        # numbers: energy
        _Q.APPARENT_POWER: _number("VA", "mVA", "kVA", device_class="apparent_power"),
        _Q.CHARGE: _number("Ah", "mAh", "As", state_classes=_MOSTLY_MEASURED),
        _Q.CURRENT: _number("A", "mA", "μA", device_class="current"),
        _Q.ENERGY: _number(*_ENERGIES, state_classes=_TOTALS, device_class="energy"),
        _Q.ENERGY_DISTANCE: _number(
            "kWh/100km", "Wh/km", "km/kWh", "mi/kWh", device_class="energy_distance"
        ),
        _Q.ENERGY_STORAGE: _number(*_ENERGIES, device_class="energy_storage"),
        _Q.FREQUENCY: _number("Hz", "mHz", "kHz", "MHz", "GHz", device_class="frequency"),
        _Q.MONETARY: _number("EUR", any_unit=True, state_classes=_TOTAL, device_class="monetary"),
        _Q.POWER: _number("W", "mW", "kW", "MW", "GW", "TW", device_class="power"),
        _Q.POWER_FACTOR: _number(None, "%", device_class="power_factor"),
        _Q.REACTIVE_ENERGY: _number(
            "varh", "kvarh", state_classes=_TOTALS, device_class="reactive_energy"
        ),
        _Q.REACTIVE_POWER: _number("var", "mvar", "kvar", device_class="reactive_power"),
        _Q.RESISTANCE: _number("Ω", "mΩ", "kΩ", "MΩ"),
        _Q.STATE_OF_CHARGE: _number("%", device_class="battery"),
        _Q.STATE_OF_HEALTH: _number("%"),
        _Q.VOLTAGE: _number("V", "mV", "μV", "kV", "MV", device_class="voltage"),
        # numbers: climate, air, weather
        _Q.ABSOLUTE_HUMIDITY: _number("g/m³", "mg/m³", device_class="absolute_humidity"),
        _Q.AQI: _number(device_class="aqi"),
        _Q.ATMOSPHERIC_PRESSURE: _number(*_PRESSURES, device_class="atmospheric_pressure"),
        _Q.CARBON_DIOXIDE: _number("ppm", device_class="carbon_dioxide"),
        _Q.CARBON_MONOXIDE: _number("ppm", "ppb", "mg/m³", "μg/m³", device_class="carbon_monoxide"),
        _Q.HUMIDITY: _number("%", device_class="humidity"),
        _Q.ILLUMINANCE: _number("lx", device_class="illuminance"),
        _Q.IRRADIANCE: _number("W/m²", "BTU/(h⋅ft²)", device_class="irradiance"),
        _Q.MOISTURE: _number("%", device_class="moisture"),
        _Q.NITROGEN_DIOXIDE: _number("μg/m³", "ppb", "ppm", device_class="nitrogen_dioxide"),
        _Q.NITROGEN_MONOXIDE: _number("μg/m³", "ppb", device_class="nitrogen_monoxide"),
        _Q.NITROUS_OXIDE: _number("μg/m³", device_class="nitrous_oxide"),
        _Q.OZONE: _number("μg/m³", "ppb", "ppm", device_class="ozone"),
        _Q.PM1: _number(*_DUST, device_class="pm1"),
        _Q.PM10: _number(*_DUST, device_class="pm10"),
        _Q.PM25: _number(*_DUST, device_class="pm25"),
        _Q.PM4: _number(*_DUST, device_class="pm4"),
        _Q.PRECIPITATION: _number(
            "mm", "cm", "in", state_classes=_MOSTLY_TOTALS, device_class="precipitation"
        ),
        _Q.PRECIPITATION_INTENSITY: _number(
            "mm/h", "mm/d", "in/h", "in/d", device_class="precipitation_intensity"
        ),
        _Q.RADON: _number("Bq/m³", "pCi/L", device_class="radon"),
        _Q.SOUND_PRESSURE: _number("dB", "dBA", device_class="sound_pressure"),
        _Q.SULPHUR_DIOXIDE: _number("μg/m³", "ppb", device_class="sulphur_dioxide"),
        _Q.TEMPERATURE: _number("°C", "°F", "K", device_class="temperature"),
        _Q.TEMPERATURE_DELTA: _number("K", "°C", "°F", device_class="temperature_delta"),
        _Q.UV_INDEX: _number("UV index"),
        _Q.VOLATILE_ORGANIC_COMPOUNDS: _number(
            "μg/m³", "mg/m³", device_class="volatile_organic_compounds"
        ),
        _Q.VOLATILE_ORGANIC_COMPOUNDS_PARTS: _number(
            "ppb", "ppm", device_class="volatile_organic_compounds_parts"
        ),
        _Q.WIND_DIRECTION: _number(
            "°", state_classes=(StateClass.MEASUREMENT_ANGLE,), device_class="wind_direction"
        ),
        _Q.WIND_SPEED: _number(*_SPEEDS, device_class="wind_speed"),
        # numbers: everything else
        _Q.ANGLE: _number(
            "°", state_classes=(StateClass.MEASUREMENT, StateClass.MEASUREMENT_ANGLE)
        ),
        _Q.AREA: _number(
            *("m²", "cm²", "mm²", "km²", "ha", "ac", "in²", "ft²", "yd²", "mi²"),
            state_classes=_MOSTLY_MEASURED,
            device_class="area",
        ),
        _Q.BATTERY: _number("%", device_class="battery"),
        _Q.CONDUCTIVITY: _number("μS/cm", "mS/cm", "S/cm", device_class="conductivity"),
        _Q.COUNT: _number(None, any_unit=True, state_classes=_MOSTLY_MEASURED),
        _Q.DATA_RATE: _number(
            *("bit/s", "kbit/s", "Mbit/s", "Gbit/s", "B/s", "kB/s", "MB/s", "GB/s"),
            *("KiB/s", "MiB/s", "GiB/s"),
            device_class="data_rate",
        ),
        _Q.DATA_SIZE: _number(
            *("B", "kB", "MB", "GB", "TB", "KiB", "MiB", "GiB", "TiB"),
            *("bit", "kbit", "Mbit", "Gbit"),
            state_classes=_MOSTLY_MEASURED,
            device_class="data_size",
        ),
        _Q.DISTANCE: _number(
            *("m", "mm", "cm", "km", "in", "ft", "yd", "mi", "nmi"),
            state_classes=_MOSTLY_MEASURED,
            device_class="distance",
        ),
        _Q.DURATION: _number(
            *("s", "ms", "μs", "min", "h", "d"),
            state_classes=_MOSTLY_MEASURED,
            device_class="duration",
        ),
        _Q.GAS: _number("m³", "L", "ft³", "CCF", "MCF", state_classes=_TOTALS, device_class="gas"),
        _Q.NUMBER: _number(None, any_unit=True, state_classes=_MOSTLY_MEASURED),
        _Q.PH: _number(device_class="ph"),
        _Q.PRESSURE: _number(*_PRESSURES, device_class="pressure"),
        _Q.RATIO: _number("%", None, "‰", "ppm", "ppb"),
        _Q.ROTATION_SPEED: _number("rpm"),
        _Q.SIGNAL_STRENGTH: _number("dBm", "dB", device_class="signal_strength"),
        _Q.SPEED: _number(*_SPEEDS, "mm/h", "mm/d", "in/h", "in/d", device_class="speed"),
        _Q.VOLUME: _number(*_VOLUMES, state_classes=_TOTALS, device_class="volume"),
        _Q.VOLUME_FLOW_RATE: _number(
            *("L/min", "L/h", "L/s", "mL/s", "m³/h", "m³/min", "m³/s"),
            *("ft³/min", "gal/min", "gal/h", "gal/d"),
            device_class="volume_flow_rate",
        ),
        _Q.VOLUME_STORAGE: _number(*_VOLUMES, device_class="volume_storage"),
        _Q.WATER: _number(
            "L", "m³", "ft³", "CCF", "MCF", "gal", state_classes=_TOTALS, device_class="water"
        ),
        _Q.WEIGHT: _number(
            *("kg", "g", "mg", "μg", "oz", "lb", "st"),
            state_classes=_MOSTLY_MEASURED,
            device_class="weight",
        ),
        # yes/no
        _Q.BATTERY_CHARGING: _boolean("battery_charging"),
        _Q.BATTERY_LOW: _boolean("battery"),
        _Q.BOOLEAN: _boolean(),
        _Q.CARBON_MONOXIDE_DETECTED: _boolean("carbon_monoxide"),
        _Q.COLD: _boolean("cold"),
        _Q.CONNECTIVITY: _boolean("connectivity"),
        _Q.DOOR: _boolean("door"),
        _Q.GARAGE_DOOR: _boolean("garage_door"),
        _Q.GAS_DETECTED: _boolean("gas"),
        _Q.GLASS_BREAK: _boolean("glass_break"),
        _Q.HEAT: _boolean("heat"),
        _Q.LIGHT_DETECTED: _boolean("light"),
        _Q.LOCK: _boolean("lock"),
        _Q.MOISTURE_DETECTED: _boolean("moisture"),
        _Q.MOTION: _boolean("motion"),
        _Q.MOVING: _boolean("moving"),
        _Q.OCCUPANCY: _boolean("occupancy"),
        _Q.OPENING: _boolean("opening"),
        _Q.OUTLET: _boolean(),
        _Q.PERMITTED: _boolean(),
        _Q.PLUG: _boolean("plug"),
        _Q.POWER_DETECTED: _boolean("power"),
        _Q.PRESENCE: _boolean("presence"),
        _Q.PROBLEM: _boolean("problem"),
        _Q.RELAY: _boolean(),
        _Q.RUNNING: _boolean("running"),
        _Q.SAFETY: _boolean("safety"),
        _Q.SMOKE: _boolean("smoke"),
        _Q.SOUND: _boolean("sound"),
        _Q.TAMPER: _boolean("tamper"),
        _Q.UPDATE: _boolean("update"),
        _Q.VIBRATION: _boolean("vibration"),
        _Q.WINDOW: _boolean("window"),
        # choices, text, moments
        _Q.ENUM: QuantityInfo(kind=Kind.CHOICE, device_class="enum"),
        _Q.TEXT: QuantityInfo(kind=Kind.TEXT),
        _Q.TIMESTAMP: QuantityInfo(kind=Kind.MOMENT, device_class="timestamp"),
        _Q.UPTIME: QuantityInfo(kind=Kind.MOMENT, device_class="uptime"),
        # commands and occurrences
        _Q.BUTTON: QuantityInfo(kind=Kind.TRIGGER),
        _Q.IDENTIFY: QuantityInfo(kind=Kind.TRIGGER, device_class="identify"),
        _Q.RESTART: QuantityInfo(kind=Kind.TRIGGER, device_class="restart"),
        _Q.BUTTON_EVENT: QuantityInfo(kind=Kind.EVENT, device_class="button"),
        _Q.DOORBELL_EVENT: QuantityInfo(kind=Kind.EVENT, device_class="doorbell"),
        _Q.EVENT: QuantityInfo(kind=Kind.EVENT),
        _Q.MOTION_EVENT: QuantityInfo(kind=Kind.EVENT, device_class="motion"),
        # lights, covers, valves
        _Q.BRIGHTNESS: _position(Family.LIGHT),
        _Q.COVER: QuantityInfo(kind=Kind.CHOICE, words=_DIRECTIONS, family=Family.COVER),
        _Q.COVER_POSITION: _position(Family.COVER),
        _Q.LIGHT: QuantityInfo(kind=Kind.BOOLEAN, family=Family.LIGHT),
        _Q.VALVE: QuantityInfo(kind=Kind.CHOICE, words=_DIRECTIONS, family=Family.VALVE),
        _Q.VALVE_POSITION: _position(Family.VALVE),
    }
)
"""Every quantity's row; complete by test."""

_MICRO_SIGN = "\u00b5"
_MU = "\u03bc"


def normal_unit(unit: str) -> str:
    """Spell a unit as Home Assistant does: the Greek mu, not the micro sign."""
    return unit.replace(_MICRO_SIGN, _MU)


def allows_unit(info: QuantityInfo, unit: str | None) -> bool:
    """Whether a point of that quantity may be measured in this unit."""
    return info.any_unit or unit in info.units
