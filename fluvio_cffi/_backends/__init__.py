"""Where the tasks or threads of a client wait: asyncio, trio, threads, gevent."""
