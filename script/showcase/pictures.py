"""Pictures of what people see, in English and German."""

import shutil
from collections.abc import Awaitable, Callable
from pathlib import Path

from playwright.async_api import Error as BrowserError

from firmware_bridge.drivers.simulator.german import GERMAN
from tests.support.browser import Browser

from .furniture import URL_PATH, draw
from .world import DOMAIN, GATE_DEVICE, PICKED, MissingError, World

WIDE = 1680
HIGH = 1500
TALL = 2200
DIALOG = "dialog-data-entry-flow"


async def take_pictures(world: World, folder: Path) -> None:
    """Take every picture in both languages; what cannot be seen is missing."""
    shutil.rmtree(folder, ignore_errors=True)
    failed: list[str] = []
    for language in ("en", "de"):
        if language != world.language:
            await _translate(world, language)
        async with Browser(
            world.lab.url, world.lab.token, language=language, zone=world.site.zone
        ) as browser:
            for name, take in PICTURES.items():
                try:
                    await take(browser, world)
                    await browser.quiet()
                except BrowserError as err:
                    failed.append(f"{name} in {language}: {str(err).splitlines()[0]}")
                await browser.shoot(folder / f"{name}.{language}.png")
            failed += [f"{language}: {error}" for error in browser.errors]
    if failed:
        raise MissingError("\n  ".join(failed))


async def _translate(world: World, language: str) -> None:
    """Have everything in another language; rooms were named once and for all, so rename them."""
    await world.speak(language)
    (areas,) = await world.lab.ws({"type": "config/area_registry/list"})
    await world.lab.ws(
        *(
            {
                "type": "config/area_registry/update",
                "area_id": area["area_id"],
                "name": GERMAN.get(area["name"], area["name"]),
            }
            for area in areas
        )
    )
    await draw(world, language)


async def _size(browser: Browser, height: int) -> None:
    await browser.page.set_viewport_size({"width": browser.width, "height": height})


async def _dashboard(browser: Browser, view: str, *appears: str, height: int = 1250) -> None:
    await _size(browser, height)
    await browser.open(f"/{URL_PATH}/{view}", "hui-sections-view hui-card", *appears)


async def _home(browser: Browser, world: World) -> None:
    await browser.page.set_viewport_size({"width": WIDE, "height": 960})
    await browser.open(
        f"/{URL_PATH}/home",
        "hui-energy-distribution-card svg",
        "hui-energy-usage-graph-card canvas",
    )


async def _controls(browser: Browser, world: World) -> None:
    await _dashboard(browser, "controls", "hui-light-brightness-card-feature")


async def _history(browser: Browser, world: World) -> None:
    await _dashboard(browser, "history", "hui-statistics-graph-card canvas")


async def _energy(browser: Browser, world: World) -> None:
    await _size(browser, 1100)
    await browser.open("/energy", "hui-energy-distribution-card", "canvas")


async def _add(browser: Browser, button: int) -> None:
    """Press one of the buttons that add something to our integration."""
    await _integration(browser, 800)
    await browser.page.locator("ha-config-integration-page ha-button").nth(button).click()
    await browser.page.locator(f"{DIALOG} ha-form").first.wait_for()


async def _next(browser: Browser, appears: str) -> None:
    """Send the form, and return when the next one is there."""
    await browser.page.locator(f"{DIALOG} ha-button[slot=primaryAction]").click()
    await browser.page.locator(f"{DIALOG} {appears}").first.wait_for()


async def _choose(browser: Browser, text: str) -> None:
    """Take a line of the open list, or open it first."""
    line = browser.page.locator(f"{DIALOG} ha-picker-combo-box ha-combo-box-item")
    if not await line.count():
        await browser.page.locator(f"{DIALOG} ha-picker-field").first.click()
    await line.filter(has_text=text).first.click()
    await line.first.wait_for(state="detached")


async def _broker_step(browser: Browser, world: World) -> None:
    await _add(browser, 0)
    await browser.page.locator(f"{DIALOG} input[name=host]").fill(world.broker.host)
    port = browser.page.locator(f"{DIALOG} ha-selector-number input").first
    await port.fill(str(world.broker.port))


async def _root_step(browser: Browser, world: World) -> None:
    await _next(browser, "ha-generic-picker")


async def _browse_step(browser: Browser, world: World) -> None:
    await _add(browser, 1)
    for name in PICKED.split(".")[:-1]:
        await _choose(browser, name)
        await _next(browser, "ha-form")
        await browser.quiet()
    await browser.page.locator(f"{DIALOG} ha-picker-field").first.click()
    await browser.page.locator(f"{DIALOG} ha-picker-combo-box ha-combo-box-item").first.wait_for()


async def _item_step(browser: Browser, world: World) -> None:
    await _choose(browser, PICKED.rpartition(".")[2])
    await _next(browser, "ha-selector-select ha-select")


async def _platform_step(browser: Browser, world: World) -> None:
    await _next(browser, "input[name=name]")


async def _details_step(browser: Browser, world: World) -> None:
    await _next(browser, "ha-selector-number")


async def _whole_integration(browser: Browser, world: World) -> None:
    await _integration(browser, 900)


async def _integration(browser: Browser, height: int) -> None:
    await _size(browser, height)
    await browser.open(f"/config/integrations/integration/{DOMAIN}", "ha-config-entry-row")


async def _battery(browser: Browser, world: World) -> None:
    await _device(browser, world, "battery", TALL)


async def _cell(browser: Browser, world: World) -> None:
    await _device(browser, world, "battery:cell_3", 800)


async def _board(browser: Browser, world: World) -> None:
    await _device(browser, world, "board", HIGH)


async def _installation(browser: Browser, world: World) -> None:
    await _device(browser, world, "", 900)


async def _gate(browser: Browser, world: World) -> None:
    await _device(browser, world, GATE_DEVICE, 900)


async def _device(browser: Browser, world: World, device: str, height: int) -> None:
    devices = await world.devices()
    await _size(browser, height)
    await browser.open(f"/config/devices/device/{devices[device]['id']}", "ha-device-entities-card")


async def _devices(browser: Browser, world: World) -> None:
    await _size(browser, HIGH)
    await browser.open(
        f"/config/devices/dashboard?historyBack=1&config_entry={world.entry_id}", "ha-data-table"
    )


PICTURES: dict[str, Callable[[Browser, World], Awaitable[None]]] = {
    "dashboard-home": _home,
    "dashboard-controls": _controls,
    "dashboard-history": _history,
    "energy": _energy,
    "integration": _whole_integration,
    "flow-broker": _broker_step,
    "flow-root": _root_step,
    "value-browse": _browse_step,
    "value-item": _item_step,
    "value-platform": _platform_step,
    "value-details": _details_step,
    "devices": _devices,
    "device-battery": _battery,
    "device-cell": _cell,
    "device-board": _board,
    "device-gate": _gate,
    "device-installation": _installation,
}
"""In this order, for a step of a flow goes on where the one before has ended."""
