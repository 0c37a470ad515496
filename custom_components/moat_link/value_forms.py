"""The forms of the subentry flow."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import probatio
from homeassistant.const import CONF_NAME, CONF_PLATFORM, Platform
from homeassistant.helpers.selector import (
    BooleanSelector,
    NumberSelector,
    NumberSelectorConfig,
    NumberSelectorMode,
    SelectOptionDict,
    SelectSelector,
    SelectSelectorConfig,
    SelectSelectorMode,
    TextSelector,
    TextSelectorConfig,
)

from .link.codec import ABSENT, Value
from .link.path import Path
from .link.quantity import QUANTITIES, Kind
from .value_guess import DEFAULTS, KINDS, WRITABLE

CONF_CHILD: Final = "child"
CONF_ITEM: Final = "item"
CONF_WRITE_PATH: Final = "write_path"

USE: Final = "✓"  # no dotted path looks like this, and people get to see it
UP: Final = "↑ .."

_SHOWN: Final = 60


def shown(value: Value) -> str:
    """Return a value, shortened for a form."""
    if value is ABSENT:
        text = "-"
    elif isinstance(value, dict):
        text = f"{{{', '.join(str(key) for key in value)}}}"
    elif isinstance(value, list):
        text = f"[{len(value)}]"
    elif isinstance(value, bool):
        text = "true" if value else "false"
    else:
        text = str(value)
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def browse_form(path: Path, value: Value, children: Sequence[SelectOptionDict]) -> probatio.Schema:
    """Return the choice of a child, of the parent, or of the path itself."""
    options = list(children)
    if len(path):
        options.append(SelectOptionDict(value=UP, label=UP))  # last: the first one is preset
    if value is not ABSENT:
        options.insert(0, SelectOptionDict(value=USE, label=f"{USE} {path} = {shown(value)}"))
    return probatio.Schema(
        {
            probatio.Required(CONF_CHILD): SelectSelector(
                SelectSelectorConfig(
                    options=options, custom_value=True, mode=SelectSelectorMode.DROPDOWN
                )
            )
        }
    )


def item_form(found: Mapping[str, tuple[tuple[str | int, ...], Value]]) -> probatio.Schema:
    """Return the choice of an item of a map or list."""
    return probatio.Schema(
        {
            probatio.Required(CONF_ITEM): SelectSelector(
                SelectSelectorConfig(
                    options=[
                        SelectOptionDict(value=name, label=f"{name} = {shown(value)}")
                        for name, (_, value) in found.items()
                    ],
                    mode=SelectSelectorMode.DROPDOWN,
                )
            )
        }
    )


def platform_form(name: str, platform: Platform) -> probatio.Schema:
    """Return the question for a name and a platform."""
    return probatio.Schema(
        {
            probatio.Required(CONF_NAME, default=name): TextSelector(),
            probatio.Required(CONF_PLATFORM, default=platform.value): SelectSelector(
                SelectSelectorConfig(
                    options=[each.value for each in KINDS],
                    translation_key="platform",
                    mode=SelectSelectorMode.DROPDOWN,
                )
            ),
        }
    )


def details_form(platform: Platform) -> probatio.Schema:
    """Return the questions that make sense for a platform."""
    kinds = KINDS[platform]
    quantities = [
        key.value for key, row in QUANTITIES.items() if row.kind in kinds and row.family is None
    ]
    fields: dict[Any, Any] = {
        probatio.Required("quantity", default=DEFAULTS[platform].value): _choice(
            quantities, translation_key="quantity"
        )
    }
    if Kind.NUMBER in kinds:
        fields |= {
            probatio.Optional("unit"): _choice(_units(), custom=True),
            probatio.Optional("precision"): _whole(0, 10),
        }
    if platform is Platform.NUMBER:
        fields |= {probatio.Optional(key): _any_number() for key in ("min", "max", "step")}
    if Kind.CHOICE in kinds or Kind.EVENT in kinds:
        fields[probatio.Optional("options")] = TextSelector(TextSelectorConfig(multiple=True))
    if platform is not Platform.BUTTON:
        fields[probatio.Optional("max_age")] = _whole(1, 31_536_000)
    if platform in WRITABLE:
        fields |= {
            probatio.Required(CONF_WRITE_PATH): TextSelector(),
            probatio.Optional("retain", default=False): BooleanSelector(),
        }
    return probatio.Schema(fields)


def _choice(
    options: list[str], *, translation_key: str | None = None, custom: bool = False
) -> SelectSelector:
    config = SelectSelectorConfig(
        options=options, custom_value=custom, mode=SelectSelectorMode.DROPDOWN
    )
    if translation_key:
        config["translation_key"] = translation_key
        config["sort"] = True
    return SelectSelector(config)


def _units() -> list[str]:
    """Return every unit of the vocabulary once."""
    return list(
        dict.fromkeys(unit for row in QUANTITIES.values() for unit in row.units if unit is not None)
    )


def _whole(low: int, high: int) -> probatio.All[int]:
    return probatio.All(
        NumberSelector(NumberSelectorConfig(min=low, max=high, mode=NumberSelectorMode.BOX)),
        probatio.Coerce(int),
    )


def _any_number() -> NumberSelector:
    return NumberSelector(NumberSelectorConfig(step="any", mode=NumberSelectorMode.BOX))
