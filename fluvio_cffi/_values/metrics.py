"""What a client has done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class TopicMetrics:
    """What a client has done in one topic since it was opened.

    :ivar records_produced: records acknowledged.
    :ivar bytes_produced: bytes of their keys and values.
    :ivar records_consumed: records handed to consumers' readers, a chunk of up to some hundred at a time.
    :ivar bytes_consumed: bytes of their keys and values.
    """

    records_produced: int
    bytes_produced: int
    records_consumed: int
    bytes_consumed: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """What a client has done since it was opened, with all of its producers and consumers: a snapshot.

    It is counted per batch, request or chunk, so that it costs nothing per record. All numbers rise only, but for the
    last ones, which tell how it is now.

    :ivar records_produced: records acknowledged.
    :ivar bytes_produced: bytes of their keys and values.
    :ivar records_consumed: records handed to consumers' readers, a chunk of up to some hundred at a time.
    :ivar bytes_consumed: bytes of their keys and values.
    :ivar requests: requests sent to SPUs.
    :ivar retries: batches that were sent again.
    :ivar duplicates_possible: records that were sent again though an earlier sending may have reached the log, because
        the connection was lost before the answer came: the log has at most that many twice. A repeat is one contiguous
        run of at most ``max_in_flight`` requests (1 2 3 4 3 4 5).
    :ivar reordered: batches that were acknowledged after a later one of their partition, because the server answered an
        error for them while later ones were in flight (``max_in_flight=1`` excludes it), and batches of records without
        a key that moved to another partition, because theirs could not be written.
    :ivar reconnects: connections that took the place of one that was lost.
    :ivar errors: how many errors were met, by the name of their class, whether they were repaired or raised: one for
        each connection, call, batch that has failed or must go again, and partition that is not read on.
    :ivar rebalances: of members of groups: how often it changed which partitions they own.
    :ivar commits_fenced: of members of groups: offsets that were not committed, since the partition had gone.
    :ivar signs: of members of groups: signs of life that were sent because nothing else was to be said.
    :ivar evictions: silent members of groups that were removed on this client's word.
    :ivar records_buffered: now: records that producers accepted and that are not settled.
    :ivar bytes_buffered: now: what they take of the producers' buffers.
    :ivar requests_in_flight: now: requests of producers that are not answered.
    :ivar topics: by topic, what was done in it: of the first thousand topics that the client had a producer or consumer
        of. What was done in all others is under ``""``.
    :ivar lag: now: records between what was handed to readers and the ends of the logs, as far as these were seen.
    """

    records_produced: int
    bytes_produced: int
    records_consumed: int
    bytes_consumed: int
    requests: int
    retries: int
    duplicates_possible: int
    reordered: int
    reconnects: int
    errors: Mapping[str, int] = field(hash=False)
    rebalances: int
    commits_fenced: int
    signs: int
    evictions: int
    records_buffered: int
    bytes_buffered: int
    requests_in_flight: int
    lag: int
    topics: Mapping[str, TopicMetrics] = field(hash=False)
