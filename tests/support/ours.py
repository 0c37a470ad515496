"""Our server in the place of a real one, with the real command line and the real programs."""

import sys
from typing import override

from .moat import ROOT, MoatServer


class OurServer(MoatServer):
    """One `moat-bridge server`, at the addresses that the real tools are configured for."""

    @override
    def command(self, *, first: bool = False) -> list[str]:
        return [
            *(sys.executable, "-m", "firmware_bridge", "server"),
            *("--host", self.broker.host, "--port", str(self.broker.port), "--root", ROOT),
            *("--name", self.name, "--save", str(self.directory / "save")),
            *("--listen", f"{self.host}:{self.port}", "--unix", str(self.socket)),
        ]

    @override
    def _serves(self, *, first: bool) -> bool:
        return (" is the main server now" if first else " listens at ") in self.log
