"""A web service on FastAPI that produces and consumes: uvicorn fastapi_app:app

The lifespan opens one client, one producer and one consumer for all requests, and closes them in order. While the
cluster is away requests are answered 503, and `/health` says so, too. `FLUVIO_ENDPOINT` says where the cluster is.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TypedDict

from fastapi import FastAPI, HTTPException, Request
from pydantic import BaseModel

from fluvio_cffi import AsyncConsumer, AsyncFluvio, AsyncProducer, FluvioTimeoutError, Offset

ENDPOINT = os.environ.get("FLUVIO_ENDPOINT", "127.0.0.1:9003")
TOPIC = os.environ.get("FLUVIO_TOPIC", "orders")


class Order(BaseModel):
    id: str
    amount: int


class State(TypedDict):
    client: AsyncFluvio
    producer: AsyncProducer
    totals: dict[str, int]


async def follow(consumer: AsyncConsumer, totals: dict[str, int]) -> None:
    async for record in consumer:
        order = Order.model_validate_json(record.value)
        totals[order.id] = totals.get(order.id, 0) + order.amount


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[State, None]:
    totals: dict[str, int] = {}
    async with AsyncFluvio.connect(ENDPOINT, wait=True, timeout=30) as client:
        await client.admin.topics.create(TOPIC, exist_ok=True)
        async with client.producer(TOPIC) as producer, client.consumer(TOPIC, start=Offset.beginning()) as consumer:
            following = asyncio.create_task(follow(consumer, totals))
            yield State(client=client, producer=producer, totals=totals)
            consumer.stop()
            await following


app = FastAPI(lifespan=lifespan)


@app.post("/orders")
async def add(order: Order, request: Request) -> dict[str, int | None]:
    producer: AsyncProducer = request.state.producer
    try:
        meta = await producer.send(order.model_dump_json(), key=order.id, timeout=1)
    except FluvioTimeoutError as error:
        # "pending": it may still be written. Only what was not written may be sent again without thought.
        raise HTTPException(503, f"the order is {error.outcome}", {"Retry-After": "1"}) from error
    return {"partition": meta.partition, "offset": meta.offset}


@app.get("/orders/{id}")
async def total(id: str, request: Request) -> dict[str, int]:
    totals: dict[str, int] = request.state.totals
    return {"total": totals.get(id, 0)}


@app.get("/health")
async def health(request: Request) -> dict[str, str]:
    client: AsyncFluvio = request.state.client
    if client.state != "connected":
        raise HTTPException(503, client.state)
    return {"cluster": client.state}
