"""A test that uses the pytest plugin of the package: pytest examples/testing.py"""

from __future__ import annotations

from fluvio_cffi import Fluvio
from fluvio_cffi.testing import read_all


def test_what_goes_in_comes_out(fluvio_client: Fluvio, fluvio_topic: str) -> None:
    with fluvio_client.producer(fluvio_topic) as producer:
        producer.send(b"something")
    assert [record.value for record in read_all(fluvio_client, fluvio_topic)] == [b"something"]
