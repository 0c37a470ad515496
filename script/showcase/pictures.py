"""Pictures of what people see, in English and German."""

from pathlib import Path

from .world import World


async def take_pictures(world: World, folder: Path) -> None:
    """Take them."""
