"""The broker, the other side and the config entry are those of the integration's tests."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path as File
from typing import Any

import pytest
from homeassistant.core import HomeAssistant

from custom_components import moat_link
from custom_components.moat_link.connection import async_link_config
from custom_components.moat_link.link.config import LinkConfig
from tests.integration.conftest import (
    auto_enable_custom_integrations,
    broker,
    entry,
    keeper,
    loaded,
    mosquitto,
    peer,
    serve,
    served,
)
from tests.integration.wire import ROOT
from tests.support.mosquitto import Mosquitto

__all__ = [
    "auto_enable_custom_integrations",
    "broker",
    "entry",
    "keeper",
    "loaded",
    "mosquitto",
    "peer",
    "serve",
    "served",
]

type Tune = Callable[..., None]


@pytest.fixture
def tune(monkeypatch: pytest.MonkeyPatch) -> Tune:
    """Shorten the link's times: `tune(keep_alive=2, grace=1.0)`, before the entry is set up."""

    def apply(*, keep_alive: int | None = None, **changes: Any) -> None:

        async def tuned(hass: HomeAssistant, *data: Any) -> LinkConfig:
            config = await async_link_config(hass, *data)
            if keep_alive is not None:
                config = replace(config, broker=replace(config.broker, keep_alive=keep_alive))
            return replace(config, **changes)

        monkeypatch.setattr(moat_link, "async_link_config", tuned)

    return apply


@pytest.fixture
def denying(socket_enabled: None, tmp_path: File) -> Iterator[Mosquitto]:
    """A broker that forbids to follow `secret`."""
    [plugin] = File("/usr/lib").glob("**/mosquitto_dynamic_security.so")
    settings = tmp_path / "security.json"
    rule = {"acltype": "subscribePattern", "topic": f"{ROOT}/secret/#", "allow": False}
    access = ("publishClientSend", "publishClientReceive", "subscribe", "unsubscribe")
    security = {
        "defaultACLAccess": dict.fromkeys(access, True),
        "clients": [],
        "groups": [{"groupname": "all", "roles": [{"rolename": "some"}], "clients": []}],
        "roles": [{"rolename": "some", "acls": [rule]}],
        "anonymousGroup": "all",
    }
    settings.write_text(json.dumps(security))
    with Mosquitto(extra=f"plugin {plugin}\nplugin_opt_config_file {settings}\n") as broker:
        yield broker


@pytest.fixture
def quiet() -> Iterator[None]:
    """Log nothing: pytest keeps the records, and with them what they mention."""
    logging.disable(logging.INFO)
    yield
    logging.disable(logging.NOTSET)
