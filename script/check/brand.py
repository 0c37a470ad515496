"""brand/: the pictures that Home Assistant serves, in the sizes it wants."""

import struct
from collections.abc import Iterator

from .repository import Repository

NAMES = {
    f"{dark}{kind}{scale}.png"
    for dark in ("", "dark_")
    for kind in ("icon", "logo")
    for scale in ("", "@2x")
}
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def check(repository: Repository) -> Iterator[str]:
    """What is wrong with the pictures."""
    folder = repository.integration / "brand"
    for name in ("icon.png", "icon@2x.png"):
        if not (folder / name).exists():
            yield f"no {name}"
    for path in sorted(folder.glob("*")):
        if path.name not in NAMES:
            yield f"{path.name} is not served"
            continue
        head = path.read_bytes()[:24]
        if head[:8] != SIGNATURE:
            yield f"{path.name} is not a PNG"
            continue
        width, height = struct.unpack(">II", head[16:24])
        scale = 2 if "@2x" in path.name else 1
        if "icon" in path.name and (width, height) != (256 * scale, 256 * scale):
            yield f"{path.name} is {width}x{height} instead of {256 * scale}x{256 * scale}"
        if "logo" in path.name and not 128 * scale <= min(width, height) <= 256 * scale:
            yield f"{path.name}: its shorter side must be {128 * scale} to {256 * scale}"
