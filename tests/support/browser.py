"""A headless Chromium that is logged in to a Home Assistant, for looking at it.

The frontend is web components all the way down; playwright's locators look into them by themselves.
"""

import json
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from playwright.async_api import BrowserContext, Page, Playwright, async_playwright

PATIENCE = 20_000.0  # ms
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
)

# Whether nothing is on its way any more: looks through all shadow roots for what turns,
# for icons that have no picture yet, and for animations; two looks have to agree.
QUIET = """
() => {
  const waiting = [];
  let size = 0;
  const visible = (one) => one.checkVisibility?.({checkOpacity: true}) ?? true;
  const visit = (root) => {
    for (const one of root.querySelectorAll("*")) {
      size += 1;
      const tag = one.localName;
      if (/^(ha-spinner|ha-circular-progress|hass-loading-screen|wa-spinner)$/.test(tag) && visible(one))
        waiting.push(tag);
      if (tag === "ha-icon" && one.icon && visible(one)
          && !one.shadowRoot?.querySelector("ha-svg-icon, iron-icon")) waiting.push(one.icon);
      if (tag === "img" && !one.complete) waiting.push(one.src);
      if (one.shadowRoot) visit(one.shadowRoot);
    }
  };
  visit(document);
  for (const one of document.getAnimations())
    if (one.playState === "running" && one.effect?.getTiming().iterations !== Infinity) waiting.push("animation");
  const now = performance.now();
  const before = window.__moatQuiet;
  if (waiting.length || !before || before.size !== size) {
    window.__moatQuiet = {size, since: now};
    return false;
  }
  return now - before.since > 400;
}
"""


@dataclass(eq=False)
class Browser:
    """One window: `async with Browser(url, token) as browser`."""

    url: str
    token: str
    language: str = "en"
    zone: str | None = None
    width: int = 1280
    height: int = 800
    dark: bool = False
    errors: list[str] = field(default_factory=list)
    """What the page complained about."""

    async def __aenter__(self) -> Self:
        """Open a window; nothing is loaded yet."""
        self._folder = tempfile.mkdtemp(prefix="moat-chromium-")
        self._playwright: Playwright = await async_playwright().start()
        program = next((found for name in PROGRAMS if (found := shutil.which(name))), None)
        if program is None:
            raise FileNotFoundError("there is no chromium; script/setup --browser installs it")
        self._context: BrowserContext = await self._playwright.chromium.launch_persistent_context(
            self._folder,
            executable_path=program,
            headless=True,
            args=list(ARGUMENTS),
            viewport={"width": self.width, "height": self.height},
            color_scheme="dark" if self.dark else "light",
            locale="de-DE" if self.language == "de" else "en-GB",
            timezone_id=self.zone,
            reduced_motion="reduce",
        )
        self._context.set_default_timeout(PATIENCE)
        await self._context.add_init_script(self._stored())
        self.page: Page = (
            self._context.pages[0] if self._context.pages else await self._context.new_page()
        )
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close it, and forget what it has stored."""
        await self._context.close()
        await self._playwright.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    async def open(self, path: str, *appears: str) -> None:
        """Load a page and return when what should appear is there, and everything is quiet."""
        await self.page.goto(self.url + path)
        for selector in ("home-assistant-main", *appears):
            await self.page.locator(selector).first.wait_for()
        await self.quiet()

    async def quiet(self) -> None:
        """Return when nothing turns, moves or loads any more."""
        await self.page.evaluate("() => { window.__moatQuiet = undefined; }")
        await self.page.wait_for_function(QUIET, polling=100)
        await self.page.evaluate("() => document.fonts.ready.then(() => undefined)")

    async def shoot(self, file: Path) -> None:
        """Save what is to be seen."""
        file.parent.mkdir(parents=True, exist_ok=True)
        await self.page.screenshot(path=file, animations="disabled", caret="hide")

    def _stored(self) -> str:
        """Return the script that stores what the frontend itself stores after a login."""
        tokens = {
            "hassUrl": self.url,
            "clientId": f"{self.url}/",
            "access_token": self.token,
            "refresh_token": "",
            "expires": int(time.time() * 1000) + 10**11,
            "expires_in": 10**8,
            "token_type": "Bearer",
        }
        stored = {"hassTokens": tokens, "selectedLanguage": self.language}
        return "".join(
            f"localStorage.setItem({json.dumps(key)}, {json.dumps(json.dumps(value))});"
            for key, value in stored.items()
        )
