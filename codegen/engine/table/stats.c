/* stats.c — collecting the statistics list: segment, memory by kind, transactions, log, watches,
 * tables (see stats.h).
 */
#include "table/stats.h"

#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "proc/feed.h"
#include "table/index_read.h"
#include "txn/txn.h"
#include "txn/age.h"

#define STATS_FIRST 256u

typedef struct stat_list {
    aero_session *session;
    const aero_db *db;
    uint64_t now;   /* monotonic */
    uint64_t clock; /* of commits */
    uint32_t count;
    bool failed; /* no memory */
} stat_list;

static aero_stat *stat_new(stat_list *list)
{
    aero_session *session = list->session;
    if (list->count == session->stats_capacity) {
        const uint32_t room = session->stats_capacity == 0 ? STATS_FIRST : 2 * list->count;
        aero_stat *grown = realloc(session->stats, room * sizeof *grown);
        list->failed |= grown == NULL;
        if (grown == NULL)
            return NULL;
        session->stats = grown;
        session->stats_capacity = room;
    }
    return &session->stats[list->count++];
}

static void put(stat_list *list, const char *name, int32_t table, int32_t item, uint64_t value)
{
    aero_stat *stat = stat_new(list);
    if (stat != NULL)
        *stat = (aero_stat){.name = name,
                            .table = table,
                            .item = item,
                            .value = {.type = AERO_TYPE_INT, .u = {.integer = (int64_t)value}}};
}

static void put_text(stat_list *list, const char *name, int32_t table, int32_t item,
                     const char *text)
{
    aero_stat *stat = stat_new(list);
    if (stat != NULL)
        *stat = (aero_stat){.name = name,
                            .table = table,
                            .item = item,
                            .value = {.type = AERO_TYPE_TEXT,
                                      .length = (uint32_t)strlen(text),
                                      .u = {.data = text}}};
}

static void add(stat_list *list, const char *name, uint64_t value)
{
    put(list, name, -1, -1, value);
}

static void add_text(stat_list *list, const char *name, const char *text)
{
    put_text(list, name, -1, -1, text);
}

/* Of two readings of words that others move. */
static uint64_t above(uint64_t value, uint64_t less)
{
    return value > less ? value - less : 0;
}

static uint64_t age_us(const stat_list *list, uint64_t since_ns)
{
    return since_ns == 0 ? 0 : above(list->now, since_ns) / 1000;
}

/* ---- memory --------------------------------------------------------------------------------- */

static uint64_t pool_free_bytes(const ae_heap *heap, uint32_t pool)
{
    const int32_t objects = (int32_t)ae_load32(&heap->pools[pool].free_hint);
    return objects < 0 ? 0 : (uint64_t)objects * heap->pools[pool].object_size;
}

/* Slabs, shards and nodes are looked at under a snapshot, which an open read may have already. */
static bool look_start(const stat_list *list)
{
    ae_a64 *pin = &list->db->proc.shared->members[list->session->member].pin;
    const bool pinned = ae_load64(pin) != 0;
    if (!pinned)
        (void)ae_snapshot_publish(&list->db->proc, pin);
    return pinned;
}

static void look_end(const stat_list *list, bool pinned)
{
    if (!pinned)
        /* Release: the looking is over; pairs with ae_horizon_compute. */
        ae_store64_release(&list->db->proc.shared->members[list->session->member].pin, 0);
}

static void add_memory(stat_list *list)
{
    const aero_db *db = list->db;
    const ae_heap *heap = &db->heap;
    const uint64_t left = db->segment.size - ae_load64(&db->segment.header->used) +
                          (ae_pages_holes(&db->segment, NULL) << AE_PAGE_SHIFT);
    const bool pinned = look_start(list);
    uint64_t blocks = 0;
    uint64_t free = 0;
    int32_t item = 0;
    add(list, "segment_size", db->segment.size);
    add(list, "segment_used", above(db->segment.size, left));
    add(list, "segment_reserved", ae_load64(&db->segment.header->reserved));
    add(list, "segment_free", left);
    add(list, "bytes_fixed", (uint64_t)db->segment.header->first_page << AE_PAGE_SHIFT);
    add(list, "bytes_queue", (db->queue.mask + 1) * sizeof(ae_queue_entry));
    for (uint32_t pool = 0; pool < heap->pool_count; pool++)
        free += pool_free_bytes(heap, pool);
    for (uint32_t pool = heap->class_first; pool < heap->pool_count; pool++) {
        const uint64_t bytes = ae_pool_bytes(heap, pool);
        if (bytes == 0)
            continue;
        blocks += bytes;
        put(list, "block_classes.size", -1, item, heap->pools[pool].object_size);
        put(list, "block_classes.bytes", -1, item, bytes);
        put(list, "block_classes.free", -1, item++, pool_free_bytes(heap, pool));
    }
    look_end(list, pinned);
    add(list, "bytes_blocks", blocks);
    add(list, "bytes_free", free);
}

/* ---- transactions --------------------------------------------------------------------------- */

/* Who holds the oldest snapshot. */
typedef struct oldest {
    const char *kind;
    uint64_t snapshot;
    uint64_t pid;
    uint64_t began_ns;
} oldest;

static uint64_t member_pid(const ae_proc_shared *shared, uint64_t owner)
{
    const uint32_t member = (uint32_t)owner - 1;
    return member >= AE_MEMBERS ? 0
                                : ae_os_identity_pid(ae_load64(&shared->members[member].identity));
}

static void oldest_judge(oldest *of, const char *kind, uint64_t snapshot, uint64_t pid,
                         uint64_t began_ns)
{
    if (snapshot != 0 && snapshot <= of->snapshot && (snapshot < of->snapshot || of->pid == 0))
        *of = (oldest){kind, snapshot, pid, began_ns};
}

static void add_transaction(stat_list *list, const ae_slot *slot, uint32_t number, uint64_t pid,
                            int32_t item)
{
    static const char *const states[] = {"idle", "active", "committing", "committed", "aborted"};
    const uint32_t state = ae_state_of(ae_load64_acquire(&slot->state));
    const uint64_t snapshot = ae_load64_acquire(&slot->snapshot);
    put(list, "transactions.slot", -1, item, number);
    put(list, "transactions.pid", -1, item, pid);
    put(list, "transactions.age_us", -1, item, age_us(list, ae_load64(&slot->began_ns)));
    put(list, "transactions.snapshot", -1, item, snapshot);
    put(list, "transactions.lag", -1, item, snapshot == 0 ? 0 : above(list->clock, snapshot));
    put(list, "transactions.writes", -1, item, ae_load32(&slot->intent_count));
    put_text(list, "transactions.state", -1, item,
             state >= sizeof states / sizeof states[0] ? "?" : states[state]);
    put(list, "transactions.resting", -1, item, ae_load32(&slot->resting) != 0);
}

static void add_counters(stat_list *list, uint64_t commits)
{
    static const char *const names[] = {NULL,
                                        "conflicts_write",
                                        "conflicts_read",
                                        "conflicts_predicate",
                                        "conflicts_stalled",
                                        "conflicts_window",
                                        "conflicts_cancelled",
                                        "conflicts_lock"};
    const ae_a64 *counters = list->db->proc.shared->counters;
    add(list, "commits", commits + ae_load64(&counters[AE_COUNT_COMMITS]));
    add(list, "rollbacks", ae_load64(&counters[AE_COUNT_ROLLBACKS]));
    add(list, "retries", ae_load64(&counters[AE_COUNT_RETRIES]));
    for (uint32_t reason = 1; reason < sizeof names / sizeof names[0]; reason++)
        add(list, names[reason], ae_load64(&counters[AE_COUNT_CONFLICTS + reason]));
    add(list, "row_latches", ae_load64(&counters[AE_COUNT_LATCHES]));
    add(list, "cancelled", ae_load64(&counters[AE_COUNT_CANCELLED]));
    add(list, "expired", ae_load64(&list->db->age->expired));
    add(list, "reaped_slots", ae_load64(&counters[AE_COUNT_REAPED_SLOTS]));
    add(list, "reaped_sessions", ae_load64(&counters[AE_COUNT_REAPED_MEMBERS]));
}

static void add_oldest(stat_list *list, const oldest *of)
{
    add(list, "commit_clock", list->clock);
    add(list, "horizon", ae_load64(&list->db->proc.shared->horizon));
    add(list, "oldest_snapshot", of->snapshot);
    add_text(list, "oldest_snapshot_kind", of->kind);
    add(list, "oldest_snapshot_pid", of->pid);
    add(list, "oldest_snapshot_age_us", age_us(list, of->began_ns));
    add(list, "oldest_snapshot_lag", above(list->clock, of->snapshot));
}

/* Slots and sessions: what runs, and what the oldest of it holds.  *dead: versions that wait for
 * the horizon; *writes: of transactions that are not over. */
static void add_transactions(stat_list *list, oldest *of, uint64_t *dead, uint64_t *writes)
{
    const ae_proc_shared *shared = list->db->proc.shared;
    uint64_t held = 0;
    uint64_t commits = 0;
    uint64_t members = 0;
    int32_t item = 0;
    for (uint32_t index = 0; index < ae_load32_acquire(&shared->slot_high); index++) {
        const ae_slot *slot = &shared->slots[index];
        const uint64_t owner = ae_load64_acquire(&slot->owner);
        *dead += ae_load32(&slot->limbo_count);
        commits += ae_load64(&slot->commits);
        if ((uint32_t)owner == 0)
            continue;
        const uint64_t pid = member_pid(shared, owner);
        held++;
        *writes += ae_load32(&slot->intent_count);
        oldest_judge(of, "transaction", ae_load64_acquire(&slot->snapshot), pid,
                     ae_load64(&slot->began_ns));
        add_transaction(list, slot, index, pid, item++);
    }
    for (uint32_t index = 0; index < ae_load32_acquire(&shared->member_high); index++) {
        const ae_member *member = &shared->members[index];
        const uint64_t identity = ae_load64_acquire(&member->identity);
        members += identity != 0;
        if (identity != 0 && index != list->session->member)
            oldest_judge(of, "read", ae_load64_acquire(&member->pin), ae_os_identity_pid(identity),
                         0);
    }
    add(list, "sessions", members);
    add(list, "slots_in_use", held);
    add(list, "dead_versions", *dead);
    add_counters(list, commits);
}

/* ---- watches -------------------------------------------------------------------------------- */

static void add_watches(stat_list *list, oldest *of)
{
    const ae_proc_shared *shared = list->db->proc.shared;
    int32_t item = 0;
    for (uint32_t index = 0; index < ae_load32_acquire(&shared->feed_high); index++) {
        const ae_feed_line *line = &shared->feeds[index];
        const uint64_t owner = ae_load64_acquire(&line->owner);
        const uint64_t pin = ae_load64_acquire(&line->pin);
        if ((uint32_t)owner == 0 || pin == 0)
            continue;
        const uint64_t pid = member_pid(shared, owner);
        const bool revoked = pin == AE_PIN_REVOKED;
        const uint64_t told = ae_load64(&line->told);
        const uint64_t position = revoked || told > pin ? told : pin;
        if (!revoked)
            oldest_judge(of, "watch", pin, pid, 0);
        put(list, "watches.pid", -1, item, pid);
        put_text(list, "watches.state", -1, item,
                 revoked    ? "overflow"
                 : pid == 0 ? "left"
                            : "following");
        put(list, "watches.position", -1, item, position);
        put(list, "watches.lag", -1, item, above(list->clock, position));
        put(list, "watches.pinned", -1, item, revoked ? 0 : above(list->clock, pin));
        put(list, "watches.events", -1, item, ae_load64(&line->delivered));
        item++;
    }
    add(list, "watches_open", (uint64_t)item);
}

/* ---- the log, checkpoints, who keeps them --------------------------------------------------- */

static void add_flushes(stat_list *list)
{
    ae_log_figures figures;
    ae_log_figures_take(&list->db->log, &figures);
    add(list, "log_flushes", figures.syncs);
    add(list, "log_flush_total_us", figures.sync_total_ns / 1000);
    for (uint32_t index = 0; index < AE_LOG_SYNC_TIMES; index++) {
        put(list, "flush_latency.below_us", -1, (int32_t)index,
            index + 1 < AE_LOG_SYNC_TIMES ? (uint64_t)1 << index : 0);
        put(list, "flush_latency.count", -1, (int32_t)index, figures.sync_times[index]);
    }
    add(list, "bytes_log_fixed", figures.fixed_bytes);
    add(list, "bytes_log_rings", figures.ring_bytes);
}

static void add_log(stat_list *list)
{
    const ae_log *log = &list->db->log;
    const bool on = ae_log_is_on(log);
    const ae_log_position written = ae_log_written(log);
    const uint64_t durable = ae_log_durable_number(log);
    add(list, "log_lsn", written.lsn);
    add(list, "log_number", written.number);
    add(list, "log_durable_lsn", ae_log_durable_lsn(log));
    add(list, "log_durable_number", durable);
    add(list, "log_lag_bytes", above(written.lsn, ae_log_durable_lsn(log)));
    add(list, "log_lag_commits", on ? above(list->clock, durable) : 0);
    add(list, "log_failed_errno", (uint64_t)ae_log_poisoned(log));
    add_flushes(list);
}

static void add_keeper(stat_list *list)
{
    const ae_settings *settings = list->db->settings;
    const uint64_t keeper = ae_load64(&settings->keeper);
    const bool shared = list->db->spec.path != NULL;
    const bool beats = list->now < ae_load64(&settings->keeper_due_ns);
    const bool alive = shared ? keeper != 0 && ae_os_process_alive(keeper)
                              : beats && ae_log_is_on(&list->db->log);
    add(list, "keeper_pid", ae_os_identity_pid(keeper));
    add(list, "keeper_alive", alive);
    add_text(list, "keeper_role", !alive ? "none" : shared ? "daemon" : "thread");
}

/* The log, checkpoints, and what recovery found. */
static void add_files(stat_list *list)
{
    const ae_settings *settings = list->db->settings;
    add_log(list);
    add(list, "checkpoints", ae_load64(&settings->checkpoint_count));
    add(list, "checkpoint_number", ae_load64(&settings->checkpoint_number));
    add(list, "checkpoint_age_us", age_us(list, ae_load64(&settings->checkpoint_ns)));
    add_keeper(list);
    add(list, "recovered_rows", settings->recovered_rows);
    add(list, "recovered_commits", settings->recovered_commits);
    add(list, "recovered_cut_bytes", settings->recovered_cut_bytes);
    add(list, "recovered_us", settings->recovered_us);
}

/* ---- tables --------------------------------------------------------------------------------- */

static void add_indexes(stat_list *list, int32_t table)
{
    ae_index_figures figures;
    int32_t item = 0;
    uint64_t mask = ae_catalog_maintained(&list->db->catalog, (uint32_t)table);
    for (; mask != 0; mask &= mask - 1) {
        const uint32_t number = (uint32_t)__builtin_ctzll(mask);
        if (!ae_index_figures_take(list->session, (uint32_t)table, number, &figures))
            continue;
        put_text(list, "indexes.name", table, item, figures.title);
        put(list, "indexes.entries", table, item, figures.entries);
        put(list, "indexes.bytes", table, item, figures.bytes);
        item++;
    }
}

static void add_table(stat_list *list, uint32_t number, uint64_t rows)
{
    const aero_db *db = list->db;
    const int32_t table = (int32_t)number;
    const uint64_t versions = ae_pool_bytes(&db->heap, ae_heap_version_pool(number));
    const uint64_t anchors = ae_pool_bytes(&db->heap, ae_heap_anchor_pool(number));
    put(list, "rows", table, -1, rows);
    put(list, "bytes_versions", table, -1, versions);
    put(list, "bytes_anchors", table, -1, anchors);
    put(list, "bytes_key_index", table, -1, ae_hash_weight(&db->hashes[number]));
    add_indexes(list, table);
}

static void add_tables(stat_list *list, uint64_t dead, uint64_t writes)
{
    const aero_db *db = list->db;
    uint64_t rows[AE_TABLES_MAX];
    uint64_t all = 0;
    for (uint32_t table = 0; table < db->schema->table_count; table++)
        all += rows[table] = ae_rows_counted(db, table);
    add(list, "rows", all);
    add(list, "versions", all + dead + writes);
    const bool pinned = look_start(list);
    for (uint32_t table = 0; table < db->schema->table_count; table++)
        add_table(list, table, rows[table]);
    look_end(list, pinned);
}

aero_status ae_stats_collect(aero_session *session, const aero_stat **stats, uint32_t *count)
{
    const aero_db *db = session->db;
    const uint64_t clock = ae_load64_acquire(&db->proc.shared->clock);
    stat_list list = {.session = session, .db = db, .now = ae_os_monotonic_ns(), .clock = clock};
    oldest held = {.kind = "none", .snapshot = clock};
    uint64_t dead = 0;
    uint64_t writes = 0;
    add_text(&list, "profile", db->profile);
    add_text(&list, "data_dir", db->data_dir);
    add_text(&list, "segment_path", db->shm_path == NULL ? "" : db->shm_path);
    add_memory(&list);
    add_transactions(&list, &held, &dead, &writes);
    add_watches(&list, &held);
    add_oldest(&list, &held);
    add_files(&list);
    add_tables(&list, dead, writes);
    if (list.failed)
        return ae_fail(&session->error, AERO_NO_MEMORY, "no memory for the statistics");
    *stats = session->stats;
    *count = list.count;
    return AERO_OK;
}
