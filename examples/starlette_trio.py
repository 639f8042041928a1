"""A web service on trio: hypercorn --worker-class trio starlette_trio:app

Starlette runs on trio under Hypercorn, and so does the client. `FLUVIO_ENDPOINT` says where the cluster is.
"""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import trio
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from fluvio_cffi import AsyncConsumer, AsyncFluvio, AsyncProducer, Offset

ENDPOINT = os.environ.get("FLUVIO_ENDPOINT", "127.0.0.1:9003")
TOPIC = os.environ.get("FLUVIO_TOPIC", "words")


async def follow(consumer: AsyncConsumer, words: list[str]) -> None:
    async for record in consumer:
        words.append(record.text)


@asynccontextmanager
async def lifespan(app: Starlette) -> AsyncGenerator[dict[str, object], None]:
    words: list[str] = []
    async with AsyncFluvio.connect(ENDPOINT, wait=True, timeout=30) as client:
        await client.admin.topics.create(TOPIC, exist_ok=True)
        async with (
            client.producer(TOPIC) as producer,
            client.consumer(TOPIC, start=Offset.beginning()) as consumer,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(follow, consumer, words)
            yield {"client": client, "producer": producer, "words": words}
            consumer.stop()


async def add(request: Request) -> JSONResponse:
    producer: AsyncProducer = request.state.producer
    meta = await producer.send(await request.body(), timeout=5)
    return JSONResponse({"partition": meta.partition, "offset": meta.offset})


async def words(request: Request) -> JSONResponse:
    return JSONResponse(request.state.words)


async def health(request: Request) -> JSONResponse:
    client: AsyncFluvio = request.state.client
    return JSONResponse({"cluster": client.state}, 200 if client.state == "connected" else 503)


app = Starlette(
    routes=[
        Route("/words", add, methods=["POST"]),
        Route("/words", words),
        Route("/health", health),
    ],
    lifespan=lifespan,
)
