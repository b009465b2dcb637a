/* sweep.c — rounds, steps, and what is due (see ttl.h and README.md).
 *
 * A step opens a reader, collects up to a transaction's worth of rows that are due, closes the
 * reader and has them deleted, until its time is up.  The place in the segment moves on after each
 * batch, so a death costs a batch that is looked at again.
 */
#include "ttl/ttl.h"

#include "base/os.h"
#include "row/version.h"
#include "table/table.h"
#include "txn/txn.h"

/* Rows a transaction deletes: some 50 microseconds, so that a writer who meets one in the commit
 * queue, or loses the processor to it, is not held up. */
#define EXPIRE_BATCH 256u
/* How often it is tried: for a tenth of a second. */
#define EXPIRE_ATTEMPTS 100u
/* Rows looked at together. */
#define LOOK_BATCH 256u
/* Length of a step.  The keeper flushes in between. */
#define STEP_NS 2000000u

/* Where a round stands: the table in bits 56 on, the slab in bits 32 to 55, the version below. */
#define PLACE(table, slab, version) \
    ((uint64_t)(table) << 56 | (uint64_t)(slab) << 32 | (uint64_t)(version))

static uint32_t place_table(uint64_t place)
{
    return (uint32_t)(place >> 56);
}

typedef struct sweep {
    aero_session *session;
    uint32_t table;
    ae_ttl ttl;
    int64_t now;     /* on the steady clock */
    uint64_t number; /* commits up to it are old enough, when the time of the write counts */
    uint32_t count;
    ae_expiring rows[EXPIRE_BATCH];
} sweep;

static void sweep_start(sweep *of, aero_session *session, uint32_t table)
{
    AE_ASSERT(table < session->db->schema->table_count);
    of->session = session;
    of->table = table;
    of->ttl = ae_ttl_get(session->db, table);
    of->now = ae_age_now(session->db);
    of->number = of->ttl.us == 0 ? 0 : ae_age_number(session->db, of->now - of->ttl.us);
    of->count = 0;
}

/* Is the time of a row over that the commit `begin` wrote? */
static bool is_due(const sweep *of, const ae_version *version, uint64_t begin)
{
    if (of->ttl.column < 0)
        return begin <= of->number;
    const aero_column *column = &of->session->db->schema->tables[of->table].columns[of->ttl.column];
    aero_value value;
    int64_t due = 0;
    column->get(version->row, NULL, &value);
    if (value.type == AERO_TYPE_NULL)
        return false;
    const int64_t begun = ae_age_steady(of->session->db, begin, value.u.integer);
    /* The wall clock is known to the drift that makes a new era. */
    return !__builtin_add_overflow(begun, of->ttl.us + AE_AGE_DRIFT_US, &due) && due <= of->now;
}

static void row_look(sweep *of, const ae_view *view)
{
    AE_ASSERT(of->count < EXPIRE_BATCH);
    const ae_version *version = (const ae_version *)(const void *)((const char *)view->row -
                                                                   offsetof(ae_version, row));
    const uint64_t begin = ae_load64_acquire(&version->begin);
    /* A mark: it will be a number the next time. */
    if ((begin & AE_MARK) != 0 || !is_due(of, version, begin))
        return;
    const ae_segment *segment = &of->session->db->segment;
    of->rows[of->count++] = (ae_expiring){
        .anchor = ae_load32(&version->anchor),
        .version = (ae_ref)((size_t)((const char *)version - segment->base) >> 4),
        .begin = begin};
}

/* Collect what is due from a place on, until there is a batch, the time is up, or the table ends.
 * *place is where to go on; false at the table's end. */
static bool rows_collect(sweep *of, uint64_t until_ns, uint64_t *place)
{
    AE_ASSERT(of->count == 0);
    ae_reader reader;
    ae_scan scan;
    ae_view views[LOOK_BATCH];
    size_t got = 0;
    if (ae_reader_open(of->session, false, &reader) != AERO_OK)
        return true;
    ae_scan_start(&scan, &reader, of->table);
    scan.slab_index = (uint32_t)(*place >> 32) & 0xffffffu;
    scan.slot_index = (uint32_t)*place;
    do {
        /* As many as there is place for: what is collected lies before the place. */
        const uint32_t room = EXPIRE_BATCH - of->count;
        got = ae_scan_next(&scan, views, room < LOOK_BATCH ? room : LOOK_BATCH);
        for (size_t index = 0; index < got; index++)
            row_look(of, &views[index]);
        *place = PLACE(of->table, scan.slab_index, scan.slot_index);
    } while (got > 0 && of->count < EXPIRE_BATCH && ae_os_monotonic_ns() < until_ns);
    ae_reader_close(&reader);
    return got > 0;
}

/* Delete what was collected.  As any call outside of a transaction it is run again when it could
 * not commit: it may have been at the front of the commit queue, and lost the processor there. */
static aero_status rows_delete(sweep *of, uint64_t *expired)
{
    AE_ASSERT(of->count <= EXPIRE_BATCH);
    uint32_t deleted = 0;
    aero_status status = AERO_OK;
    for (uint32_t attempt = 0; of->count > 0 && attempt < EXPIRE_ATTEMPTS; attempt++) {
        if (attempt > 0)
            ae_backoff(of->session, attempt);
        status = ae_table_expire(of->session, of->table, of->rows, of->count, &deleted);
        if (status != AERO_CONFLICT && status != AERO_NO_SLOT)
            break;
    }
    AE_ASSERT(deleted <= of->count);
    of->count = 0;
    *expired += deleted;
    if (deleted > 0)
        (void)ae_add64(&of->session->db->age->expired, deleted);
    return status;
}

/* The next table at or after `table` that has a time to live, or the number of tables. */
static uint32_t table_next(const aero_db *db, uint32_t table)
{
    while (table < db->schema->table_count && ae_ttl_get(db, table).us == 0)
        table++;
    return table;
}

/* ---- rounds --------------------------------------------------------------------------------- */

/* Begin a round when it is due.  False: it is not, or another one has begun it. */
static bool round_begin(const aero_session *session, uint64_t now)
{
    AE_ASSERT(!session->txn.open);
    aero_db *db = session->db;
    ae_age_shared *age = db->age;
    const uint64_t interval = 1000000u * ae_load64(&db->settings->ttl_sweep_interval_ms);
    const uint64_t due = ae_load64(&age->due_ns);
    /* Much in the future: set under another time namespace's clock, or with another interval. */
    if (interval == 0 || (now < due && due - now <= interval) ||
        !ae_cas64(&age->due_ns, due, now + interval))
        return false;
    ae_age_mark_now(db);
    const uint32_t table = table_next(db, 0);
    AE_CRASH_POINT("ttl.round");
    return table < db->schema->table_count &&
           ae_cas64(&age->place, AE_AGE_PLACE_IDLE, PLACE(table, 0, 0));
}

bool ae_ttl_step(aero_session *session)
{
    aero_db *db = session->db;
    ae_age_shared *age = db->age;
    const uint64_t now = ae_os_monotonic_ns();
    uint64_t place = ae_load64_acquire(&age->place);
    uint64_t expired = 0;
    sweep of;
    if (place == AE_AGE_PLACE_IDLE) {
        if (!round_begin(session, now))
            return false;
        place = ae_load64_acquire(&age->place);
    }
    const uint32_t table = table_next(db, place_table(place));
    if (place == AE_AGE_PLACE_IDLE)
        return false;
    if (table != place_table(place) || table >= db->schema->table_count) {
        /* Its time to live has been taken away meanwhile. */
        (void)ae_cas64(&age->place, place,
                       table < db->schema->table_count ? PLACE(table, 0, 0) : AE_AGE_PLACE_IDLE);
        return true;
    }
    sweep_start(&of, session, table);
    for (bool more = true; more;) {
        uint64_t next = place;
        more = rows_collect(&of, now + STEP_NS, &next);
        if (rows_delete(&of, &expired) != AERO_OK)
            return false; /* the same place again, the next time somebody comes by */
        if (!more) {
            const uint32_t after = table_next(db, table + 1);
            next = after < db->schema->table_count ? PLACE(after, 0, 0) : AE_AGE_PLACE_IDLE;
        }
        AE_CRASH_POINT("ttl.place");
        if (!ae_cas64(&age->place, place, next))
            return false; /* another one is at it */
        place = next;
        if (next == AE_AGE_PLACE_IDLE)
            (void)ae_add64(&age->rounds, 1);
        if (ae_os_monotonic_ns() >= now + STEP_NS)
            break;
    }
    return place != AE_AGE_PLACE_IDLE;
}

aero_status ae_ttl_sweep(aero_session *session, uint32_t table, uint64_t *expired)
{
    aero_db *db = session->db;
    const uint32_t count = db->schema->table_count;
    sweep of;
    *expired = 0;
    if (session->txn.open)
        return ae_fail(&session->error, AERO_USAGE, "a sweep cannot be part of a transaction");
    ae_age_mark_now(db);
    for (uint32_t index = table_next(db, table == AE_TTL_ALL ? 0 : table);
         index < count && (table == AE_TTL_ALL || index == table);
         index = table_next(db, index + 1)) {
        uint64_t place = PLACE(index, 0, 0);
        sweep_start(&of, session, index);
        for (bool more = true; more;) {
            more = rows_collect(&of, UINT64_MAX, &place);
            const aero_status status = rows_delete(&of, expired);
            if (status != AERO_OK)
                return status;
        }
    }
    return AERO_OK;
}
