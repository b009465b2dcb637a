/* stats.c — collecting the statistics list: segment, memory by kind, transactions, tables. */
#include "table/stats.h"

#include <stdlib.h>

#include "base/os.h"
#include "txn/age.h"

#define GLOBAL_STATS 96u
#define TABLE_STATS 4u

typedef struct stat_list {
    aero_stat *stats;
    uint32_t count;
} stat_list;

static void add(stat_list *list, const char *name, int32_t table, uint64_t value)
{
    aero_stat *stat = &list->stats[list->count++];
    *stat = (aero_stat){.name = name, .table = table};
    stat->value.type = AERO_TYPE_INT;
    stat->value.u.integer = (int64_t)value;
}

static void add_text(stat_list *list, const char *name, const char *text)
{
    aero_stat *stat = &list->stats[list->count++];
    *stat = (aero_stat){.name = name, .table = -1};
    stat->value.type = AERO_TYPE_TEXT;
    stat->value.u.data = text;
    for (stat->value.length = 0; text[stat->value.length] != '\0'; stat->value.length++)
        ;
}

/* Slots: how many are held, the oldest snapshot, and whose it is. */
static void add_transactions(stat_list *list, const aero_db *db)
{
    const ae_proc_shared *shared = db->proc.shared;
    const uint64_t clock = ae_load64_acquire(&shared->clock);
    uint64_t open = 0;
    uint64_t oldest = clock;
    uint64_t pid = 0;
    uint64_t began = 0;
    uint64_t commits = ae_load64(&shared->counters[AE_COUNT_COMMITS]);
    uint64_t dead = 0; /* versions that wait for the horizon */
    for (uint32_t index = 0; index < ae_load32_acquire(&shared->slot_high); index++) {
        const ae_slot *slot = &shared->slots[index];
        const uint64_t owner = ae_load64_acquire(&slot->owner);
        const uint64_t snapshot = ae_load64_acquire(&slot->snapshot);
        open += owner != 0;
        dead += ae_load32(&slot->limbo_count);
        commits += ae_load64(&slot->commits);
        if (owner != 0 && snapshot != 0 && snapshot <= oldest) {
            oldest = snapshot;
            began = ae_load64(&slot->began_ns);
            pid = ae_os_identity_pid(ae_load64(&shared->members[(uint32_t)owner - 1].identity));
        }
    }
    uint64_t members = 0;
    for (uint32_t index = 0; index < ae_load32_acquire(&shared->member_high); index++)
        members += ae_load64_acquire(&shared->members[index].identity) != 0;
    const uint64_t now = ae_os_monotonic_ns();
    add(list, "sessions", -1, members);
    add(list, "slots_in_use", -1, open);
    add(list, "commit_clock", -1, clock);
    add(list, "horizon", -1, ae_load64(&shared->horizon));
    add(list, "oldest_snapshot", -1, oldest);
    add(list, "oldest_snapshot_pid", -1, pid);
    add(list, "oldest_snapshot_age_us", -1,
        pid != 0 && now > began && began != 0 ? (now - began) / 1000 : 0);
    add(list, "oldest_snapshot_lag", -1, clock - oldest);
    add(list, "dead_versions", -1, dead);
    add(list, "commits", -1, commits);
    add(list, "rollbacks", -1, ae_load64(&shared->counters[AE_COUNT_ROLLBACKS]));
    add(list, "retries", -1, ae_load64(&shared->counters[AE_COUNT_RETRIES]));
    static const char *const names[] = {NULL,
                                        "conflicts_write",
                                        "conflicts_read",
                                        "conflicts_predicate",
                                        "conflicts_stalled",
                                        "conflicts_window",
                                        "conflicts_cancelled",
                                        "conflicts_lock"};
    for (uint32_t reason = 1; reason < sizeof names / sizeof names[0]; reason++)
        add(list, names[reason], -1, ae_load64(&shared->counters[AE_COUNT_CONFLICTS + reason]));
    add(list, "row_latches", -1, ae_load64(&shared->counters[AE_COUNT_LATCHES]));
    add(list, "cancelled", -1, ae_load64(&shared->counters[AE_COUNT_CANCELLED]));
    add(list, "expired", -1, ae_load64(&db->age->expired));
    add(list, "reaped_slots", -1, ae_load64(&shared->counters[AE_COUNT_REAPED_SLOTS]));
    add(list, "reaped_sessions", -1, ae_load64(&shared->counters[AE_COUNT_REAPED_MEMBERS]));
}

/* The log, checkpoints, and what recovery found. */
static void add_files(stat_list *list, const aero_db *db)
{
    const ae_settings *settings = db->settings;
    const ae_log_position written = ae_log_written(&db->log);
    add(list, "log_lsn", -1, written.lsn);
    add(list, "log_number", -1, written.number);
    add(list, "log_durable_number", -1, ae_log_durable_number(&db->log));
    add(list, "log_failed_errno", -1, (uint64_t)ae_log_poisoned(&db->log));
    add(list, "checkpoints", -1, ae_load64(&settings->checkpoint_count));
    add(list, "checkpoint_number", -1, ae_load64(&settings->checkpoint_number));
    add(list, "keeper_pid", -1, ae_os_identity_pid(ae_load64(&settings->keeper)));
    add(list, "recovered_rows", -1, settings->recovered_rows);
    add(list, "recovered_commits", -1, settings->recovered_commits);
    add(list, "recovered_cut_bytes", -1, settings->recovered_cut_bytes);
    add(list, "recovered_us", -1, settings->recovered_us);
}

aero_status ae_stats_collect(aero_session *session, const aero_stat **stats, uint32_t *count)
{
    const aero_db *db = session->db;
    const uint32_t tables = db->schema->table_count;
    if (session->stats == NULL)
        session->stats = calloc(GLOBAL_STATS + TABLE_STATS * tables, sizeof *session->stats);
    if (session->stats == NULL)
        return ae_fail(&session->error, AERO_NO_MEMORY, "no memory for the statistics");
    stat_list list = {session->stats, 0};
    add_text(&list, "profile", db->profile);
    add_text(&list, "data_dir", db->data_dir);
    add_text(&list, "segment_path", db->shm_path == NULL ? "" : db->shm_path);
    add(&list, "segment_size", -1, db->segment.size);
    add(&list, "segment_used", -1, ae_load64(&db->segment.header->used));
    add(&list, "segment_reserved", -1, ae_load64(&db->segment.header->reserved));
    uint64_t blocks = 0;
    for (uint32_t pool = db->heap.class_first; pool < db->heap.pool_count; pool++)
        blocks += ae_pool_bytes(&db->heap, pool);
    add(&list, "bytes_fixed", -1, (uint64_t)db->segment.header->first_page << AE_PAGE_SHIFT);
    add(&list, "bytes_blocks", -1, blocks);
    add_transactions(&list, db);
    add_files(&list, db);
    for (uint32_t table = 0; table < tables; table++) {
        uint64_t rows = 0;
        const aero_status status = ae_table_count(session, table, &rows);
        if (status != AERO_OK)
            return status;
        add(&list, "rows", (int32_t)table, rows);
        add(&list, "bytes_versions", (int32_t)table,
            ae_pool_bytes(&db->heap, ae_heap_version_pool(table)));
        add(&list, "bytes_anchors", (int32_t)table,
            ae_pool_bytes(&db->heap, ae_heap_anchor_pool(table)));
    }
    *stats = list.stats;
    *count = list.count;
    return AERO_OK;
}
