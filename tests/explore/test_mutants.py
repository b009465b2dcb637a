"""The explorer finds planted faults: each guarantee's code is broken once, in a copy.

A mutant is the engine with one edit.  The model that covers the place must fail, print a schedule,
and fail again when only that schedule is run.
"""

import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from support import c_items, cbuild
from support.paths import ENGINE

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Mutant:
    """One edit of one engine file, and the test that must notice."""

    name: str
    file: str
    old: str
    new: str
    program: str
    test: str
    more: int = 0  # interruptions beyond those of the test
    seen_by: tuple[str, ...] = ()  # of a header: the sources that take it in

    def folder(self) -> Path:
        """Write the changed files, and return the folder that holds them."""
        text = (ENGINE / self.file).read_text()
        assert text.count(self.old) == 1, (
            f"mutant {self.name!r} no longer fits {self.file}: choose its text anew")
        parts = (self.file, self.old, self.new, *self.seen_by)
        key = hashlib.sha256(repr(parts).encode()).hexdigest()[:12]
        folder = cbuild.CACHE / "mutants" / key
        files = {self.file: text.replace(self.old, self.new)}
        files |= {source: (ENGINE / source).read_text() for source in self.seen_by}
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if not path.exists() or path.read_text() != content:
                path.write_text(content)
        return folder


MUTANTS = (
    # The commit queue.
    Mutant("an entry of a later lap is taken", "txn/queue.c",
           "if (ae_load64_acquire(&shared->tail) != tail)", "if (false)",
           "test_queue.c", "test_a_lap_goes_by"),
    Mutant("the clock passes the undecided", "txn/queue.c",
           "    if (ae_state_of(state) == AE_STATE_COMMITTING) {\n        if (!force)",
           "    if (force && ae_state_of(state) == AE_STATE_COMMITTING) {\n        if (!force)",
           "test_queue.c", "test_three_commit_at_once"),
    Mutant("a decision against an abort", "txn/queue.c",
           "const bool decided = ae_cas64(&at->state, AE_STATE(AE_STATE_COMMITTING, 0), outcome);",
           "const bool decided = true;\n    ae_store64_release(&at->state, outcome);",
           "test_queue.c", "test_three_commit_at_once"),
    Mutant("the dead in the queue are not seen past", "txn/queue.c",
           "(void)front_advance(queue, clock, spins > AE_DECIDE_SPINS);", "break;",
           "test_queue.c", "test_one_of_two_dies"),
    Mutant("an outdated description stays", "txn/queue.c",
           "        if (ae_cas64(&entry->what, seen, mine))\n            return;",
           "        ae_store64_release(&entry->what, mine);\n        return;",
           "test_queue.c", "test_a_lap_goes_by_while_describing"),
    Mutant("a reaper moves nobody past the dead", "txn/queue.c",
           "    const uint64_t end = ae_load64_acquire(&shared->tail) + 1;\n"
           "    for (uint64_t position",
           "    const uint64_t end = ae_load64_acquire(&shared->tail);\n"
           "    for (uint64_t position",
           "test_queue.c", "test_one_of_two_dies"),
    # Slots and the horizon.
    Mutant("a slot is claimed without a look", "proc/proc.c",
           "if (!ae_cas64(&at->owner, 0, owner))\n        return false;",
           "ae_store64_release(&at->owner, owner);",
           "test_slots.c", "test_three_claim_a_slot"),
    Mutant("a slot is seized by two", "proc/proc.c",
           "    if (!ae_cas64(&at->owner, owner, (owner & AE_OWNER_CLAIM) | AE_OWNER_REAPING | "
           "(member + 1)))\n        return false;",
           "    ae_store64_release(&at->owner, (owner & AE_OWNER_CLAIM) | AE_OWNER_REAPING | "
           "(member + 1));",
           "test_slots.c", "test_a_slot_of_the_dead_is_seized_once"),
    Mutant("a reader does not look at the clock again", "proc/proc.h",
           "if (now == snapshot)", "if (now >= snapshot)",
           "test_slots.c", "test_horizon_sees_the_snapshot_by_fences"),
    Mutant("a reader has no fence", "proc/proc.h",
           "            atomic_thread_fence(memory_order_seq_cst);",
           "            atomic_signal_fence(memory_order_seq_cst);",
           "test_slots.c", "test_horizon_sees_the_snapshot_by_fences"),
    Mutant("a reclaimer has no barrier", "proc/proc.c",
           "if (proc->asymmetric && !ae_os_barrier())\n        return",
           "if (false)\n        return",
           "test_slots.c", "test_horizon_sees_the_snapshot_by_a_barrier"),
    Mutant("the horizon passes a transaction", "proc/proc.c",
           "if (snapshot != 0 && snapshot < horizon",
           "if (false && snapshot != 0 && snapshot < horizon",
           "test_reclaim.c", "test_what_a_reader_holds_is_not_reused"),
    Mutant("claims of a slot look alike", "proc/proc.c",
           "AE_OWNER(ae_load64_acquire(&at->generation) + 1, member)", "AE_OWNER(1, member)",
           "test_slots.c", "test_a_late_reaper_takes_nothing"),
    Mutant("the dead has not counted its claim", "proc/proc.c",
           "if ((generation + 1) << 33 == (owner & AE_OWNER_CLAIM))",
           "if (generation == UINT64_MAX)",
           "test_slots.c", "test_a_late_reaper_takes_nothing"),
    Mutant("a late claim is counted twice", "proc/proc.c",
           "if ((generation + 1) << 33 == (owner & AE_OWNER_CLAIM))",
           "if (generation << 33 != (owner & AE_OWNER_CLAIM))",
           "test_reclaim.c", "test_reclaiming_and_dying"),
    Mutant("a line is buried by two", "proc/proc.c",
           "    if (!ae_cas64(&line->identity, identity, ae_os_process_identity()))\n"
           "        return false;", "",
           "test_slots.c", "test_lines_of_the_dead_are_buried_once"),
    # Rows.
    Mutant("the last updater wins", "table/publish.c",
           "    /* Acquire-release: first updater wins; pairs with the same operation in other "
           "writers. */\n    if (!ae_cas64(&judged->version->end, AE_STAMP_INFINITY, mark)) {",
           "    ae_store64_release(&judged->version->end, mark);\n    if (false) {",
           "test_rows.c", "test_two_count"),
    Mutant("undoing takes another's mark away", "txn/intent.c",
           "(void)ae_cas64(&old->end, mark, AE_STAMP_INFINITY);",
           "ae_store64_release(&old->end, AE_STAMP_INFINITY);",
           "test_rows.c", "test_two_count"),
    Mutant("a reader believes a stale mark", "txn/visibility.c",
           "if (ae_load64_acquire(&version->begin) != begin)", "if (false)",
           "test_rows.c", "test_one_counts_one_looks"),
    Mutant("a reader believes a stale end", "txn/visibility.c",
           "if (ae_load64_acquire(&version->end) != end)", "if (false)",
           "test_rows.c", "test_one_counts_one_looks"),
    Mutant("a scan reads begin before end", "table/read.c",
           "        const uint64_t end = ae_load64_acquire(&version->end);\n"
           "        const uint64_t begin = ae_load64_acquire(&version->begin);",
           "        const uint64_t begin = ae_load64_acquire(&version->begin);\n"
           "        const uint64_t end = ae_load64_acquire(&version->end);",
           "test_reclaim.c", "test_what_a_reader_holds_is_not_reused"),
    Mutant("the reaper forgets to stamp", "txn/reaper.c",
           "        ae_intents_stamp(db, slot, number);", "        ae_count(&db->proc, 0);",
           "test_rows.c", "test_counting_and_dying"),
    Mutant("the list of the dead is torn", "proc/proc.c",
           "    ae_store32_release(last, ref);\n    AE_CRASH_POINT(\"limbo.linked\");\n"
           "    ae_store32_release(tail, ref);",
           "    ae_store32_release(tail, ref);\n    ae_store32_release(last, ref);",
           "test_rows.c", "test_counting_and_dying"),
    Mutant("a write is noted too late", "table/publish.c",
           "    ae_store64_release(&version->begin, mark);\n    AE_CRASH_POINT(\"write.marked\");",
           "    ae_store64_release(&version->begin, mark);\n"
           "    ae_store32_release(&ae_slot_at(&db->proc, session->txn.slot)->intent_count,\n"
           "                       session->txn.intent_count - 1);\n"
           "    ae_store32_release(&ae_slot_at(&db->proc, session->txn.slot)->intent_count,\n"
           "                       session->txn.intent_count);",
           "test_rows.c", "test_counting_and_dying"),
    Mutant("a chain is believed that has changed", "table/read.c",
           "if (!again && ae_load64_acquire(&row->head) == head)", "if (!again)",
           "test_rows.c", "test_a_savepoint_beside_a_reader"),
    Mutant("a block of long texts is on no list", "table/publish.c",
           "    ae_store64_release(&version->begin, mark);\n    AE_CRASH_POINT(\"write.marked\");",
           "    if (parts->overflow != 0)\n"
           "        ae_store64_release((ae_a64 *)ae_at(&db->segment, parts->overflow),\n"
           "                           AE_WORD_OF_SLOT(3u));\n"
           "    ae_store64_release(&version->begin, mark);",
           "test_rows.c", "test_long_texts_and_dying"),
    # Latches.
    Mutant("a latch is taken without a look", "txn/latch.c",
           "taken = ae_cas32(wait.latch, word, mine | kept | flags);",
           "taken = true;\n            ae_store32_release(wait.latch, mine | kept | flags);",
           "test_latch.c", "test_two_lock_a_row"),
    Mutant("the latch of the dead stays", "txn/latch.c",
           "return state == AE_STATE_ACTIVE || state == AE_STATE_COMMITTING;",
           "return state <= AE_STATE_ABORTED;",
           "test_latch.c", "test_a_lock_dies_with_its_owner"),
    # Cancelling.
    Mutant("the snapshot of one at work is void", "txn/cancel.c",
           "if (ae_load32_acquire(&slot->resting) != 0)", "if (true)",
           "test_cancel.c", "test_cancelled_or_seeing"),
    Mutant("who wakes has no fence", "proc/proc.h",
           "        atomic_thread_fence(memory_order_seq_cst);\n"
           "    return AE_CANCEL_GENERATION(",
           "        atomic_signal_fence(memory_order_seq_cst);\n"
           "    return AE_CANCEL_GENERATION(",
           "test_cancel.c", "test_cancelled_or_seeing_by_fences",
           seen_by=("txn/cancel.c", "table/read.c")),
    Mutant("who cancels has no barrier", "txn/cancel.c",
           "if (proc->asymmetric && !ae_os_barrier())", "if (proc == NULL)",
           "test_cancel.c", "test_cancelled_or_seeing_by_a_barrier"),
    Mutant("the cancelled go on", "txn/cancel.c",
           "    txn->awake = 0;\n    txn->doomed = true;",
           "    return AERO_OK;\n    txn->doomed = true;",
           "test_cancel.c", "test_cancelled_or_seeing"),
    Mutant("who came back can be told again", "txn/cancel.c",
           "    if (ae_cas64(&slot->cancel, AE_CANCEL(generation, AE_CANCEL_TOLD),\n"
           "                 AE_CANCEL(generation, AE_CANCEL_OVER)))",
           "    if (ae_cas64(&slot->cancel, AE_CANCEL(generation, AE_CANCEL_TOLD), 0))",
           "test_cancel.c", "test_two_cancel_one_who_comes_back"),
    Mutant("who is reaped may be made void", "txn/reaper.c",
           "if (ae_cancel_over(at) ||", "if (ae_slot_void(at) ||",
           "test_cancel.c", "test_cancelling_who_is_reaped"),
    Mutant("a slot is new before it is awake", "proc/proc.c",
           "    ae_store64(&at->began_ns, 0);\n    ae_store32(&at->resting, 0);\n"
           "    ae_store64_release(&at->generation, ae_load64(&at->generation) + 1);",
           "    ae_store64_release(&at->generation, ae_load64(&at->generation) + 1);\n"
           "    ae_store64(&at->began_ns, 0);\n    ae_store32(&at->resting, 0);",
           "test_cancel.c", "test_a_new_owner_is_not_the_old_one"),
    Mutant("the inside of a run looks untaken", "shm/pages.c",
           "        ae_store32(&map[inner], AE_PAGE_INNER); /* keeps G2 */",
           "        ae_store32(&map[inner], 0);",
           "test_drain.c", "test_a_late_claim_at_the_frontier"),
    # Indexes that come and go, and unique values.
    Mutant("a value that is not committed is free", "table/entry.c",
           "? RIVAL_NONE : RIVAL_MAY_HAVE;", "? RIVAL_NONE : RIVAL_NONE;",
           "test_index.c", "test_two_insert_a_unique_value"),
    Mutant("a unique value is looked for before it is entered", "table/entry.c",
           "const aero_status status = of->same ? AERO_OK",
           "aero_status status = AERO_OK;\n"
           "    if (of->unique) {\n"
           "        const claim first = {.session = write->session, .of = write->of,\n"
           "                             .table = write->table, .shape = &of->shape,\n"
           "                             .words = of->key.words, .row = image};\n"
           "        status = unique_check(&first, &of->tree, of->key.anchor);\n"
           "        if (status == AERO_OK)\n"
           "            status = tree_put(write->session, &of->tree, &of->key, near);\n"
           "        return status;\n"
           "    }\n"
           "    status = of->same ? AERO_OK",
           "test_index.c", "test_two_insert_a_unique_value"),
    Mutant("a dropped index is not waited for", "index/catalog.c",
           "(state & STATE_REST) >= horizon", "horizon == 0",
           "test_index.c", "test_dropping_beside_a_writer"),
    Mutant("what was ended and not stamped is taken for good", "table/index_build.c",
           "((begin | end) & AE_MARK) != 0 ? KEY_PENDING", "marked ? KEY_PENDING",
           "test_index.c", "test_making_beside_a_delete"),
    Mutant("a dropped index is counted late", "index/catalog.c",
           "    (void)ae_add64(&catalog->shared->untidy, 1);\n"
           "    AE_CRASH_POINT(\"index.untidy\");\n"
           "    (void)ae_cas64(&at->places[number].state, state, "
           "STATE(AE_INDEX_DROPPING, clock));\n",
           "    (void)ae_cas64(&at->places[number].state, state, "
           "STATE(AE_INDEX_DROPPING, clock));\n"
           "    (void)ae_add64(&catalog->shared->untidy, 1);\n",
           "test_index.c", "test_dropping_and_dying"),
    # Reclaiming.
    Mutant("the freer looks at the head too early", "txn/reclaim.c",
           "    const bool alone = begin == AE_STAMP_TAKEN || begin == (AE_WORD_CACHED | slot);\n"
           "    if (!alone)\n"
           "        ae_store64_release(&version->begin, AE_STAMP_DEAD);\n"
           "    /* Pairs with head_restore_dead, and with lock_take in prune.c. */\n"
           "    atomic_thread_fence(memory_order_seq_cst);\n"
           "    AE_CRASH_POINT(\"reclaim.unseen\");\n"
           "    if (!alone && ae_prune_waits(db, slot, anchor))\n"
           "        return false;\n"
           "    ae_store64_release(&version->begin, AE_WORD_CACHED | slot);\n"
           "    AE_CRASH_POINT(\"reclaim.cached\");\n"
           "    ae_anchor *row = ae_at(&db->segment, anchor);\n"
           "    const uint64_t head = ae_load64_acquire(&row->head);",
           "    (void)begin;\n"
           "    ae_anchor *row = ae_at(&db->segment, anchor);\n"
           "    const uint64_t head = ae_load64_acquire(&row->head);\n"
           "    ae_store64_release(&version->begin, AE_WORD_CACHED | slot);",
           "test_reclaim.c", "test_revival_undone_while_reclaiming"),
    Mutant("the freer has no fence", "txn/reclaim.c",
           "    /* Pairs with head_restore_dead, and with lock_take in prune.c. */\n"
           "    atomic_thread_fence(memory_order_seq_cst);", "",
           "test_reclaim.c", "test_revival_undone_with_store_buffers"),
    # Pruning.
    Mutant("a walk does not look where it came from", "txn/visibility_inline.h",
           "return step->from == NULL ||", "return true ||",
           "test_prune.c", "test_an_old_reader_walks_while_others_prune",
           seen_by=("table/read.c",)),
    Mutant("nobody asks the older snapshots", "proc/proc.h",
           "need |= begin <= snapshots->at[index] && snapshots->at[index] < end;",
           "need |= begin > end;",
           "test_prune.c", "test_two_prune_a_row", seen_by=("txn/prune.c", "txn/reclaim.c")),
    Mutant("a freer does not look at the lock", "txn/reclaim.c",
           "if (!alone && ae_prune_waits(db, slot, anchor))",
           "if (!alone && slot == AE_SLOTS)",
           "test_prune.c", "test_what_a_pruner_stands_on_is_not_reused"),
    Mutant("two relink a row", "txn/prune.c",
           "    if (ae_cas32(lock, 0, slot + 1)) {",
           "    ae_store32_release(lock, slot + 1);\n    {",
           "test_prune.c", "test_two_prune_and_know_different_things"),
    Mutant("the dead keeps the lock", "txn/prune.c",
           "    ae_store32_release(&at->pruned, 0);\n    lock_drop(db, slot);",
           "    ae_store32_release(&at->pruned, 0);",
           "test_prune.c", "test_pruning_and_dying"),
    Mutant("a watch takes its snapshot before its pin", "proc/feed.c",
           "    AE_CRASH_POINT(\"feed.pinned\");",
           "    ae_store64_release(&at->pin, 0);",
           "test_prune.c", "test_a_watch_is_opened_while_others_prune"),
    Mutant("a row that is going is in the way for ever", "table/publish.c",
           "(begin >= AE_STAMP_TAKEN && begin < AE_MARK)",
           "(begin & ~(uint64_t)0xff) == AE_WORD_CACHED",
           "test_prune.c", "test_dying_at_a_row_that_went"),
    Mutant("undoing does not look for the freed", "txn/intent.c",
           "    if (!older_is_there(db, anchor, older))", "    if (head == 0)",
           "test_reclaim.c", "test_revival_undone_while_reclaiming"),
    Mutant("a freed version is on no list", "txn/reclaim.c",
           "    ae_heap_register(&db->heap, &at->cache, pool, ref);", "",
           "test_reclaim.c", "test_reclaiming_and_dying"),
    Mutant("what is retired is free at once", "proc/proc.c",
           "if ((word & AE_RETIRED_NUMBER) >= horizon)", "if (word == horizon)",
           "test_frozen.c", "test_a_reader_is_stopped_in_a_shard"),
    Mutant("an update believes an old head", "table/publish.c",
           "    const uint64_t head = ae_load64_acquire(&row->head);\n"
           "    AE_ALWAYS(ae_head_ref(head) == old);",
           "    const uint64_t head = judged->head;\n"
           "    AE_ALWAYS(ae_head_ref(head) == old);",
           "test_rows.c", "test_undoing_beside_a_writer_and_a_reader"),
    # Validation.
    Mutant("what was decided in the queue is not validated", "txn/txn.c",
           "const int32_t hit = ae_validate(session, validated, *position);",
           "const int32_t hit = validated > *position ? 1 : AERO_CONFLICT_NONE;",
           "test_serializable.c", "test_write_skew"),
    Mutant("a row that was only read counts as written", "txn/txn.c",
           "        if (!own)\n            return false;",
           "        if (!own && count == UINT32_MAX)\n            return false;",
           "test_serializable.c", "test_write_skew"),
    Mutant("a write that is not described yet is passed over", "txn/changes.c",
           "if (slot_copy(db, position, slot, generation, inlined, &count, &ref))",
           "if (false && slot_copy(db, position, slot, generation, inlined, &count, &ref))",
           "test_serializable.c", "test_phantom"),
    Mutant("a slot's writes are believed after it was left", "txn/changes.c",
           "    return (ae_load64_acquire(&at->generation) & mask) == generation &&\n"
           "           ae_state_of(state) == AE_STATE_COMMITTED &&\n"
           "           !ae_queue_described(&db->queue, position, &what, &ref);",
           "    return (generation | mask | state | position) != 0 && what == 0 && ref == 0;",
           "test_serializable.c", "test_write_skew"),
    Mutant("the clock moves before the decision", "txn/queue.c",
           "    const bool decided = ae_cas64(",
           "    (void)ae_cas64(&shared->clock, position, position + 1);\n"
           "    const bool decided = ae_cas64(",
           "test_serializable.c", "test_snapshot_is_a_prefix"),
    # Entries of ordered indexes.
    Mutant("an entry goes that a younger version has", "txn/entries.c",
           "    return ask.needed[0] || drop_remove(",
           "    return drop_remove(",
           "test_reclaim.c", "test_revival_undone_reclaimed_and_inserted"),
    Mutant("an entry's ticket is read after the look", "txn/entries.c",
           "    AE_CRASH_POINT(\"entry.unneeded\");\n",
           "    (void)ae_tree_spot_find(&of->tree, key, spot);\n",
           "test_reclaim.c", "test_revival_undone_reclaimed_and_inserted"),
    Mutant("a chain that has changed was asked", "txn/entries.c",
           "chain_ask(ask, head, &from) && ae_load64_acquire(&row->head) == head",
           "chain_ask(ask, head, &from)",
           "test_reclaim.c", "test_key_came_back_and_a_change_is_undone"),
    Mutant("what is needed by one of many is forgotten", "txn/entries.c",
           "if (!ask.needed[index] &&", "if (",
           "test_reclaim.c", "test_many_versions_of_a_row"),
    Mutant("a dead version keeps its entry", "txn/entries.c",
           "    return read && end > horizon;", "    return read && end > 0;",
           "test_reclaim.c", "test_revival_undone_while_reclaiming"),
    # The key hash.
    Mutant("an inserter does not look for its rival", "index/hash.c",
           "if (!path.company)", "if (true)",
           "test_hash.c", "test_one_key_while_a_place_becomes_free"),
    Mutant("an entry is taken without a look", "index/hash.c",
           "if (!ae_cas64(&path.entry->word, path.word, (uint64_t)tag << 32 | anchor))\n"
           "        return PROBE_AGAIN;",
           "ae_store64_release(&path.entry->word, (uint64_t)tag << 32 | anchor);",
           "test_hash.c", "test_one_key_on_an_empty_path"),
    Mutant("entries are copied before they are frozen", "index/hash.c",
           "ae_or64(&shard->entries[index].word, AE_HASH_FROZEN)",
           "ae_load64(&shard->entries[index].word)",
           "test_hash.c", "test_entering_a_shard_that_splits"),
    Mutant("two splits win", "index/hash.c",
           "if (ae_cas64(&shard->successor, 0, (uint64_t)high << 32 | fresh[0])) {",
           "ae_store64_release(&shard->successor, (uint64_t)high << 32 | fresh[0]);\n"
           "    if (true) {",
           "test_hash.c", "test_two_split_a_shard"),
    Mutant("a split is in no register", "index/hash.c",
           "        ae_store32_release(&at->split_new[side], fresh[side]);\n"
           "        AE_CRASH_POINT(\"hash.prepared\");", "",
           "test_hash.c", "test_splitting_and_dying"),
    # Those who follow the commits.
    Mutant("a line is taken without a look", "proc/feed.c",
           "return ae_cas64(&line->owner, seen, AE_OWNER((seen >> 33) + 1, member));",
           "ae_store64_release(&line->owner, AE_OWNER((seen >> 33) + 1, member));\n"
           "    return true;",
           "test_feed.c", "test_three_claim_lines"),
    Mutant("a line is free before its pin is gone", "proc/feed.c",
           "    ae_store64_release(&at->pin, 0);\n",
           "    ae_store64_release(&at->owner, ae_load64(&at->owner) & AE_OWNER_CLAIM);\n"
           "    ae_store64_release(&at->pin, 0);\n",
           "test_feed.c", "test_three_claim_lines"),
    Mutant("a pin is not looked at after the copy", "proc/feed.c",
           "    return ae_load64_acquire(&line_at(proc, line)->pin) <= position;",
           "    return line_at(proc, line) != NULL && position != 0;",
           "test_feed.c", "test_a_pin_is_revoked"),
    Mutant("a pin is moved over its revocation", "proc/feed.c",
           "if (seen >= to || ae_cas64(&at->pin, seen, to))\n            return true;",
           "ae_store64_release(&at->pin, to);\n        return true;",
           "test_feed.c", "test_a_pin_is_revoked"),
    Mutant("a pin that lags is passed by, not revoked", "proc/feed.c",
           "if (clock - pin > most && ae_cas64(&line->pin, pin, AE_PIN_REVOKED))",
           "if (clock - pin > most)",
           "test_feed.c", "test_a_pin_is_revoked"),
    Mutant("a pin is published without a second look", "proc/feed.c",
           "    const uint64_t pin = ae_snapshot_publish(proc, &at->pin);",
           "    const uint64_t pin = ae_load64_acquire(&proc->shared->clock);\n"
           "    ae_store64_release(&at->pin, pin);",
           "test_feed.c", "test_following_beside_a_committer"),
    Mutant("the horizon passes the pins", "proc/proc.c",
           "return kept < known ? kept : horizon;", "return kept > clock ? kept : horizon;",
           "test_feed.c", "test_following_beside_a_committer"),
    Mutant("a pin that is half published is taken over", "proc/feed.c",
           " || ae_load64_acquire(&at->settled) == 0)", ")",
           "test_feed.c", "test_taking_over_from_the_dead"),
    Mutant("a pin that was taken over is moved by the late", "proc/feed.c",
           "        if (pin == 0 || pin >= position)", "        if (position != 0)",
           "test_feed.c", "test_taking_over_beside_a_squeeze"),
    Mutant("a living one's line is taken over", "proc/feed.c",
           "if ((uint32_t)seen == 0 || !owner_dead(proc, seen))", "if ((uint32_t)seen == 0)",
           "test_feed.c", "test_taking_over_from_the_dead"),
    Mutant("a late burial makes a living one's line an orphan", "proc/feed.c",
           "ae_load64_acquire(&proc->shared->members[member].identity) == identity)",
           "identity != 0)",
           "test_feed.c", "test_a_late_burial"),
    Mutant("a sleeper has no fence", "proc/feed.c",
           "    atomic_thread_fence(memory_order_seq_cst);\n"
           "    if (ae_load64_acquire(&shared->clock) > clock)",
           "    if (ae_load64_acquire(&shared->clock) > clock)",
           "test_feed.c", "test_sleeping_until_a_commit"),
    Mutant("a sleeper does not look at the clock again", "proc/feed.c",
           "    if (ae_load64_acquire(&shared->clock) > clock)\n        return;\n",
           "    (void)clock;\n",
           "test_feed.c", "test_sleeping_until_a_commit"),
    Mutant("a sleeper reads the event after the clock", "proc/feed.c",
           "ae_os_wait(&shared->feed_event, event,",
           "ae_os_wait(&shared->feed_event, ae_load32(&shared->feed_event) + 0 * event,",
           "test_feed.c", "test_sleeping_until_a_commit"),
    Mutant("a sleeper trusts that it is woken", "proc/feed.c",
           "timeout_ns < AE_FEED_SLEEP_NS ? timeout_ns : AE_FEED_SLEEP_NS", "timeout_ns",
           "test_feed.c", "test_sleeping_while_a_committer_dies"),
    # The ordered index.
    Mutant("a claim of the same row is passed by", "index/tree_put.c",
           "            (void)ae_cas64(&words[place], word, AE_TREE_VOID);\n"
           "            return PUT_AGAIN;", "            continue;",
           "test_tree.c", "test_two_put_a_key"),
    Mutant("a place is claimed without a look", "index/tree_put.c",
           "if (!ae_cas64(at, 0, claim))\n        return PUT_AGAIN;",
           "ae_store64_release(at, claim);",
           "test_tree.c", "test_two_put_a_key"),
    Mutant("a void claim is believed", "index/tree_put.c",
           "const bool done = ae_cas64(at, claim, aei_word_live(floor + 1, key->anchor));",
           "const bool done = true;\n"
           "    ae_store64_release(at, aei_word_live(floor + 1, key->anchor));",
           "test_tree.c", "test_two_put_a_key"),
    Mutant("an entry that comes again keeps its number", "index/tree_put.c",
           "aei_word_live(aei_word_sequence(word) + 1, (ae_ref)word)))",
           "aei_word_live(aei_word_sequence(word), (ae_ref)word)))",
           "test_tree.c", "test_an_entry_comes_again_while_it_is_freed"),
    Mutant("a removal does not look at the ticket", "index/tree_remove.c",
           "        if ((word & ~AE_TREE_FROZEN) != ticket)\n            return AERO_OK;",
           "        ticket = word & ~AE_TREE_FROZEN;",
           "test_tree.c", "test_an_entry_comes_again_while_it_is_freed"),
    Mutant("an entry is removed where it was found, without a look", "index/tree_remove.c",
           "const bool done = ae_cas64(at, ticket, ticket | AE_TREE_DEAD);",
           "const bool done = true;\n    ae_store64_release(at, ticket | AE_TREE_DEAD);",
           "test_tree.c", "test_an_entry_comes_again_while_it_is_freed"),
    Mutant("a leaf that was foreseen is believed though it has been replaced",
           "index/tree_find.c",
           "leaf == NULL || leaf->level != 0 || ae_load64_acquire(&leaf->successor) != 0",
           "leaf == NULL || leaf->level != 0",
           "test_tree.c", "test_a_leaf_is_replaced_after_it_was_foreseen"),
    Mutant("who replaces a foreseen leaf too late believes it has put", "index/tree_put.c",
           "    if (added == 0)\n        return ae_tree_put(tree, slot, key, error);",
           "    if (added == 0 && result != PUT_REPLACE)\n"
           "        return ae_tree_put(tree, slot, key, error);",
           "test_tree.c", "test_a_full_leaf_was_foreseen"),
    Mutant("numbers of dropped entries are forgotten by a put", "index/tree_put.c",
           "const uint32_t floor = aei_sequence_later(leaf->floor, "
           "ae_load32_acquire(&tree->root->floor));",
           "const uint32_t floor = ae_load32_acquire(&tree->root->floor);",
           "test_tree.c", "test_an_entry_comes_again_while_it_is_freed"),
    Mutant("numbers of dropped entries are forgotten by a leaf", "index/tree_build.c",
           "            *floor = aei_sequence_later(*floor, aei_word_sequence(word));",
           "            (void)word;",
           "test_tree.c", "test_an_entry_comes_again_while_it_is_freed"),
    Mutant("two replacements of a node win", "index/tree_replace.c",
           "const bool won = ae_cas64(&node->successor, 0, successor);",
           "const bool won = true;\n"
           "    ae_store64_release(&node->successor, successor);",
           "test_tree.c", "test_two_replace_a_leaf"),
    Mutant("who replaces a leaf too late keeps its nodes", "index/tree_replace.c",
           "    if (node_publish(leaf, pair_of(tree, fresh[0], fresh[1])))\n"
           "        *added = of.added;\n"
           "    else\n"
           "        nodes_give(tree, slot);",
           "    if (node_publish(leaf, pair_of(tree, fresh[0], fresh[1])))\n"
           "        *added = of.added;",
           "test_tree.c", "test_two_replace_a_leaf"),
    Mutant("who replaces a leaf too late believes it has put", "index/tree_replace.c",
           "    if (node_publish(leaf, pair_of(tree, fresh[0], fresh[1])))\n"
           "        *added = of.added;\n"
           "    else\n"
           "        nodes_give(tree, slot);",
           "    if (!node_publish(leaf, pair_of(tree, fresh[0], fresh[1])))\n"
           "        nodes_give(tree, slot);\n"
           "    *added = of.added;",
           "test_tree.c", "test_two_replace_a_leaf"),
    Mutant("a new node is in no register", "index/tree_replace.c",
           "    ae_store32_release(&at->tree_new[side], ref);\n"
           "    ae_store64_release",
           "    (void)side;\n"
           "    ae_store64_release",
           "test_tree.c", "test_dying_in_a_split_of_the_top"),
    Mutant("a node is retired again by a repair", "index/tree_replace.c",
           "        if (ae_limbo_last_is(&at->block_head, &at->block_tail, ref))\n"
           "            return;",
           "        ;",
           "test_tree.c", "test_taking_down_and_dying"),
    Mutant("a leaf is linked without a look", "index/tree_replace.c",
           "        if (!ae_cas64(place, 0, aei_tree_ref(tree, node)))\n"
           "            nodes_give(tree, slot);",
           "        ae_store64_release(place, aei_tree_ref(tree, node));",
           "test_tree.c", "test_putting_into_a_tree_that_is_given_up"),
    Mutant("a reference is swung without a look", "index/tree_replace.c",
           "    if (ae_cas64(place, ref, successor == AE_TREE_GONE ? 0 : successor)) {",
           "    ae_store64_release(place, successor == AE_TREE_GONE ? 0 : successor);\n"
           "    if (true) {",
           "test_tree.c", "test_two_split_under_a_parent"),
    Mutant("a frozen reference is not seen", "index/tree_put.c",
           "            if ((word & AE_TREE_FROZEN) != 0) {",
           "            if (false) {",
           "test_tree.c", "test_a_child_under_a_parent_that_is_replaced"),
    Mutant("a leaf is written that has a successor", "index/tree_put.c",
           "            if (ae_load64_acquire(&node->successor) != 0) {",
           "            if (node->level > 0 && ae_load64_acquire(&node->successor) != 0) {",
           "test_tree.c", "test_two_replace_a_leaf"),
    Mutant("a node is retired before it is unlinked", "index/tree_replace.c",
           "    if (ae_cas64(place, ref, successor == AE_TREE_GONE ? 0 : successor)) {",
           "    aei_node_retire(tree, slot, node);\n"
           "    if (ae_cas64(place, ref, successor == AE_TREE_GONE ? 0 : successor)) {",
           "test_tree.c", "test_a_child_under_a_parent_that_is_replaced"),
    Mutant("a node is retired with an old number", "index/tree_replace.c",
           "const uint64_t retired = ae_retired_word(slot, clock);",
           "const uint64_t retired = ae_retired_word(slot, clock - 1);",
           "test_tree.c", "test_walking_while_nodes_are_used_again"),
    Mutant("a new top is linked without a look", "index/tree_replace.c",
           "        if (ae_cas64(&tree->root->node, aei_tree_ref(tree, top), "
           "aei_tree_ref(tree, inner))) {",
           "        ae_store64_release(&tree->root->node, aei_tree_ref(tree, inner));\n"
           "        if (true) {",
           "test_tree.c", "test_two_split_the_top"),
    Mutant("a leaf grows where an inner node was given up", "index/tree_replace.c",
           "const uint32_t level = parent == NULL ? 0 : parent->level - 1u;",
           "const uint32_t level = 0;",
           "test_tree.c", "test_putting_into_an_inner_node_that_is_given_up"),
    Mutant("a leaf is given up into which somebody has put", "index/tree_replace.c",
           "    if (of.count == 0) {\n"
           "        nodes_give(tree, slot);\n"
           "        aei_leaf_abandon",
           "    if (empties || of.count == 0) {\n"
           "        nodes_give(tree, slot);\n"
           "        aei_leaf_abandon",
           "test_tree.c", "test_putting_into_a_leaf_that_is_given_up"),
    # The log.
    Mutant("a replaced writer may still publish", "wal/writer.c",
           "    if ((of->holder & AEI_HOLDER_FENCE) != 0 &&\n"
           "        !aei_state_publish(of->log, of->writer->member, &of->word, &of->position))\n"
           "        return STEP_REPLACED;\n",
           "",
           "test_log.c", "test_a_replaced_writer_goes_on"),
    Mutant("a replaced writer believes what it reads", "wal/writer.c",
           "    return ae_load64_acquire(&shared->holder) == mine;",
           "    return true;",
           "test_log.c", "test_a_replaced_writer_goes_on"),
    Mutant("a file that is named late hides another", "wal/files.c",
           "        failure = ae_load64_acquire(&log->shared->holder) == holder\n",
           "        failure = holder != 1\n",
           "test_log.c", "test_two_make_a_file"),
    Mutant("a living writer is replaced in its file", "wal/writer.c",
           "(living ? AEI_HOLDER_FENCE : holder & AEI_HOLDER_FENCE)",
           "(holder & AEI_HOLDER_FENCE)",
           "test_log.c", "test_two_commit"),
    Mutant("the seat is taken without a look", "wal/writer.c",
           "    if (!ae_cas64(&shared->holder, holder, mine))\n"
           "        return false;",
           "    ae_store64_release(&shared->holder, mine);",
           "test_log.c", "test_two_commit"),
    Mutant("the stream is published without a look", "wal/log.c",
           "    if (!ae_cas64(&shared->published, *word, next))\n"
           "        return false;",
           "    ae_store64_release(&shared->published, next);",
           "test_log.c", "test_two_commit"),
    Mutant("durable is raised before the sync", "wal/writer.c",
           "    if (failure == 0)\n"
           "        failure = ae_os_file_sync(of->writer->fd);",
           "    if (failure == 0) {\n"
           "        ae_raise64(&shared->durable_lsn, of->position.lsn);\n"
           "        ae_raise64(&shared->durable_number, of->position.number);\n"
           "        failure = ae_os_file_sync(of->writer->fd);\n"
           "    }",
           "test_log.c", "test_two_commit"),
    Mutant("a file is ended that is not synced", "wal/writer.c",
           "        if (file_sync(of, status, error) != STEP_DONE)\n"
           "            return STEP_FAILED;\n"
           "    }",
           "    }",
           "test_log.c", "test_two_commit"),
    Mutant("what is undecided is written", "wal/writer.c",
           "    const uint64_t clock = ae_load64_acquire(&of->log->proc->shared->clock);\n"
           "    *more = false;",
           "    const uint64_t clock = ae_load64_acquire(&of->log->proc->shared->tail);\n"
           "    *more = false;",
           "test_log.c", "test_two_commit"),
    Mutant("the log of the dead is not settled", "txn/reaper.c",
           "        ae_log_settle(&db->log, slot, number != 0);",
           "        (void)number;",
           "test_log.c", "test_two_commit_and_one_dies"),
    Mutant("what was taken back stays in the ring", "wal/log.c",
           "        ae_store64_release(&ring->fill, head);",
           "        ae_store64_release(&ring->head, fill);",
           "test_log.c", "test_two_commit_and_one_dies"),
    # Memory.
    Mutant("the bitmap decides who has an object", "shm/heap.c",
           "if (!ae_cas64(object, seen, aei_word_cached(kind, seen, slot)))\n            continue;",
           "ae_store64_release(object, aei_word_cached(kind, seen, slot));",
           "test_heap.c", "test_taking_beside_a_reaper", more=1),
    Mutant("bits disappear before the claim is noted", "shm/heap.c",
           "    ae_store64_release(&cache->claim, ((uint64_t)page << 32 | word) + 1);",
           "(void)page;",
           "test_heap.c", "test_large_objects_of_the_dead"),
    Mutant("bits that others set meanwhile are lost", "shm/heap.c",
           "ae_and64(&slab->bits[word], ~wanted) & wanted;",
           "ae_load64(&slab->bits[word]) & wanted;\n"
           "    ae_store64(&slab->bits[word], ae_load64(&slab->bits[word]) & ~wanted);",
           "test_heap.c", "test_magazines"),
    Mutant("a slab is in no register", "shm/pools.c",
           "    ae_store32_release(&cache->growing, page);", "",
           "test_heap.c", "test_growing_and_dying"),
    # Slabs out of service.
    Mutant("a slab goes with an object in hand", "shm/drain.c",
           "            all = ae_heap_is_free_word(kind, seen) &&\n"
           "                  ae_cas64(object, seen, aei_word_cached(kind, seen, slot));",
           "            ae_store64_release(object, aei_word_cached(kind, seen, slot));",
           "test_drain.c", "test_draining_beside_a_reaper"),
    Mutant("a slab being drained is in no register", "shm/drain.c",
           "            ae_store32_release(&cache->draining, slab_page(heap, slab));", "",
           "test_drain.c", "test_draining_and_dying"),
    Mutant("a drained slab stays in its directory", "shm/drain.c",
           "            ae_heap_unlist(heap, slab);", "",
           "test_drain.c", "test_a_slab_is_not_given_back_under_a_taker"),
    Mutant("a slab is given back at once", "proc/proc.c",
           "        if ((word & AE_RETIRED_NUMBER) >= horizon)\n            return freed;\n"
           "        if (slab == NULL) {",
           "        if (slab != NULL && (word & AE_RETIRED_NUMBER) >= horizon)\n"
           "            return freed;\n        if (slab == NULL) {",
           "test_drain.c", "test_a_slab_is_not_given_back_under_a_taker"),
    Mutant("a slab of the dead is retired twice", "proc/proc.c",
           "               !ae_limbo_last_is(&at->block_head, &at->block_tail, ref)) {",
           "               true) {",
           "test_drain.c", "test_giving_back_and_dying"),
    Mutant("a slab of the dead is not given back", "proc/proc.c",
           "    if (word == ae_slab_word_returning(slot)) {", "    if (word == 1) {",
           "test_drain.c", "test_giving_back_and_dying"),
    Mutant("a hole is offered with a page too many", "shm/pages.c",
           "    ae_store32_release(&segment->page_map[page], PAGE_HOLE | count << 8);\n}\n\n"
           "uint64_t ae_pages_holes",
           "    ae_store32_release(&segment->page_map[page], PAGE_HOLE | (count + 1) << 8);\n}\n\n"
           "uint64_t ae_pages_holes",
           "test_drain.c", "test_giving_back_and_dying"),
)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name.replace(" ", "-"))
def test_planted_fault_is_found(mutant):
    """The model fails, and its schedule alone fails too."""
    source = HERE / mutant.program
    links = c_items.comment_words(source.read_text(), "links")
    (variant,) = c_items.comment_words(source.read_text(), "variants")
    program = cbuild.program(source, variant, links, ("-lcmocka",), mutant.folder())
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith("AE_EXPLORE_")}
    environment["AE_EXPLORE_MORE"] = str(mutant.more)
    for _ in range(2):
        done = subprocess.run([program, mutant.test], capture_output=True, text=True, check=False,
                              timeout=c_items.TIMEOUT_S, env=environment)
        answer = done.stdout[-2000:] + done.stderr
        assert done.returncode == 1, answer
        assert "AE_SCHEDULE='" in done.stderr, answer
        environment["AE_SCHEDULE"] = done.stderr.split("AE_SCHEDULE='")[1].split("'")[0]
