"""What a start costs: importing ``fluvio_cffi`` on top of asyncio, then the first connect.

Usage: python start.py SPEC
"""

import asyncio
import json
import sys
import time

begun = time.perf_counter()
used = time.process_time()
from fluvio_cffi import AsyncFluvio  # noqa: E402

imported = time.perf_counter() - begun
used = time.process_time() - used


async def connect(addr: str) -> float:
    begun = time.perf_counter()
    async with AsyncFluvio.connect(addr):
        return time.perf_counter() - begun


if __name__ == "__main__":
    connected = asyncio.run(connect(json.loads(sys.argv[1])["addr"]))
    print(json.dumps({"import_ms": imported * 1000, "import_cpu_ms": used * 1000, "connect_ms": connected * 1000}))
