"""A cluster for a test suite: a pytest fixture, and a test that uses it. Run by: pytest examples/testing.py"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fluvio_cffi import Fluvio, LocalCluster, Offset


@pytest.fixture(scope="session")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster() as cluster:
        yield cluster


def test_what_goes_in_comes_out(cluster: LocalCluster) -> None:
    with Fluvio.connect(cluster.endpoint) as client:
        client.admin.topics.create("in-and-out")
        with client.producer("in-and-out") as producer:
            producer.send(b"something")
        with client.consumer("in-and-out", start=Offset.beginning(), stop_at_end=True) as consumer:
            assert [record.value for record in consumer] == [b"something"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "--quiet", "-p", "no:cacheprovider"]))
