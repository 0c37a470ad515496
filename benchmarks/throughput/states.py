"""From publish to state: a real broker, a real Home Assistant, one side in a process of its own.

python -m benchmarks.throughput.states SIDE SENSORS FLAT RATE SECONDS PORT HTTP_PORT DIRECTORY

prints figures as JSON: how long it takes until the sensors are there, what they need, and what a
message costs: as many as possible (FLAT of them), and RATE a second for SECONDS.
"""

import asyncio
import gc
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from homeassistant.core import EVENT_STATE_CHANGED, Event, EventStateChangedData, callback

from .gauges import Collections, percentile, resident
from .hass import boot, config_entry
from .sides import SIDES, Side
from .wire import Times

PATIENCE = 180
WARM = 1000


class Sink:
    """Sees every change of a state; the states are the numbers of the messages."""

    def __init__(self, times: Times) -> None:
        """Look at nothing yet."""
        self._times = times
        self.expect(-1)

    def expect(self, last: int) -> None:
        """Start over, and wait for the message with this number."""
        self._last = last
        self.seen: list[tuple[int, int]] = []
        self.cpu = (0.0, 0.0)
        self.complete = asyncio.Event()

    @callback
    def on_event(self, event: Event[EventStateChangedData]) -> None:
        """Take note of a change."""
        now = time.monotonic_ns()
        state = event.data["new_state"]
        try:
            number = int(float(state.state)) if state is not None else 0
        except ValueError:
            return
        if not self.seen:
            self.cpu = time.process_time(), 0.0
        self.seen.append((self._times[number], now))
        if number == self._last:
            self.cpu = self.cpu[0], time.process_time()
            self.complete.set()


class Run:
    """One Home Assistant with one side."""

    def __init__(self, side: Side, sensors: int, port: int, directory: Path) -> None:
        """Prepare the measurement."""
        self._side = side
        self._sensors = sensors
        self._port = port
        self._directory = directory
        self._file = directory / "times"
        self._next = 1000

    async def start(self, http_port: int) -> dict[str, Any]:
        """Start, and return what it takes until all sensors are there."""
        self.hass = hass = await boot(self._directory / "config", http_port)
        gc.collect()
        memory, begin, cpu = resident(), time.perf_counter(), time.process_time()
        self.entry = config_entry(self._side.domain, self._side.entry(self._port))
        await hass.config_entries.async_add(self.entry)
        await self._until_shown()
        result: dict[str, Any] = {
            "ready_s": time.perf_counter() - begin,
            "ready_cpu_s": time.process_time() - cpu,
        }
        await hass.async_block_till_done()
        await asyncio.sleep(1)  # for what is started a little later on purpose
        gc.collect()
        result["kb_per_entity"] = (resident() - memory) / 1000 / self._sensors
        return result

    async def measure(self, flat: int, rate: int, seconds: float, http_port: int) -> dict[str, Any]:
        """Return all figures."""
        result = await self.start(http_port)
        self._sink = Sink(Times(self._file))
        self.hass.bus.async_listen(EVENT_STATE_CHANGED, self._sink.on_event)
        if flat or rate:
            await self._publish(max(WARM, self._sensors), 2000)
        if flat:
            result["flat"] = await self._publish(flat, 0)
        if rate:
            result["paced"] = await self._publish(int(rate * seconds), rate)
        return result

    async def _until_shown(self) -> None:
        async with asyncio.timeout(PATIENCE):
            while self._shown() < self._sensors:
                await asyncio.sleep(0.01)

    def _shown(self) -> int:
        states = self.hass.states.async_entity_ids("sensor")
        if len(states) < self._sensors:
            return 0
        return sum(name.startswith("sensor.dev_") for name in states)

    async def _publish(self, count: int, rate: int) -> dict[str, Any]:
        sink, first = self._sink, self._next
        self._next += count
        sink.expect(self._next - 1)
        what = (self._port, self._side.form, self._sensors, first, count, rate, self._file)
        program = (sys.executable, "-m", "benchmarks.throughput.publisher")
        with Collections() as collections:
            publisher = await asyncio.create_subprocess_exec(*program, *map(str, what))
            async with asyncio.timeout(PATIENCE):
                await sink.complete.wait()
            await publisher.wait()
        begin, end = sink.cpu
        wall = (sink.seen[-1][1] - sink.seen[0][1]) / 1e9
        every = [(now - sent) / 1e6 for sent, now in sink.seen]
        calm = [(now - sent) / 1e6 for sent, now in sink.seen if not collections.within(sent, now)]
        return {
            "sent": count,
            "seen": len(sink.seen),
            "cpu_us": (end - begin) / len(sink.seen) * 1e6,
            "per_s": len(sink.seen) / wall,
            "p50_ms": percentile(calm, 50),
            "p99_ms": percentile(calm, 99),
            "p99_with_gc_ms": percentile(every, 99),
            "max_ms": max(every),
            "full_gc": len(collections.times),
            "full_gc_ms": collections.longest,
        }


if __name__ == "__main__":
    _side, _sensors, _flat, _rate, _seconds, _port, _http, _directory = sys.argv[1:]
    _run = Run(SIDES[_side], int(_sensors), int(_port), Path(_directory))
    _work = _run.measure(int(_flat), int(_rate), float(_seconds), int(_http))
    print("RESULT", json.dumps(asyncio.Runner().run(_work)), flush=True)
    os._exit(0)  # taking everything down takes longer than measuring it
