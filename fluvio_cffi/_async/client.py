"""The client."""

# mypy: disable-error-code="unreachable"

from __future__ import annotations

import contextlib
import struct
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import TracebackType
from typing import Final, Literal, cast, overload

from fluvio_cffi._backends.base import AsyncBackend
from fluvio_cffi._backends.select import running_backend
from fluvio_cffi._connect.config import ClusterConfig, Tls
from fluvio_cffi._connect.options import ConnectOptions
from fluvio_cffi._consume.decoding import OnUndecodable, codecs_of
from fluvio_cffi._consume.membership import (
    PROCESSING_TIMEOUT,
    REBALANCE_TIMEOUT,
    SESSION_TIMEOUT,
    Listener,
    Membership,
)
from fluvio_cffi._consume.options import ConsumerOptions, arrow_chosen
from fluvio_cffi._consume.topics import options_by_topic
from fluvio_cffi._errors import ConfigError, FluvioError, FluvioTimeoutError
from fluvio_cffi._exports import publish
from fluvio_cffi._lifetime import Closeable, logger
from fluvio_cffi._native.calls import Slice, copy_buffer
from fluvio_cffi._native.loader import CData, ffi, lib
from fluvio_cffi._native.metrics import read_metrics
from fluvio_cffi._native.process import check_orphaned, process
from fluvio_cffi._opening import Opening
from fluvio_cffi._produce.encoding import encoding_of
from fluvio_cffi._produce.options import ProducerOptions
from fluvio_cffi._values import codecs
from fluvio_cffi._values.checks import text
from fluvio_cffi._values.metrics import Metrics
from fluvio_cffi._values.partitions import numbers
from fluvio_cffi._values.quantities import CLOSE_TIMEOUT, Duration, Size, Timeout, ending, left, parse_timeout
from fluvio_cffi._values.records import (
    ClientState,
    Codec,
    Commit,
    Delivery,
    Isolation,
    K,
    KeyIn,
    Offset,
    OnEvicted,
    Partitioning,
    V,
    ValueIn,
)
from fluvio_cffi._values.smartmodules import SmartModuleChain

from .admin import AsyncAdmin
from .arrow import AsyncArrowConsumer
from .consumer import AsyncConsumer
from .events import AsyncEvents
from .listening import checked_listener
from .opening import open_arrow, open_consumer, open_producer, open_topics
from .producer import AsyncProducer
from .room import hand_over_all
from .session import AsyncSession
from .topics_consumer import AsyncTopicsConsumer

# flv_bounds_t: partition, reserved, begin, end
_BOUNDS: Final = struct.Struct("=IIqq")


class AsyncFluvio(Closeable):
    """A client of a Fluvio cluster. Made by :meth:`connect`.

    It belongs to the event loop and the thread in which it was opened; from anywhere else its methods raise
    :class:`UsageError`. After a fork they raise :class:`ForkedError`.
    """

    _opened = 'AsyncFluvio.connect("host:port")'

    def __init__(self, backend: AsyncBackend, handle: CData, options: ConnectOptions) -> None:
        self._session = AsyncSession(type(self).__name__, backend, handle, options.admin_timeout)

    @classmethod
    def connect(
        cls,
        endpoint: str | None = None,
        *,
        profile: str | None = None,
        config: ClusterConfig | None = None,
        tls: Tls | None = None,
        client_id: str | None = None,
        use_spu_local_address: bool | None = None,
        wait: bool | None = None,
        timeout: Timeout = ...,
        request_timeout: Duration = 10.0,
        admin_timeout: Duration = 30.0,
    ) -> Opening[AsyncFluvio]:
        """Connect to a cluster.

        Arguments win over `config`, and that over the profile file, which is read when there is neither an `endpoint`
        nor a `config`, or when a `profile` is named.

        :param endpoint: ``"host:port"`` of its SC; left out: the profile's.
        :param profile: the name of a profile in the profile file (``FLV_PROFILE_PATH``, else ``~/.fluvio/config``);
            left out: the current one.
        :param config: how the cluster is reached, instead of a profile.
        :param tls: how connections are protected; left out: as `config` or the profile says, else not at all.
        :param client_id: how this client calls itself.
        :param use_spu_local_address: whether to use the addresses that SPUs have inside of their network.
        :param wait: whether a cluster that cannot be reached is tried again until the `timeout`: for services that
            start beside their broker. Left out: if it has answered this process before, since then it is restarting,
            or if the `timeout` is longer than the default; otherwise the first refusal is an error at once.
        :param timeout: seconds; left out: 10; ``None``: no limit.
        :param request_timeout: seconds for one request to an SPU; then the connection counts as dead.
        :param admin_timeout: seconds for administrative calls, and for opening producers and consumers.
        :raises ConfigError: a bad argument, no usable profile, or certificates that cannot be used.
        :raises FluvioTimeoutError: ``phase="connect"``; the message says what the last attempt failed of.
        :raises FluvioConnectionError: the cluster cannot be reached, and is not waited for.
        :raises TLSError: client and server do not accept each other.
        :raises VersionError: it is too old or too new.
        """
        options = ConnectOptions(
            endpoint,
            profile,
            config,
            tls,
            client_id,
            use_spu_local_address,
            wait,
            timeout,
            request_timeout,
            admin_timeout,
        )
        if True:  # ASYNC
            return Opening(partial(cls._open, options), "AsyncFluvio.connect()")
        else:
            return cls._open(options)

    @classmethod
    async def _open(cls, options: ConnectOptions) -> AsyncFluvio:
        check_orphaned()
        backend = running_backend()
        process.connected = True
        native, alive = options.native()
        backend.acquire()
        try:
            operation = backend.completions.start(
                lib.flv_client_connect, native, timeout=options.timeout, phase="connect", waiter=backend.waiter()
            )
            del alive
            handle = (await backend.finish(operation)).take("flv_client_t *", lib.flv_client_free)
        except BaseException:
            backend.release()
            raise
        return cls(backend, handle, options)

    # -- what it is

    @property
    def endpoint(self) -> str:
        """``host:port`` of the cluster's SC."""
        return self._session.endpoint

    @property
    def platform_version(self) -> str:
        """The version of the cluster."""
        return self._session.platform_version

    @property
    def state(self) -> ClientState:
        """``"connected"``, ``"reconnecting"`` or ``"closed"``. Any thread."""
        return self._session.state

    def events(self) -> AsyncEvents:
        """What happens to the client from now on, as an iterator of :class:`ClientEvent`.

        The first event tells the state that it has now. Events that are not read do not pile up: up to 256 wait, then
        the oldest is dropped. The iterator ends when the client is closed.

        :raises ClosedError: the client is closed.
        """
        self._session.backend.check()
        self._session.check_open()
        return AsyncEvents(self._session)

    async def ping(self, timeout: Timeout = ...) -> float:
        """Seconds that the cluster's SC took to answer the smallest question there is: for health checks.

        While the SC is away it is asked again until the time is over. It says nothing of the SPUs.

        :param timeout: seconds; left out: the client's ``admin_timeout``; ``None``: no limit.
        :raises FluvioTimeoutError: ``phase="admin"``: it did not answer in time.
        """
        backend = self._session.backend
        backend.check()
        self._session.check_open()
        operation = backend.completions.start(
            lib.flv_client_ping,
            self._session.handle,
            timeout=parse_timeout(timeout, self._session.admin_timeout),
            phase="admin",
            waiter=backend.waiter(),
        )
        (await backend.finish(operation)).check()
        return operation.value / 1e9

    def metrics(self) -> Metrics:
        """What the client has done, with all of its producers and consumers. Any thread, also after the close.

        :raises ForkedError: after a fork.
        """
        self._session.backend.check_fork()
        return read_metrics(self._session.handle)

    @property
    def admin(self) -> AsyncAdmin:
        """The cluster's administration: topics, partitions, SPUs and whatever else it keeps."""
        return AsyncAdmin(self._session)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return self._session.closed

    def __repr__(self) -> str:
        return repr(self._session)

    # -- producing and consuming

    def producer(
        self,
        topic: str,
        *,
        batch_size: Size | None = None,
        linger: Duration = 0.0,
        compression: Codec | None = None,
        max_request_size: Size = 1_048_576,
        buffer_size: Size = "32MiB",
        max_in_flight: int = 8,
        isolation: Isolation = "read_uncommitted",
        delivery: Delivery = "at_least_once",
        delivery_timeout: Duration = 30.0,
        partitioner: Partitioning | None = None,
        smartmodules: SmartModuleChain = (),
        key: codecs.Codec[KeyIn] | None = None,
        value: codecs.Codec[ValueIn] | None = None,
    ) -> Opening[AsyncProducer[KeyIn, ValueIn]]:
        """Open a producer.

        :param topic: the topic's name.
        :param batch_size: bytes at which a batch is complete; ``None``: 16 KiB, and 256 KiB with `smartmodules`.
        :param linger: seconds that a batch waits for more records; 0: it goes as soon as nothing is in flight.
        :param compression: ``"gzip"``, ``"snappy"``, ``"lz4"``, ``"zstd"`` or ``"none"``; ``None``: as the topic asks.
        :param max_request_size: bytes of one request, and so of one record, at most.
        :param buffer_size: bytes of records that are accepted and not settled, at most.
        :param max_in_flight: requests that are in flight to one SPU, at most; with 1 nothing that stays in its
            partition can be reordered.
        :param isolation: ``"read_uncommitted"``: acknowledged when the leader has it; ``"read_committed"``: when the
            replicas have it.
        :param delivery: ``"at_least_once"``: sent again after a lost connection; ``"at_most_once"``: never,
            unless no server has seen a byte of it.
        :param delivery_timeout: seconds after which a record that is not acknowledged has failed.
        :param partitioner: ``(key, value, partitions) -> int``, called in the caller's thread, or
            ``Partitioner.fixed(n)``; ``None``: as the official client's: records with a key by its hash, the others
            round robin over the partitions that can be written, a batch at a time; those that wait in one that
            cannot move to another.
        :param smartmodules: run by the SPU on what is sent, one after the other, before it is written: a
            :class:`SmartModule`, the name of one, or a sequence of these. What they drop has no offset, and moves what
            follows, so the offsets of receipts are ``None``. A request then has one batch, for which the SPU compiles
            them, so batches should be large.
        :param key: a codec of ``fluvio_cffi.codecs`` that makes bytes of keys; left out: they are bytes or text.
        :param value: the same for values.
        :raises ConfigError: a bad argument, or a compression that the topic forbids.
        :raises TopicNotFoundError: there is no such topic.
        """
        options = ProducerOptions(
            batch_size,
            linger,
            compression,
            max_request_size,
            buffer_size,
            max_in_flight,
            isolation,
            delivery,
            delivery_timeout,
            partitioner,
            smartmodules,
        )
        name, encoding = text(topic, "topic"), encoding_of(key, value)
        if True:  # ASYNC
            return Opening(partial(open_producer, self._session, name, options, encoding), f"producer({name!r})")
        else:
            return open_producer(self._session, name, options, encoding)

    @overload
    def consumer(
        self,
        topic: str,
        *,
        partitions: Iterable[int] | int | None = None,
        start: Offset | Mapping[int, Offset] | None = None,
        resume: bool = True,
        stop_at_end: bool = False,
        consumer_id: str | None = None,
        commit: Commit | None = None,
        auto_commit_interval: Duration = 5.0,
        isolation: Isolation = "read_uncommitted",
        max_bytes: Size = 1_048_576,
        prefetch: Size = "16MiB",
        on_evicted: OnEvicted = "raise",
        smartmodules: SmartModuleChain = (),
        group: str | None = None,
        instance: str | None = None,
        session_timeout: Duration = SESSION_TIMEOUT,
        rebalance_timeout: Duration = REBALANCE_TIMEOUT,
        processing_timeout: Duration = PROCESSING_TIMEOUT,
        on_assigned: Listener | None = None,
        on_revoked: Listener | None = None,
        on_lost: Listener | None = None,
        key: codecs.Codec[K] | None = None,
        value: codecs.Codec[V] | None = None,
        on_undecodable: OnUndecodable = "raise",
        format: Literal["records"] = "records",
    ) -> Opening[AsyncConsumer[K, V]]: ...

    @overload
    def consumer(
        self,
        topic: str,
        *,
        partitions: Iterable[int] | int | None = None,
        start: Offset | Mapping[int, Offset] | None = None,
        resume: bool = True,
        stop_at_end: bool = False,
        consumer_id: str | None = None,
        commit: Commit | None = None,
        auto_commit_interval: Duration = 5.0,
        isolation: Isolation = "read_uncommitted",
        max_bytes: Size = 1_048_576,
        prefetch: Size = "16MiB",
        on_evicted: OnEvicted = "raise",
        smartmodules: SmartModuleChain = (),
        group: str | None = None,
        instance: str | None = None,
        session_timeout: Duration = SESSION_TIMEOUT,
        rebalance_timeout: Duration = REBALANCE_TIMEOUT,
        processing_timeout: Duration = PROCESSING_TIMEOUT,
        on_assigned: Listener | None = None,
        on_revoked: Listener | None = None,
        on_lost: Listener | None = None,
        format: Literal["arrow"],
    ) -> Opening[AsyncArrowConsumer]: ...

    @overload
    def consumer(
        self,
        topic: list[str] | tuple[str, ...],
        *,
        partitions: Mapping[str, Iterable[int] | int] | None = None,
        start: Offset | Mapping[str, Offset | Mapping[int, Offset]] | None = None,
        resume: bool = True,
        stop_at_end: bool = False,
        consumer_id: str | None = None,
        commit: Commit | None = None,
        auto_commit_interval: Duration = 5.0,
        isolation: Isolation = "read_uncommitted",
        max_bytes: Size = 1_048_576,
        prefetch: Size = "16MiB",
        on_evicted: OnEvicted = "raise",
        smartmodules: SmartModuleChain = (),
        key: codecs.Codec[K] | None = None,
        value: codecs.Codec[V] | None = None,
        on_undecodable: OnUndecodable = "raise",
    ) -> Opening[AsyncTopicsConsumer[K, V]]: ...

    def consumer(
        self,
        topic: str | list[str] | tuple[str, ...],
        *,
        partitions: Iterable[int] | int | Mapping[str, Iterable[int] | int] | None = None,
        start: Offset | Mapping[int, Offset] | Mapping[str, Offset | Mapping[int, Offset]] | None = None,
        resume: bool = True,
        stop_at_end: bool = False,
        consumer_id: str | None = None,
        commit: Commit | None = None,
        auto_commit_interval: Duration = 5.0,
        isolation: Isolation = "read_uncommitted",
        max_bytes: Size = 1_048_576,
        prefetch: Size = "16MiB",
        on_evicted: OnEvicted = "raise",
        smartmodules: SmartModuleChain = (),
        group: str | None = None,
        instance: str | None = None,
        session_timeout: Duration = SESSION_TIMEOUT,
        rebalance_timeout: Duration = REBALANCE_TIMEOUT,
        processing_timeout: Duration = PROCESSING_TIMEOUT,
        on_assigned: Listener | None = None,
        on_revoked: Listener | None = None,
        on_lost: Listener | None = None,
        key: codecs.Codec[K] | None = None,
        value: codecs.Codec[V] | None = None,
        on_undecodable: OnUndecodable = "raise",
        format: Literal["records", "arrow"] = "records",
    ) -> Opening[AsyncConsumer[K, V]] | Opening[AsyncTopicsConsumer[K, V]] | Opening[AsyncArrowConsumer]:
        """Open a consumer of a topic, or of several, which then take turns.

        :param topic: the topic's name; or a list of names, for an :class:`AsyncTopicsConsumer`: `partitions` is then a
            dict by topic, and `start` an :class:`Offset` for all, or a dict by topic. What holds for one topic holds
            for each; `prefetch` is divided among them, and each has its own connections.
        :param partitions: which partitions; left out: all, also those that are added later.
        :param start: where reading begins: an :class:`Offset`, or one for each partition. Left out, or for partitions
            that are not named: the beginning with a `consumer_id`, so that nothing is lost before the first commit,
            else the end, that is, with what comes from now on. It is fixed when the consumer is open.
        :param resume: where an offset is stored under the `consumer_id`, reading goes on after it, and `start` only
            says where to begin where none is stored; false: `start` decides.
        :param stop_at_end: end at the ends that the partitions have when the consumer is opened.
        :param consumer_id: under which id offsets are stored, and found again. It is no group: two consumers with one
            id both read everything, and the last commit wins.
        :param commit: with a `consumer_id` or a `group`: ``"manual"`` (the default): by :meth:`AsyncConsumer.commit`;
            ``"auto"``: every `auto_commit_interval` and at the end. A record, or a batch, counts as processed when the
            next read begins.
        :param auto_commit_interval: seconds.
        :param isolation: ``"read_committed"``: only what the replicas have.
        :param max_bytes: bytes of one reply of an SPU, at most, unless one batch is larger.
        :param prefetch: bytes that are read ahead, at most.
        :param on_evicted: when retention has removed the next offset: ``"raise"`` :class:`OffsetEvictedError`, or
            ``"skip"`` to the next one that exists.
        :param smartmodules: run by the SPU on what is read, one after the other: a :class:`SmartModule`, the name of
            one, or a sequence of these. Records keep the offset and the time that they have in the log. A reply then
            has up to 16 MiB, also where `max_bytes` is less.
        :param group: the consumers that are opened with the same `group` share the partitions of the topic; offsets are
            kept for all of them. In place of a `consumer_id` and of `partitions`. `start` is for partitions of which
            nothing was ever committed.
        :param instance: a name that this member keeps when it is started again: if it is back within `session_timeout`
            it has its partitions again, and nobody else's move. One process for each name.
        :param session_timeout: seconds of silence after which the others take its partitions; 1 s to 1 h.
        :param rebalance_timeout: seconds that a reader has for what it holds of a partition that is to go to another
            member; then that gets it all the same.
        :param processing_timeout: seconds without a read after which the consumer leaves the group, until it reads
            again.
        :param on_assigned: called with the partitions that were gained, before their first record.
        :param on_revoked: called with partitions that are about to go: what was processed may still be committed.
        :param on_lost: called with partitions that are gone. All three are called in the middle of a read, by whoever
            reads; with the ``Async`` classes they may be ``async`` functions. What they raise, the read raises.
        :param key: a codec of ``fluvio_cffi.codecs`` that makes keys of bytes; left out: they stay ``bytes``.
            Records without a key have ``None``.
        :param value: the same for values.
        :param on_undecodable: when a codec cannot read a record: ``"raise"`` :class:`DecodeError`, after the records
            before it; ``"skip"`` it; or a function that gets the error, after which it is skipped.
        :param format: ``"records"``; or ``"arrow"``, of one topic, without codecs: for an :class:`AsyncArrowConsumer`.
        :raises ConfigError: a bad argument.
        :raises TopicNotFoundError: there is no such topic.
        :raises PartitionNotFoundError: it has no such partition.
        :raises OffsetEvictedError: retention has removed the offset at which it is to begin.
        :raises OffsetOutOfRangeError: with `stop_at_end`: the offset at which it is to begin lies beyond the end.
            Without, the first read says so.
        """
        membership = Membership.of(
            group,
            instance,
            session_timeout,
            rebalance_timeout,
            processing_timeout,
            checked_listener(on_assigned, "on_assigned"),
            checked_listener(on_revoked, "on_revoked"),
            checked_listener(on_lost, "on_lost"),
        )
        made = partial(
            ConsumerOptions,
            resume=resume,
            stop_at_end=stop_at_end,
            consumer_id=consumer_id,
            commit=commit,
            auto_commit_interval=auto_commit_interval,
            isolation=isolation,
            max_bytes=max_bytes,
            on_evicted=on_evicted,
            smartmodules=smartmodules,
            membership=membership,
            codecs=codecs_of(key, value, on_undecodable),
            is_arrow=arrow_chosen(format, topic, key, value),
        )
        # What is by topic where there are several, is checked there.
        options = cast(Callable[..., ConsumerOptions], made)
        if isinstance(topic, (list, tuple)):
            if membership is not None:
                raise ConfigError("topic is a list, and group is given: a group shares one topic, so open one for each")
            several = options_by_topic(topic, partitions, start, prefetch, options)
            if True:  # ASYNC
                return Opening(partial(open_topics, self._session, several), f"consumer({[*several]!r})")
            else:
                return open_topics(self._session, several)
        name = text(topic, "topic")
        one = options(partitions, start, prefetch=prefetch)
        if True:  # ASYNC
            called = f"consumer({name!r})"
            if one.is_arrow:
                return Opening(partial(open_arrow, self._session, name, one), called)
            return Opening(partial(open_consumer, self._session, name, one), called)
        else:
            return (open_arrow if one.is_arrow else open_consumer)(self._session, name, one)

    # -- asking

    async def offsets(
        self, topic: str, partitions: Iterable[int] | int | None = None, *, timeout: Timeout = ...
    ) -> dict[int, tuple[int, int]]:
        """Where the logs of a topic's partitions begin and end now, by partition, as the SPUs that lead them say: the
        first offset that exists, and the one after the last committed record. Equal: there is none.

        While leaders change or are away, it asks again until the time is over.

        :param topic: the topic's name.
        :param partitions: which; left out: all.
        :param timeout: seconds; left out: the client's ``admin_timeout``; ``None``: no limit.
        :raises TopicNotFoundError: there is no such topic.
        :raises PartitionNotFoundError: it has no such partition.
        :raises FluvioTimeoutError: a leader did not answer in time; ``phase="admin"``.
        """
        backend = self._session.backend
        backend.check()
        self._session.check_open()
        name, wanted = Slice(text(topic, "topic")), numbers(partitions)
        operation = backend.completions.start(
            lib.flv_client_offsets,
            self._session.handle,
            name.value,
            ffi.new("uint32_t[]", wanted) if wanted else ffi.NULL,
            len(wanted),
            timeout=parse_timeout(timeout, self._session.admin_timeout),
            phase="admin",
            waiter=backend.waiter(),
        )
        buffer = (await backend.finish(operation)).take("flv_buffer_t *", lib.flv_buffer_free)
        return {partition: (begin, end) for partition, _, begin, end in _BOUNDS.iter_unpack(copy_buffer(buffer))}

    # -- closing

    async def close(self, timeout: Timeout = ...) -> None:
        """Close the client with its producers, which are flushed, and consumers. Closing twice is fine.

        When it is cancelled the library goes on in the background, for one second.

        :param timeout: seconds; left out: 5; ``None``: no limit. What is not acknowledged then is dropped.
        :raises DeliveryError: names what was dropped, and failed records whose receipts nobody looked at.
        """
        backend = self._session.backend
        backend.check()
        if self._session.closed:
            return
        deadline = ending(parse_timeout(timeout, CLOSE_TIMEOUT))
        producers = self._session.begin_to_close()
        try:
            for producer in producers:
                with contextlib.suppress(FluvioTimeoutError):
                    await hand_over_all(backend, producer, deadline)
            operation = backend.completions.start(
                lib.flv_client_close,
                self._session.handle,
                timeout=left(deadline),
                phase="close",
                waiter=backend.waiter(),
            )
            await backend.finish(operation)
        except FluvioError:
            self._session.end()
            raise
        except BaseException:
            self._session.hand_over_close()
            raise
        self._session.end()
        failure = self._session.failures(producers, operation.value)
        operation.check()
        if failure is not None:
            raise failure

    if True:  # ASYNC

        async def aclose(self, timeout: Timeout = ...) -> None:
            """The same as :meth:`close`."""
            await self.close(timeout)

    async def __aenter__(self) -> AsyncFluvio:
        self._session.check_open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is None:
            await self.close()
        elif self._session.backend.is_cancellation(error):
            if not self._session.closed:
                self._session.begin_to_close()
                self._session.hand_over_close()
        else:
            try:
                await self.close()
            except FluvioError as failure:
                logger.error("%r: %s", self, failure)


publish(__name__)
