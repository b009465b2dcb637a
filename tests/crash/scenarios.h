/* scenarios.h — what workers do when they are killed: each scenario walks through one part of the
 * engine, deterministically, so that the n-th passage of a crash point is the same in every run.
 */
#ifndef AE_TEST_SCENARIOS_H
#define AE_TEST_SCENARIOS_H

#include "ledger.h"
#include "proc/feed.h"
#include "ttl/ttl.h"
#include "txn/txn.h"

typedef struct scenario {
    const char *name;
    uint64_t size; /* of the segment */
    void (*run)(aero_session *session, ledger *of);
    bool slow; /* fewer deaths must do */
} scenario;

/* Autocommitted inserts, updates, deletes and new lives of a few rows. */
static inline void run_singles(aero_session *session, ledger *of)
{
    for (uint32_t step = 0; step < 60; step++)
        must(session, ledger_single(session, of, step % 7, step % 5 == 3 ? 0 : step + 1));
}

/* Enough of them that dead versions and anchors are reclaimed. */
static inline void run_churn(aero_session *session, ledger *of)
{
    for (uint32_t step = 0; step < 420; step++)
        must(session, ledger_single(session, of, step % 3, step % 9 == 8 ? 0 : step % 5 + 1));
}

/* Several rows at once: all or nothing. */
static inline void run_transactions(aero_session *session, ledger *of)
{
    for (uint32_t round = 1; round < 12; round++) {
        ledger_begin(session, of);
        for (uint32_t key = 0; key < 6; key++)
            ledger_change(session, of, key, (round + key) % 4 == 0 ? 0 : round * 10 + key);
        ledger_change(session, of, 2,
                      round + 500); /* once more, and a new life in the same transaction */
        ledger_change(session, of, 3, 0);
        ledger_change(session, of, 3, round + 600);
        ledger_change(session, of, 10 + round, round);
        ledger_commit(session, of);
    }
}

static inline void run_rollbacks(aero_session *session, ledger *of)
{
    for (uint32_t key = 0; key < 6; key++)
        must(session, ledger_single(session, of, key, key % 3 == 0 ? 0 : key + 1));
    must(session, ledger_single(session, of, 1, 0)); /* dead, its anchor perhaps still here */
    for (uint32_t round = 1; round < 10; round++) {
        ledger_begin(session, of);
        for (uint32_t key = 0; key < 20; key++)
            ledger_change(session, of, key, (round + key) % 4 == 0 ? 0 : round * 10 + key);
        ledger_change(session, of, 2, 0);
        ledger_change(session, of, 2, 77);
        must(session, aero_rollback(session));
        if (round % 3 == 0)
            must(session, ledger_single(session, of, 4, round));
    }
}

static inline void run_savepoints(aero_session *session, ledger *of)
{
    for (uint32_t round = 1; round < 6; round++) {
        uint32_t kept[LEDGER_KEYS];
        ledger_begin(session, of);
        for (uint32_t key = 0; key < 5; key++)
            ledger_change(session, of, key, round * 10 + key);
        memcpy(kept, of->pending, sizeof kept);
        must(session, aero_savepoint(session, "one", 3));
        for (uint32_t key = 3; key < 30; key++)
            ledger_change(session, of, key, key % 4 == 0 ? 0 : round * 20 + key);
        must(session, aero_rollback_to(session, "one", 3));
        memcpy(of->pending, kept, sizeof kept);
        for (uint32_t key = 4; key < 8; key++)
            ledger_change(session, of, key, round * 30 + key);
        ledger_commit(session, of);
    }
}

/* The key hash splits, is emptied, and is rewritten. */
static inline void run_growth(aero_session *session, ledger *of)
{
    for (uint32_t key = 0; key < 700; key++)
        must(session, ledger_single(session, of, key, 3));
    for (uint32_t key = 0; key < 650; key++)
        must(session, ledger_single(session, of, key, 0));
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t key = 0; key < 150; key++)
            must(session, ledger_single(session, of, round * 150 + key, 6));
        for (uint32_t key = 0; key < 150; key++)
            must(session, ledger_single(session, of, round * 150 + key, 0));
    }
}

/* Locked rows; the dead leave their latches behind. */
static inline void run_locks(aero_session *session, ledger *of)
{
    for (uint32_t key = 0; key < 4; key++)
        must(session, ledger_single(session, of, key, key + 1));
    for (uint32_t round = 1; round < 6; round++) {
        ledger_begin(session, of);
        for (uint32_t key = 0; key < 3; key++) {
            char name[32];
            int32_t found = 0;
            ledger_key(name, (round + key) % 4);
            const aero_value id = v_text(name);
            must(session, aero_lock_row(session, INSTRUMENT, &id, &found));
            ledger_change(session, of, (round + key) % 4, round * 10 + key);
        }
        ledger_commit(session, of);
    }
}

/* Transactions that are cancelled because they were open too long, as if for an hour. */
static inline void run_cancels(aero_session *session, ledger *of)
{
    must(session, aero_config_set(session, "aerostore.transaction_timeout_secs", "1800"));
    for (uint32_t key = 0; key < 4; key++)
        must(session, ledger_single(session, of, key, key + 1));
    for (uint32_t round = 1; round < 8; round++) {
        int32_t found = 0;
        const aero_value id = v_text("nothing");
        ledger_begin(session, of);
        ledger_change(session, of, round % 4, round * 10);
        ae_cancel_overdue_at(session->db, now_ns() + 3600000000000u);
        if (aero_exists(session, INSTRUMENT, &id, &found) != AERO_CANCELLED)
            _exit(3);
        must(session, aero_rollback(session));
    }
    must(session, aero_config_set(session, "aerostore.transaction_timeout_secs", "0"));
}

/* More writes than fit into the slot and two chunks: committed, rolled back, committed again. */
static inline void run_big(aero_session *session, ledger *of)
{
    for (uint32_t round = 0; round < 3; round++) {
        ledger_begin(session, of);
        for (uint32_t key = 0; key < 600; key++)
            ledger_change(session, of, key, round == 2 && key % 5 == 0 ? 0 : 6 + round * 6);
        if (round == 1)
            must(session, aero_rollback(session));
        else
            ledger_commit(session, of);
    }
}

/* Only rows whose texts need a block larger than a page of the allocator's magazines. */
static inline void run_large(aero_session *session, ledger *of)
{
    for (uint32_t step = 0; step < 24; step++)
        must(session,
             ledger_single(session, of, step % 4, step % 6 == 5 ? 0 : 5 + 11 * (step % 3)));
    for (uint32_t round = 0; round < 4; round++) {
        ledger_begin(session, of);
        for (uint32_t key = 0; key < 5; key++)
            ledger_change(session, of, key, 5 + 11 * (round + key));
        if (round % 2 == 0)
            must(session, aero_rollback(session));
        else
            ledger_commit(session, of);
    }
}

/* A batch of tab-separated lines: symbol, title, sector. */
static inline void run_ingest(aero_session *session, ledger *of)
{
    static const uint32_t columns[] = {SYMBOL, TITLE, SECTOR, LOGO};
    const aero_tsv_options options = {.column_count = 4, .columns = columns, .batch_size = 50};
    static char text[4 << 20];
    static char logo[20000];
    for (uint32_t batch = 0; batch < 6; batch++) {
        size_t length = 0;
        aero_ingest_report report;
        ledger_prepare(of);
        for (uint32_t line = 0; line < 50; line++) {
            const uint32_t key = (batch * 30 + line) % 90;
            const uint32_t generation = batch * 30 + 3 * (line % 2 + 1);
            char name[32];
            length += (size_t)snprintf(text + length, 64, "%s\t", ledger_key(name, key));
            ledger_fill(text + length, title_length(generation), key, generation);
            length += title_length(generation);
            length += (size_t)snprintf(text + length, 64, "\t%u\t", generation % 30000);
            ledger_fill(logo, logo_length(generation), key, generation);
            for (size_t at = 0; at < logo_length(generation); at++)
                length += (size_t)snprintf(text + length, 4, "%02x", (unsigned)logo[at]);
            text[length++] = '\n';
            of->pending[key] = generation;
        }
        ledger_announce(of);
        must(session, aero_ingest_tsv(session, INSTRUMENT, text, length, &options, &report));
        ledger_settle(of, true);
    }
}

/* Writes until the segment is full, and beyond: memory is looked for everywhere. */
static inline void run_full(aero_session *session, ledger *of)
{
    uint32_t full = 0;
    for (uint32_t step = 0; step < 1500 && full < 40; step++) {
        const uint32_t key = step % LEDGER_KEYS;
        const aero_status status = ledger_single(session, of, key,
                                                 step % 3 == 0 ? 4 : 5 + step % 40);
        if (status == AERO_FULL) {
            full++;
            must(session, ledger_single(session, of, (step * 7) % LEDGER_KEYS, 0));
        } else if (status != AERO_OK) {
            must(session, status);
        }
    }
}

/* A segment that was full of rows of one size, and emptied, is filled with those of another. */
static inline void run_rounds(aero_session *session, ledger *of)
{
    static const uint32_t generations[] = {6, 5, 4, 5};
    for (uint32_t round = 0; round < 4; round++) {
        uint32_t key = 0;
        for (; key < LEDGER_KEYS; key++) {
            const aero_status status = ledger_single(session, of, key, generations[round]);
            if (status == AERO_FULL)
                break;
            must(session, status);
        }
        if (round > 0 && key < 50)
            _exit(3); /* the memory of the round before has not come back */
        while (key-- > 0)
            must(session, ledger_single(session, of, key, 0));
    }
}

/* Keys of three indexes move, and move back; transactions with them are rolled back. */
static inline void run_moves(aero_session *session, ledger *of)
{
    for (uint32_t step = 0; step < 240; step++)
        must(session, ledger_single(session, of, step % 5, step % 11 == 10 ? 0 : step % 7 + 1));
    for (uint32_t round = 0; round < 6; round++) {
        ledger_begin(session, of);
        for (uint32_t key = 0; key < 8; key++)
            ledger_change(session, of, key, (round * 3 + key) % 9);
        if (round % 2 == 0)
            must(session, aero_rollback(session));
        else
            ledger_commit(session, of);
    }
}

/* A query is planned: the way to its rows is chosen by looking into an index. */
static inline void query_plan(aero_session *session)
{
    static const char above[] = "{> sector 3}";
    aero_query *query = NULL;
    const char *text = NULL;
    size_t length = 0;
    must(session, aero_query_new(session, INSTRUMENT, &query));
    must(session, aero_query_compare(query, above, strlen(above)));
    must(session, aero_query_explain(query, 0, &text, &length));
    aero_query_free(query);
}

/* Indexes are made and dropped between writes: of a long text, and a unique one of two columns. */
static inline void run_indexes(aero_session *session, ledger *of)
{
    static const uint32_t title[] = {TITLE};
    static const uint32_t pair[] = {SYMBOL, TITLE};
    for (uint32_t key = 0; key < 60; key++)
        must(session, ledger_single(session, of, key, key % 9 + 1));
    for (uint32_t round = 0; round < 3; round++) {
        must(session, aero_index_create(session, INSTRUMENT, 1, title, 0));
        must(session, aero_index_create(session, INSTRUMENT, 2, pair, 1));
        query_plan(session);
        for (uint32_t key = 0; key < 12; key++)
            must(session, ledger_single(session, of, key, (round + key) % 8));
        must(session, aero_index_drop(session, INSTRUMENT, 1, title));
        for (uint32_t key = 0; key < 6; key++)
            must(session, ledger_single(session, of, key, round + 2));
        must(session, aero_index_drop(session, INSTRUMENT, 2, pair));
    }
}

/* Rows are written while their table is watched, by watches that come and go. */
static inline void run_watches(aero_session *session, ledger *of)
{
    for (uint32_t round = 1; round < 6; round++) {
        aero_query *query = NULL;
        aero_watch *watch = NULL;
        aero_event event;
        must(session, aero_query_new(session, INSTRUMENT, &query));
        must(session, aero_watch_open(query, round % 2 == 0 ? AERO_WATCH_SNAPSHOT : AERO_WATCH_NOW,
                                      0, &watch));
        for (uint32_t step = 0; step < 8; step++)
            must(session, ledger_single(session, of, step % 3, step % 5 == 3 ? 0 : round + step));
        do
            must(session, aero_watch_next(watch, &event));
        while (event.kind != AERO_EVENT_NONE);
        aero_watch_close(watch);
        aero_query_free(query);
    }
}

/* A follower is gone, and another goes on where it stood; memory runs short while it does. */
static inline void run_adoptions(aero_session *session, ledger *of)
{
    ae_proc *proc = &session->db->proc;
    for (uint32_t round = 1; round < 6; round++) {
        aero_session *gone = NULL;
        aero_query *query = NULL;
        aero_watch *watch = NULL;
        aero_event event;
        uint32_t line = 0;
        uint64_t pin = 0;
        must(session, aero_session_open(session->db, &gone, NULL));
        must(gone, ae_feed_claim(proc, gone->member, &line, &pin, &gone->error));
        for (uint32_t step = 0; step < 5; step++)
            must(session, ledger_single(session, of, step % 3, step % 4 == 3 ? 0 : round + step));
        /* What is done for a member whose process has died. */
        ae_feed_orphan(proc, gone->member,
                       ae_load64(&proc->shared->members[gone->member].identity));
        must(session, aero_query_new(session, INSTRUMENT, &query));
        must(session, aero_watch_open(query, AERO_WATCH_POSITION, pin, &watch));
        must(session, aero_watch_next(watch, &event));
        must(session, event.kind == AERO_EVENT_NONE ? AERO_NOT_FOUND : AERO_OK);
        do {
            ae_feed_squeeze(proc);
            must(session, aero_watch_next(watch, &event));
        } while (event.kind != AERO_EVENT_NONE);
        must(session, ledger_single(session, of, 5, round));
        aero_watch_close(watch);
        aero_query_free(query);
        aero_session_close(gone);
    }
}

/* All rows expire together, by a step of a round. */
static inline void run_expiry(aero_session *session, ledger *of)
{
    aero_db *db = session->db;
    for (uint32_t key = 0; key < 40; key++)
        must(session, ledger_single(session, of, key, key % 7 + 1));
    /* They were written long ago; marks of the present are in the future, and are not made. */
    const uint64_t clock = ae_load64_acquire(&db->proc.shared->clock);
    for (uint32_t level = 0; level < AE_AGE_LEVELS; level++)
        ae_store64(&db->age->levels[level].last, 0);
    ae_age_note(db, clock, 1000000);
    ae_age_note_wall(db, clock, 3600 * 1000000ll);
    ae_age_note(db, clock, ae_age_now(db) + 3600 * 1000000ll);
    ledger_prepare(of);
    for (uint32_t key = 0; key < 40; key++)
        of->pending[key] = 0;
    ledger_announce(of);
    ae_ttl_set(db, INSTRUMENT, (ae_ttl){1000, -1});
    ae_store64(&db->settings->ttl_sweep_interval_ms, 1000);
    ae_store64(&db->age->due_ns, 0);
    ae_store64(&db->age->place, AE_AGE_PLACE_IDLE);
    while (ae_ttl_step(session))
        ;
    ledger_settle(of, true);
    ae_ttl_set(db, INSTRUMENT, (ae_ttl){0, -1});
    ae_store64(&db->settings->ttl_sweep_interval_ms, 0);
    for (uint32_t key = 0; key < 4; key++)
        must(session, ledger_single(session, of, key, key + 1));
}

/* Rows are written again and again, new ones come and go, behind a snapshot that somebody holds. */
static inline void run_pruning(aero_session *session, ledger *of)
{
    aero_session *holder = NULL;
    uint64_t rows = 0;
    for (uint32_t key = 0; key < 8; key++)
        must(session, ledger_single(session, of, key, key % 4 + 1));
    must(session, aero_session_open(session->db, &holder, NULL));
    must(holder, aero_begin(holder, AERO_ISOLATION_READ_ONLY));
    must(holder, aero_count(holder, INSTRUMENT, &rows));
    for (uint32_t step = 0; step < 320; step++) {
        if (step % 128 == 127)
            session->reclaim_debt = 1000; /* the next commit looks at what is needed */
        must(session, ledger_single(session, of, step % 11, step % 13 == 12 ? 0 : step % 5 + 1));
        if (step % 5 == 4) /* one that the holder never sees */
            must(session, ledger_single(session, of, 20 + step / 10, step % 2 == 0 ? 3 : 0));
    }
    must(holder, aero_commit(holder));
    aero_session_close(holder);
    for (uint32_t step = 0; step < 60; step++)
        must(session, ledger_single(session, of, step % 11, step % 5 + 1));
}

/* Checkpoints between writes: each cuts the log. */
static inline void run_checkpoints(aero_session *session, ledger *of)
{
    for (uint32_t round = 1; round < 4; round++) {
        aero_checkpoint_report report;
        for (uint32_t step = 0; step < 8; step++)
            must(session, ledger_single(session, of, step % 5, step % 4 == 3 ? 0 : round + step));
        must(session, aero_checkpoint(session, &report));
    }
}

static const scenario scenarios[] = {
    {"expiry", 16 << 20, run_expiry, false},
    {"pruning", 16 << 20, run_pruning, true},
    {"checkpoints", 16 << 20, run_checkpoints, false},
    {"moves", 16 << 20, run_moves, true},
    {"indexes", 16 << 20, run_indexes, true},
    {"singles", 16 << 20, run_singles, false},
    {"churn", 16 << 20, run_churn, false},
    {"transactions", 16 << 20, run_transactions, false},
    {"rollbacks", 16 << 20, run_rollbacks, false},
    {"savepoints", 16 << 20, run_savepoints, false},
    {"cancels", 16 << 20, run_cancels, false},
    {"locks", 16 << 20, run_locks, false},
    {"watches", 16 << 20, run_watches, false},
    {"adoptions", 16 << 20, run_adoptions, true},
    {"growth", 16 << 20, run_growth, true},
    {"big", 16 << 20, run_big, true},
    {"large", 16 << 20, run_large, false},
    {"ingest", 16 << 20, run_ingest, true},
    {"full", 5 << 20, run_full, true},
    {"rounds", 5 << 20, run_rounds, true},
};

#endif
