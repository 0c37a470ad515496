"""The publisher, a process of its own: numbered messages, at a pace or as fast as they are taken.

python -m benchmarks.throughput.publisher PORT FORMAT TOPICS FIRST COUNT RATE TIMES

Everything is spelled before the first message leaves, so that publishing costs next to nothing.
"""

import sys
import time
from pathlib import Path

from .sides import topic_of
from .wire import GOODBYE, Format, Times, connect, payload, properties, publish

BURST = 64


def main(
    port: int, form: Format, topics: int, first: int, count: int, rate: int, times: Times
) -> None:
    """Publish; rate 0 is as fast as the broker takes it."""
    now = time.time()
    packets = []
    for number in range(first, first + count):
        # strictly increasing, and never further ahead than the publishing takes
        at = now + (number - first) / (rate or 1_000_000)
        props = b"" if form is Format.JSON else properties(at)
        packets.append(publish(topic_of(number % topics), payload(form, number, at), props=props))
    with connect(port, f"publisher{first}") as connection:
        begin = time.monotonic()
        done = 0
        while done < count:
            due = count
            if rate:
                due = min(count, int((time.monotonic() - begin) * rate) + 1)
                if due <= done:
                    time.sleep(max(0.0, begin + done / rate - time.monotonic()))
                    continue
            due = min(due, done + BURST)
            times.note(range(first + done, first + due), time.monotonic_ns())
            connection.sendall(b"".join(packets[done:due]))
            done = due
        connection.sendall(GOODBYE)


if __name__ == "__main__":
    _port, _form, _topics, _first, _count, _rate, _file = sys.argv[1:]
    main(
        int(_port),
        Format(_form),
        int(_topics),
        int(_first),
        int(_count),
        int(_rate),
        Times(Path(_file)),
    )
