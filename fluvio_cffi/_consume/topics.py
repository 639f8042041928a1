"""Several topics in one consumer: the arguments, and the subscriptions of which one reader takes in turn.

Each topic has a consumer of the library to itself, so that one topic alone costs nothing more. Nothing here waits;
`_async.topics_reading` does, and calls this.

Any call may come in the middle of any other one: `_native.queue` says what "one step" means.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import Final, cast

from fluvio_cffi._consume.options import ConsumerOptions
from fluvio_cffi._consume.subscription import Subscription
from fluvio_cffi._errors import ClosedError, ConfigError, FluvioError, FluvioTimeoutError, UsageError
from fluvio_cffi._native.errors import explained
from fluvio_cffi._native.loader import lib
from fluvio_cffi._native.queue import Operation
from fluvio_cffi._native.tickets import Wakeable
from fluvio_cffi._values.checks import shown, text, wrong_type
from fluvio_cffi._values.quantities import Size, parse_size
from fluvio_cffi._values.records import Offset

_MOST_TOPICS: Final = 1000
# How often topics of which nothing is held are looked at while there is work with others.
_LOOK_SECONDS: Final = 0.001


def options_by_topic(
    topics: Sequence[object],
    partitions: object,
    start: object,
    prefetch: Size,
    options: Callable[..., ConsumerOptions],
) -> dict[str, ConsumerOptions]:
    """The options of each of several topics.

    :param options: makes them of partitions, start and prefetch.
    """
    names: dict[str, None] = {}
    for topic in topics:
        name = text(topic, "a topic")
        if name in names:
            raise ConfigError(f"topic has {shown(name)} twice: it must have each topic once")
        names[name] = None
    if not 0 < len(names) <= _MOST_TOPICS:
        raise ConfigError(f"topic has {len(names)} topics: it must have 1 to {_MOST_TOPICS}")
    chosen = _by_topic(partitions, "partitions", names)
    starts: Mapping[str, object]
    starts = dict.fromkeys(names, start) if isinstance(start, Offset) else _by_topic(start, "start", names)
    share = max(parse_size(prefetch, "prefetch") // len(names), 1)
    return {name: options(chosen.get(name), starts.get(name), prefetch=share) for name in names}


def _by_topic(given: object, argument: str, topics: Mapping[str, None]) -> Mapping[str, object]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise wrong_type(argument, "a dict by topic, since there are several", given)
    mapping = cast("Mapping[object, object]", given)
    for name in mapping:
        if name not in topics:
            raise ConfigError(f"{argument} names the topic {shown(name)}, which is not in topic: it must be")
    return cast("Mapping[str, object]", mapping)


class Bell:
    """Wakes the reader, if one waits, when there is something to look at in any topic.

    :ivar waiter: the reader's wait.
    """

    __slots__ = ("waiter",)

    def __init__(self) -> None:
        self.waiter: Wakeable | None = None

    def wake(self) -> None:
        """There is something to look at."""
        waiter = self.waiter
        if waiter is not None:
            waiter.wake()


class Topics:
    """The subscriptions of a consumer of several topics. The one that has waited longest has its turn.

    :ivar subscriptions: by topic.
    :ivar current: the one whose records leave one by one.
    :ivar reading: whether a read is going on. Whoever reads claims it.
    :ivar bell: wakes the reader.
    :ivar called_away: see :class:`Subscription`.
    :ivar aside: the topics whose error was raised: the others go on without them, until somebody seeks or resumes
        there, or nothing else is left.
    """

    __slots__ = (
        "_failing",
        "_looked",
        "_since",
        "_waits",
        "aside",
        "bell",
        "called_away",
        "current",
        "reading",
        "subscriptions",
    )

    def __init__(self, subscriptions: Sequence[Subscription]) -> None:
        self.subscriptions: dict[str, Subscription] = {each.topic: each for each in subscriptions}
        self.current: Subscription = subscriptions[0]
        self.reading: bool = False
        self.bell: Bell = Bell()
        self.called_away: bool = False
        # Since when something is held of each, or when it had its turn last, if it still has; by topic.
        self._since: dict[str, float] = {}
        # The library's waits that were started; they go on from one read to the next.
        self._waits: dict[str, Operation] = {}
        self._looked = 0.0
        self.aside: set[str] = set()
        # Whose turn it is to be looked at: an error is this one's.
        self._failing: str | None = None

    @property
    def stopped(self) -> bool:
        """Whether nothing further is handed out."""
        return self.current.stopped

    @property
    def ended(self) -> bool:
        """Whether no more comes of any topic, unless there is a seek."""
        return all(each.ended for each in self.subscriptions.values())

    @property
    def leave_alone(self) -> bool:
        """Whether records may be taken from their subscriptions without a look at these for each of them."""
        return all(each.leaves_alone for each in self.subscriptions.values())

    # -- taking turns

    def begin_to_read(self) -> None:
        """The next records are asked for one by one."""
        current = self.current
        # How long the caller took over the last ones is known of those alone.
        current.begin_to_read()
        for each in self.subscriptions.values():
            if each is not current:
                each.mark()

    def begin_batch(self) -> None:
        """The next records are asked for as a batch."""
        for each in self.subscriptions.values():
            each.begin_batch()

    def look(self) -> bool:
        """Takes a chunk of each topic of which nothing is held, if that was not done just now; whether something can be
        handed out. An error of one topic is raised, each time: :meth:`set_aside` has it told once."""
        now = monotonic()
        since = self._since
        held = False
        for topic, each in self.subscriptions.items():
            if each.buffer.count:
                since.setdefault(topic, now)
                held = True
            else:
                since.pop(topic, None)
        if held and now - self._looked < _LOOK_SECONDS:
            return True
        self._looked = now
        if self.aside and all(each.ended or topic in self.aside for topic, each in self.subscriptions.items()):
            # Nothing else is left: it must not look like the end.
            self.aside.clear()
        for topic, each in self.subscriptions.items():
            if topic in since or each.ended or topic in self.aside:
                continue
            self._failing = topic
            if each.take() and each.buffer.count:
                since[topic] = now
                held = True
        return held

    def set_aside(self) -> None:
        """The error that a look has raised goes to the caller: the others go on without its topic."""
        if self._failing is not None:
            self.aside.add(self._failing)

    def first(self) -> tuple[Subscription, float]:
        """Whose turn it is, and since when it has waited; to be called after a look that has found something."""
        topic, since = min(self._since.items(), key=_when)
        return self.subscriptions[topic], since

    def had_turn(self, subscription: Subscription) -> None:
        """It comes after all others now."""
        self._since[subscription.topic] = monotonic()

    def hand_out(self) -> bool:
        """Lets the next records of the one whose turn it is leave one by one; false: there is none by now."""
        subscription, _ = self.first()
        subscription.take_fresh()
        self.had_turn(subscription)
        if not subscription.hand_out():
            return False
        self.current = subscription
        return True

    def bring_back(self, topic: str) -> None:
        """Somebody has sought, paused or resumed there: it is looked at again. Any thread."""
        self.aside.discard(topic)
        # A reader may wait for the others only, since this topic had ended, or was set aside.
        self.bell.wake()

    # -- waiting

    def listen(self, full: Subscription | None = None) -> bool:
        """Has the bell rung when there is something of a topic of which nothing is held, or of `full`; false: there is
        something by now.

        :raises ClosedError: it was closed.
        """
        for topic, each in self.subscriptions.items():
            if each.ended or topic in self.aside or (each.buffer.count and each is not full):
                continue
            wait = self._waits.get(topic)
            if wait is None or wait.done:
                each.waiting = self._waits[topic] = each.backend.completions.start(
                    lib.flv_consumer_wait, each.handle, timeout=None, phase="read", waiter=self.bell
                )
        # Whoever resumes a partition does it the other way round.
        return full is not None or not any(each.buffer.count for each in self.subscriptions.values())

    def mark_dropped(self, deadline: float | None) -> bool:
        """A read has waited in vain: as :meth:`Subscription.mark_dropped`, for all topics."""
        goes_on = True
        for each in self.subscriptions.values():
            goes_on &= each.mark_dropped(deadline)
        return goes_on

    # -- ending

    def stop(self) -> None:
        """Nothing further is handed out; a read that is going on ends."""
        for each in self.subscriptions.values():
            each.stop()

    # -- errors

    def check_open(self) -> None:
        """Raises after a fork, and when the consumer was closed."""
        self.current.backend.check_fork()
        if self.current.closed:
            raise self.no_more()

    def no_more(self) -> ClosedError:
        """The error that says why nothing more is handed out."""
        if self.current.closed:
            return ClosedError("the consumer is closed")
        if self.stopped:
            return ClosedError("the consumer was stopped")
        return ClosedError("the consumer has read to the ends it was opened for")

    def second_reader(self) -> UsageError:
        """The error for a read in the middle of another one."""
        return self.current.second_reader()

    def too_late(self) -> FluvioError:
        """The error for a read that has waited in vain."""
        names = ", ".join([repr(topic) for topic in self.subscriptions][:8])
        late = FluvioTimeoutError(f"no record of {names} came in time", phase="read")
        text = str(late)
        for each in self.subscriptions.values():
            if str(explained(late, lib.flv_consumer_trouble, each.handle)) != text:
                break
        return late

    def of(self, topic: object) -> Subscription:
        """The subscription of a topic.

        :raises ConfigError: it is not read.
        """
        name = text(topic, "topic")
        found = self.subscriptions.get(name)
        if found is None:
            raise ConfigError(f"topic is {shown(name)}: this consumer reads {', '.join(map(repr, self.subscriptions))}")
        return found


def _when(item: tuple[str, float]) -> float:
    return item[1]
