/* count.c — how many rows each table has, without looking at them.
 *
 * A shared counter would be written by every insert and delete of every process.  Instead each slot
 * has a word for each table: what its transactions have added to the number of rows, modulo 2^32
 * (no table has that many), and behind it the generation of the last one that counted.  Both change
 * with one store, so whoever finishes a dead transaction sees whether it has been counted already.
 */
#include "txn/txn.h"

static ae_a64 *count_at(const aero_db *db, uint32_t slot, uint32_t table)
{
    AE_ASSERT(slot < AE_SLOTS && table < ae_row_counts_stride(db->schema->table_count));
    return &db->row_counts[(size_t)slot * ae_row_counts_stride(db->schema->table_count) + table];
}

/* What the slot's writes add to the table. */
static uint32_t writes_add(aero_db *db, ae_slot *slot, uint32_t table)
{
    const uint32_t count = ae_load32(&slot->intent_count);
    uint32_t added = 0;
    ae_intent_walk walk;
    ae_intent_walk_start(&walk, db, slot, 0);
    for (uint32_t index = 0; index < count; index++) {
        const ae_intent *intent = ae_intent_walk_here(&walk);
        if ((ae_load32(&intent->what) & 0xffu) == table) {
            added += ae_load32(&intent->replaced) == 0;
            added -= ae_load32(&intent->created) == 0;
        }
        if (index + 1 < count)
            ae_intent_walk_next(&walk);
    }
    return added;
}

/* A bit for each table that got or lost a row. */
static uint32_t tables_changed(aero_db *db, ae_slot *slot)
{
    const uint32_t count = ae_load32(&slot->intent_count);
    uint32_t changed = 0;
    ae_intent_walk walk;
    ae_intent_walk_start(&walk, db, slot, 0);
    for (uint32_t index = 0; index < count; index++) {
        const ae_intent *intent = ae_intent_walk_here(&walk);
        if (ae_load32(&intent->replaced) == 0 || ae_load32(&intent->created) == 0)
            changed |= 1u << (ae_load32(&intent->what) % AE_TABLES_MAX);
        if (index + 1 < count)
            ae_intent_walk_next(&walk);
    }
    return changed;
}

void ae_writes_count(aero_db *db, uint32_t slot)
{
    AE_ASSERT(slot < AE_SLOTS);
    ae_slot *at = ae_slot_at(&db->proc, slot);
    const uint32_t generation = (uint32_t)ae_load64(&at->generation);
    const uint32_t count = ae_load32(&at->intent_count);
    /* Counted: from here on the list of writes is given away, piece by piece. */
    if (count == 0 || ae_load32(&at->stamped) > count)
        return;
    for (uint32_t left = tables_changed(db, at); left != 0; left &= left - 1) {
        const uint32_t table = (uint32_t)__builtin_ctz(left);
        ae_a64 *place = count_at(db, slot, table);
        const uint64_t word = ae_load64(place);
        if ((uint32_t)word == generation)
            continue; /* by the owner, before it died */
        const uint32_t rows = (uint32_t)(word >> 32) + writes_add(db, at, table);
        ae_store64(place, (uint64_t)rows << 32 | generation);
        AE_CRASH_POINT("count.table");
    }
    /* Release: counted before the list goes; pairs with ae_slot_seize of a reaper. */
    ae_store32_release(&at->stamped, count + 1);
    AE_CRASH_POINT("count.done");
}

uint64_t ae_rows_counted(const aero_db *db, uint32_t table)
{
    AE_ASSERT(table < db->schema->table_count);
    const uint32_t high = ae_load32_acquire(&db->proc.shared->slot_high);
    uint32_t rows = 0;
    for (uint32_t slot = 0; slot < high; slot++)
        rows += (uint32_t)(ae_load64(count_at(db, slot, table)) >> 32);
    return rows;
}
