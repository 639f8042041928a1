"""Send what comes in on standard input, or some greetings: python examples/produce.py [ENDPOINT]"""

from __future__ import annotations

import asyncio
import sys

from fluvio_cffi import AsyncFluvio


async def main(endpoint: str) -> None:
    lines = ["hello", "how are you"] if sys.stdin.isatty() else [line.rstrip("\n") for line in sys.stdin]
    async with AsyncFluvio.connect(endpoint) as client:
        await client.admin.topics.create("lines", exist_ok=True)
        async with client.producer("lines") as producer:
            result = await producer.send_all(lines)
            print(result.count, "lines sent")


asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:9003"))
