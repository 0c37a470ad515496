"""The broker, the other side and the config entry are those of the integration's tests."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from homeassistant.core import HomeAssistant

from custom_components import moat_link
from custom_components.moat_link.link.config import LinkConfig
from tests.integration.conftest import (
    auto_enable_custom_integrations,
    broker,
    entry,
    loaded,
    peer,
)

__all__ = ["auto_enable_custom_integrations", "broker", "entry", "loaded", "peer"]

type Tune = Callable[..., None]


@pytest.fixture
def tune(monkeypatch: pytest.MonkeyPatch) -> Tune:
    """Shorten the link's times: `tune(keep_alive=2, grace=1.0)`, before the entry is set up."""

    def apply(*, keep_alive: int | None = None, **changes: Any) -> None:
        original = moat_link.async_link_config

        async def tuned(hass: HomeAssistant, *data: Any) -> LinkConfig:
            config = await original(hass, *data)
            if keep_alive is not None:
                config = replace(config, broker=replace(config.broker, keep_alive=keep_alive))
            return replace(config, **changes)

        monkeypatch.setattr(moat_link, "async_link_config", tuned)

    return apply
