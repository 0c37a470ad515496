"""What the command `moat-bridge` begins with: importing all the rest takes a moment."""

from typing import Final

_FAILED: Final = 1


def main() -> int:
    """Run the command line; return its exit code. Who interrupts it meanwhile sees no traceback."""
    try:
        from .__main__ import main as execute

        return execute()
    except KeyboardInterrupt:
        return _FAILED
