"""Check recorded list-append histories for strict serializability.

The method is Elle's (Kingsbury and Alvaro, 2020), written afresh: values appended to a list are
unique, so the longest list ever read of a key tells the order of its writers, and every read tells
after which of them it stands.  The dependencies (write-write, write-read, read-write) and real time
together must have no cycle.
"""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(slots=True)
class Done:
    """One transaction as its client saw it."""

    name: str
    begun: int
    ended: int  # of an unknown outcome: the largest integer
    state: str  # "ok", "aborted", or "unknown": the client was killed before it heard
    reads: list[tuple[str, tuple[int, ...]]] = field(default_factory=list)
    appends: list[tuple[str, int]] = field(default_factory=list)


class Anomaly(AssertionError):
    """The history is not strictly serializable."""


def version_orders(history: Sequence[Done]) -> dict[str, tuple[int, ...]]:
    """Give each key's longest list; every other list read of it must be its beginning."""
    longest: dict[str, tuple[int, ...]] = defaultdict(tuple)
    for done in history:
        for key, seen in done.reads:
            if len(seen) > len(longest[key]):
                longest[key] = seen
    for done in history:
        for key, seen in done.reads:
            if longest[key][: len(seen)] != seen:
                raise Anomaly(f"{done.name} read {key} as {seen}, others as {longest[key]}")
    return longest


def writers(
    history: Sequence[Done], orders: dict[str, tuple[int, ...]]
) -> dict[tuple[str, int], Done]:
    """Find who appended what, and that exactly the committed appends are there, all or none."""
    by_value: dict[tuple[str, int], Done] = {}
    for done in history:
        for append in done.appends:
            if append in by_value:
                raise Anomaly(f"{append} was appended twice")
            by_value[append] = done
    seen = {(key, value) for key, values in orders.items() for value in values}
    for key, values in orders.items():
        if len(set(values)) != len(values):
            raise Anomaly(f"{key} holds a value twice: {values}")
    for append in seen:
        if append not in by_value:
            raise Anomaly(f"{append} was read but never written")
        if by_value[append].state == "aborted":
            raise Anomaly(f"{append} was read, but {by_value[append].name} was aborted")
    for done in history:
        there = [append in seen for append in done.appends]
        if done.state == "ok" and not all(there):
            raise Anomaly(f"{done.name} committed {done.appends}, but {there} is there")
        if done.state == "unknown":
            if any(there) and not all(there):
                raise Anomaly(f"{done.name} is there by halves: {done.appends} {there}")
            done.state = "ok" if any(there) else "aborted"
    return by_value


def edges(
    history: Sequence[Done],
    orders: dict[str, tuple[int, ...]],
    by_value: dict[tuple[str, int], Done],
) -> dict[str, set[str]]:
    """Give the dependencies between committed transactions."""
    after: dict[str, set[str]] = defaultdict(set)

    def depends(first: Done, second: Done) -> None:
        if first is not second:
            after[first.name].add(second.name)

    for key, values in orders.items():
        for value, following in itertools.pairwise(values):
            depends(by_value[key, value], by_value[key, following])
    for done in history:
        if done.state != "ok":
            continue
        own = set(done.appends)
        for key, seen in done.reads:
            foreign = [value for value in seen if (key, value) not in own]
            if foreign:
                depends(by_value[key, foreign[-1]], done)
            following = orders[key][len(seen) : len(seen) + 1]
            if following:
                depends(done, by_value[key, following[0]])
    return after


def real_time(history: Sequence[Done], after: dict[str, set[str]]) -> None:
    """Add an edge from each transaction to those that began after it had ended.

    Through marks in time, one for each end: a thinned-out relation with the same closure.
    """
    moments = sorted(
        [(done.ended, 0, done.name) for done in history if done.state == "ok"]
        + [(done.begun, 1, done.name) for done in history if done.state == "ok"]
    )
    mark: str | None = None
    for place, (_, kind, name) in enumerate(moments):
        if kind == 0:
            fresh = f"time {place}"
            after[name].add(fresh)
            if mark is not None:
                after[mark].add(fresh)
            mark = fresh
        elif mark is not None:
            after[mark].add(name)


def acyclic(after: dict[str, set[str]]) -> list[str]:
    """Sort topologically; return what is left over, a cycle and what hangs behind it."""
    before: dict[str, int] = defaultdict(int)
    for targets in after.values():
        for target in targets:
            before[target] += 1
    names = set(after) | set(before)
    ready = [name for name in names if before[name] == 0]
    heapq.heapify(ready)
    done = 0
    while ready:
        name = heapq.heappop(ready)
        done += 1
        for target in after.get(name, ()):
            before[target] -= 1
            if before[target] == 0:
                heapq.heappush(ready, target)
    return sorted(name for name in names if before[name] > 0) if done < len(names) else []


def check(history: Sequence[Done]) -> int:
    """Raise Anomaly unless the history is strictly serializable; return the committed transactions.

    The last transaction of the history should read every key, so that nothing goes unseen.
    """
    orders = version_orders([done for done in history if done.state == "ok"])
    by_value = writers(history, orders)
    after = edges(history, orders, by_value)
    real_time(history, after)
    cycle = acyclic(after)
    if cycle:
        raise Anomaly(
            f"a cycle through {[name for name in cycle if not name.startswith('time')][:12]}"
        )
    return sum(done.state == "ok" for done in history)
