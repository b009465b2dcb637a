/* session.c — sessions: one thread's way into an attached database. */
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "txn/db.h"
#include "txn/txn.h"

#define PRIVATE_AFTER_FORK "a database in private memory belongs to the process that opened it"

/* ---- patience ------------------------------------------------------------------------------- */

/* A person who presses a key does not notice it, and nobody notices what asking costs. */
#define WAITING_LOOK_NS 50000000u

bool ae_session_patient(aero_session *session)
{
    if (session->waiting == NULL || session->stopped)
        return !session->stopped;
    const uint64_t now = ae_os_monotonic_ns();
    if (now - session->waiting_ns < WAITING_LOOK_NS)
        return true;
    AE_ASSERT(session->waits == 0); /* inside the hook nothing of the session waits */
    session->waiting_ns = now;
    session->waits = 1;
    session->stopped = session->waiting(session->waiting_context) != 0;
    session->waits = 0;
    return !session->stopped;
}

aero_status ae_session_stopped(aero_session *session)
{
    AE_ASSERT(session->stopped);
    session->stopped = false;
    return ae_fail(&session->error, AERO_INTERRUPTED,
                   "interrupted while it waited for other transactions");
}

/* ---- sessions ------------------------------------------------------------------------------- */

aero_error *ae_session_error_buffer(aero_session *session)
{
    return &session->error;
}

char *ae_session_text(aero_session *session, size_t size)
{
    if (size > session->text_capacity || session->text == NULL) { /* of nothing, too */
        const size_t capacity = size < 4096 ? 4096 : size;
        char *grown = realloc(session->text, capacity);
        if (grown == NULL)
            return NULL;
        session->text = grown;
        session->text_capacity = capacity;
    }
    return session->text;
}

const aero_table *ae_session_table(const aero_session *session, uint32_t table)
{
    return &session->db->schema->tables[table];
}

uint32_t ae_session_table_count(const aero_session *session)
{
    return session->db->schema->table_count;
}

void ae_session_adopt(aero_session *session, ae_session_child *child)
{
    child->next = session->children;
    child->back = &session->children;
    if (session->children != NULL)
        session->children->back = &child->next;
    session->children = child;
}

void ae_session_disown(ae_session_child *child)
{
    if (child->back == NULL)
        return;
    *child->back = child->next;
    if (child->next != NULL)
        child->next->back = child->back;
    child->back = NULL;
    child->next = NULL;
}

/* Makes a turn of the time: any that differs from session to session. */
#define SWEEP_TURN_NS 1024u

/* Where processes die and others come at a high rate, those who come clear the lines of the dead: a
 * session's slot goes by its line, and each slot that was ever in use keeps memory. */
static aero_status member_take(aero_session *session, aero_error *error)
{
    ae_proc *proc = &session->db->proc;
    ae_member_sweep(proc, ae_os_monotonic_ns() / SWEEP_TURN_NS);
    return ae_member_claim(proc, &session->member, error);
}

/* First use in a child of fork(): the slot, pin and member are the parent's, which goes on using
 * them. */
static aero_status session_after_fork(aero_session *session)
{
    aero_db *db = session->db;
    const bool had_transaction = session->txn.open;
    if (db->segment.fd < 0)
        return ae_fail(&session->error, AERO_STALE, PRIVATE_AFTER_FORK);
    const aero_status status = member_take(session, &session->error);
    if (status != AERO_OK)
        return status;
    session->fork_epoch = ae_load64_acquire(&db->fork_epoch);
    ae_log_writer_free(&session->log_writer);
    ae_log_writer_init(&session->log_writer, session->member);
    ae_log_member_new(&db->log, session->member);
    session->slot_hint = session->member % AE_SLOTS;
    session->random = (ae_os_monotonic_ns() ^ (uint64_t)session->member << 40) | 1;
    session->reclaim_debt = 0;
    session->reclaim_waits = 0;
    session->reclaim_freed = 0;
    session->snapshots.recent = 0;
    session->txn.open = false;
    session->txn.doomed = false;
    session->txn.cancelled = false;
    session->txn.awake = 0;
    session->txn.intent_count = 0;
    session->latch_count = 0;
    memset(&session->hot, 0, sizeof session->hot);
    ae_reads_clear(&session->txn.reads);
    while (session->txn.readers != NULL) {
        session->txn.readers->stale = true;
        ae_txn_unwatch(session->txn.readers);
    }
    while (session->txn.savepoint_count > 0)
        free(session->txn.savepoints[--session->txn.savepoint_count].name);
    if (had_transaction)
        return ae_fail(&session->error, AERO_STALE,
                       "the open transaction belongs to the parent process; the child has none");
    return AERO_OK;
}

/* In a child of fork() that has not used the database yet, a new generation of sessions begins. */
static void db_renew(aero_db *db)
{
    uint64_t none = 0;
    /* Of several threads of a fresh child one moves the epoch (0 → 2 → 1), the others wait for
     * that. */
    if (atomic_compare_exchange_strong_explicit(db->fork_guard, &none, 2, memory_order_acq_rel,
                                                memory_order_acquire)) {
        ae_add64(&db->fork_epoch, 1);
        /* Release: pairs with the acquire below and with the guard's readers. */
        atomic_store_explicit(db->fork_guard, 1, memory_order_release);
    }
    while (atomic_load_explicit(db->fork_guard, memory_order_acquire) == 2)
        ae_pause();
}

static aero_status session_renew(aero_session *session)
{
    aero_db *db = session->db;
    db_renew(db);
    if (session->fork_epoch != ae_load64_acquire(&db->fork_epoch))
        return session_after_fork(session);
    return AERO_OK;
}

aero_status ae_session_enter(aero_session *session)
{
    if (session == NULL || session->magic != AE_SESSION_MAGIC)
        return AERO_STALE;
    if (!pthread_equal(session->thread, pthread_self()))
        return AERO_STALE; /* its error buffer is another thread's: the code alone must do */
    if (__builtin_expect(session->waits != 0, 0))
        return ae_fail(&session->error, AERO_USAGE,
                       "a call of this session waits; what is called meanwhile cannot use it");
    session->error.code = AERO_OK;
    session->stopped = false; /* a stop is the business of the call that waited */
    /* Relaxed: the word changes only at fork, before this thread can look. */
    if (__builtin_expect(atomic_load_explicit(session->db->fork_guard, memory_order_relaxed) == 0 ||
                             session->fork_epoch != ae_load64(&session->db->fork_epoch),
                         0))
        return session_renew(session);
    if (__builtin_expect(ae_load32(&session->db->segment.header->poisoned) != 0, 0))
        return ae_fail(&session->error, AERO_PANIC,
                       "the segment was found damaged and takes no more work");
    return AERO_OK;
}

static uint32_t largest_row(const struct aero_schema *schema)
{
    uint32_t largest = 0;
    for (uint32_t table = 0; table < schema->table_count; table++)
        if (schema->tables[table].row_size > largest)
            largest = schema->tables[table].row_size;
    return largest;
}

aero_status ae_session_new(aero_db *db, aero_session **out, aero_error *error)
{
    const size_t row = (largest_row(db->schema) + 63) & ~(size_t)63;
    aero_session *session = calloc(1, sizeof *session);
    char *rows = calloc(2, row);
    *out = NULL;
    if (session == NULL || rows == NULL) {
        free(session);
        free(rows);
        return ae_fail(error, AERO_NO_MEMORY, "no memory for a session");
    }
    session->db = db;
    session->thread = pthread_self();
    session->row = rows;
    session->key_row = rows + row;
    ae_error_clear(&session->error);
    session->magic = AE_SESSION_MAGIC;
    db_renew(db);
    session->fork_epoch = ae_load64(&db->fork_epoch);
    const aero_status status = db->segment.fd < 0 && session->fork_epoch != AE_FORK_EPOCH_FIRST
                                   ? ae_fail(error, AERO_STALE, PRIVATE_AFTER_FORK)
                                   : member_take(session, error);
    if (status != AERO_OK) {
        free(rows);
        free(session);
        return status;
    }
    session->slot_hint = session->member % AE_SLOTS;
    session->random = (ae_os_monotonic_ns() ^ (uint64_t)session->member << 40) | 1;
    ae_log_writer_init(&session->log_writer, session->member);
    ae_log_member_new(&db->log, session->member);
    ae_add32(&db->sessions, 1);
    *out = session;
    return AERO_OK;
}

void ae_session_free(aero_session *session)
{
    aero_db *db = session->db;
    while (session->children != NULL) {
        ae_session_child *child = session->children;
        ae_session_disown(child);
        child->close(child);
    }
    const bool own = atomic_load_explicit(db->fork_guard, memory_order_acquire) != 0 &&
                     session->fork_epoch == ae_load64(&db->fork_epoch);
    if (own && session->txn.open)
        ae_txn_rollback(session);
    if (own)
        ae_member_release(&db->proc, session->member);
    while (session->txn.savepoint_count > 0)
        free(session->txn.savepoints[--session->txn.savepoint_count].name);
    free(session->txn.savepoints);
    ae_reads_free(&session->txn.reads);
    ae_log_writer_free(&session->log_writer);
    ae_add32(&db->sessions, 0u - 1u);
    session->magic = 0;
    if (session->entry_batch != NULL)
        session->entry_batch_free(session->entry_batch);
    free(session->row);
    free(session->text);
    free(session->key_text);
    free(session->stats);
    free(session);
}
