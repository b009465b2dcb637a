"""Check recorded histories of lists and of registers for strict serializability.

The method is Elle's (Kingsbury and Alvaro, 2020), written afresh: values appended to a list are
unique, so the longest list ever read of a key tells the order of its writers, and every read tells
after which of them it stands.  The dependencies (write-write, write-read, read-write) and real time
together must have no cycle.

A register holds one value, also unique, and each write of it is preceded by a read of it in the
same transaction.  So every writer names the one it follows, and these chains are the order of the
key's values.
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
    _raise_for_cycle(after)
    return sum(done.state == "ok" for done in history)


def _raise_for_cycle(after: dict[str, set[str]]) -> None:
    cycle = [name for name in acyclic(after) if not name.startswith("time")]
    if cycle:
        raise Anomaly(f"a cycle through {cycle[:12]}")


# ---- registers -----------------------------------------------------------------------------------


@dataclass(slots=True)
class Registers:
    """A transaction on registers as its client saw it: in the order of its steps."""

    name: str
    begun: int
    ended: int
    state: str
    steps: list[tuple[str, str, int]] = field(default_factory=list)  # "r" or "w", key, value


def _happened(history: Sequence[Registers]) -> dict[str, bool]:
    """Tell which transactions took place: the committed, and those whose values they came upon."""
    by_value: dict[tuple[str, int], Registers] = {}
    for one in history:
        for kind, key, value in one.steps:
            if kind == "w":
                if (key, value) in by_value:
                    raise Anomaly(f"{key} = {value} was written twice")
                by_value[key, value] = one
    happened = {one.name: one.state == "ok" for one in history}
    todo = [one for one in history if one.state == "ok"]
    while todo:
        reader = todo.pop()
        for kind, key, value in reader.steps:
            if kind == "w" or value == 0:
                continue
            writer = by_value.get((key, value))
            if writer is None:
                raise Anomaly(f"{reader.name} read {key} = {value}, which nobody wrote")
            if writer.state == "aborted":
                raise Anomaly(f"{reader.name} read {key} = {value}; {writer.name} was aborted")
            if not happened[writer.name]:
                happened[writer.name] = True
                todo.append(writer)
    return happened


def _chain(key: str, following: dict[int, int]) -> list[int]:
    """Follow a key's values from its birth, as 0, each to the one that replaced it."""
    chain = [0]
    while (after := following.get(chain[-1])) is not None:
        chain.append(after)
    if len(chain) != len(following) + 1:
        raise Anomaly(f"{key}: of {len(following)} writes {len(chain) - 1} follow from its birth")
    return chain


def _replaced(history: Sequence[Registers], happened: dict[str, bool]) -> dict[str, dict[int, int]]:
    """Give for each key what came after each value; check each transaction by itself."""
    following: dict[str, dict[int, int]] = defaultdict(dict)
    for one in history:
        if not happened[one.name]:
            continue
        held: dict[str, int] = {}
        for kind, key, value in one.steps:
            if kind == "w":
                if key not in held:
                    raise Anomaly(f"{one.name} wrote {key} blindly: the history cannot be judged")
                if held[key] in following[key]:
                    raise Anomaly(f"{key} = {held[key]} was replaced twice: an update is lost")
                following[key][held[key]] = value
            elif key in held and held[key] != value:
                raise Anomaly(f"{one.name} read {key} as {held[key]}, then as {value}")
            held[key] = value
    return following


def check_registers(history: Sequence[Registers]) -> int:
    """Raise Anomaly unless the history is strictly serializable; return the committed ones.

    Which transactions of unknown outcome took place is told by the values that others read.  Their
    steps must be complete: one that was killed before it had taken all has "aborted" as its state.
    The last transaction should read every key.
    """
    happened = _happened(history)
    chains = {key: _chain(key, to) for key, to in _replaced(history, happened).items()}
    place = {(key, value): n for key, chain in chains.items() for n, value in enumerate(chain)}
    writer = {
        (key, value): one.name
        for one in history
        if happened[one.name]
        for kind, key, value in one.steps
        if kind == "w"
    }
    after: dict[str, set[str]] = defaultdict(set)
    for key, chain in chains.items():
        for value, following in itertools.pairwise(chain[1:]):
            after[writer[key, value]].add(writer[key, following])
    for one in history:
        if not happened[one.name]:
            continue
        for kind, key, value in one.steps:
            if kind == "w" or writer.get((key, value)) == one.name:
                continue
            if value != 0:
                after[writer[key, value]].add(one.name)
            chain = chains.get(key, [0])
            next_place = place.get((key, value), 0) + 1
            if next_place < len(chain):
                after[one.name].add(writer[key, chain[next_place]])
    for name in after:
        after[name].discard(name)
    lasting = [
        Done(one.name, one.begun, one.ended, "ok" if happened[one.name] else "aborted")
        for one in history
    ]
    real_time(lasting, after)
    _raise_for_cycle(after)
    return sum(happened.values())
