/* flight_models.h — what models of rows share: a store with a few flights, statements that say so
 * when they fail, and the checks at the end of each run.
 *
 * The altitude of a flight is its content; the other columns follow from it, so that a torn row
 * shows.
 */
#ifndef AE_TEST_FLIGHT_MODELS_H
#define AE_TEST_FLIGHT_MODELS_H

#include "explore.h"
#include "flights.h"
#include "table/table_private.h"
#include "txn/txn.h"
#include "txn/visibility_inline.h"

/* A statement that may meet a conflict inside a transaction; nothing else may go wrong. */
static inline bool try_(uint32_t thread, aero_status status)
{
    if (status != AERO_OK && status != AERO_CONFLICT)
        explore_fail("thread %u: status %d: %s", thread, status,
                     aero_session_error(world.sessions[thread])->text);
    return status == AERO_OK;
}

static inline void must(uint32_t thread, aero_status status)
{
    if (!try_(thread, status))
        explore_fail("thread %u: %s", thread, aero_session_error(world.sessions[thread])->text);
}

/* A row's altitude, the columns having been compared; FLIGHT_NONE when it is not there. */
static inline int64_t look(aero_session *session, const char *key)
{
    const uint32_t columns[] = {FLIGHT_ID, FLIGHT_LAT, FLIGHT_LON, FLIGHT_ALTITUDE};
    const aero_value value = v_text(key);
    aero_value values[4];
    int32_t found = 0;
    const aero_status status = aero_get(session, FLIGHTS, &value, 4, columns, values, &found);
    if (status != AERO_OK)
        explore_fail("get: %s", aero_session_error(session)->text);
    if (!found)
        return FLIGHT_NONE;
    explore_assert(values[0].length == strlen(key) &&
                   memcmp(values[0].u.data, key, strlen(key)) == 0);
    explore_assert(values[1].u.real == (double)values[3].u.integer);
    explore_assert(values[2].u.real == -(double)values[3].u.integer);
    return values[3].u.integer;
}

/* Rows with a key, by scan; *altitude of the last one, *all rows of any key. */
static inline uint32_t scan_all(aero_session *session, const char *key, int64_t *altitude,
                                uint32_t *all)
{
    ae_reader reader;
    ae_scan over;
    ae_view views[8];
    uint32_t rows = 0;
    *altitude = FLIGHT_NONE;
    *all = 0;
    const aero_table *of = &session->db->schema->tables[FLIGHTS];
    if (ae_reader_open(session, false, &reader) != AERO_OK)
        explore_fail("scan: %s", aero_session_error(session)->text);
    ae_scan_start(&over, &reader, FLIGHTS);
    for (size_t got; (got = ae_scan_next(&over, views, 8)) > 0;)
        for (size_t index = 0; index < got; index++) {
            aero_value id;
            aero_value high;
            of->columns[FLIGHT_ID].get(views[index].row, views[index].base, &id);
            of->columns[FLIGHT_ALTITUDE].get(views[index].row, views[index].base, &high);
            (*all)++;
            if (id.length != strlen(key) || memcmp(id.u.data, key, id.length) != 0)
                continue;
            rows++;
            *altitude = high.u.integer;
        }
    ae_reader_close(&reader);
    return rows;
}

static inline uint32_t scan(aero_session *session, const char *key, int64_t *altitude)
{
    uint32_t all = 0;
    return scan_all(session, key, altitude, &all);
}

static inline aero_status add_one(aero_session *session, const char *key, int32_t *found)
{
    /* Not aero_incr, which changes one column: the others are to follow. */
    int64_t altitude = look(session, key);
    *found = altitude != FLIGHT_NONE;
    return *found ? flight_put(session, key, altitude + 1) : AERO_OK;
}

/* Add one in a transaction of its own, however often it takes. */
static inline void count_up(uint32_t thread, const char *key)
{
    aero_session *session = world.sessions[thread];
    for (uint32_t turn = 0;; turn++) {
        int32_t found = 0;
        if (turn > 100)
            explore_fail("thread %u comes to nothing", thread);
        must(thread, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
        if (try_(thread, add_one(session, key, &found)) && try_(thread, aero_commit(session))) {
            explore_assert(found);
            return;
        }
        if (session->txn.open)
            must(thread, aero_rollback(session));
        ae_pause();
    }
}

/* One snapshot shows a row once or not at all, the same by key and by scan, and twice the same. */
static inline int64_t look_thoroughly(uint32_t thread, const char *key)
{
    aero_session *session = world.sessions[thread];
    int64_t scanned = 0;
    must(thread, aero_begin(session, AERO_ISOLATION_READ_ONLY));
    const int64_t first = look(session, key);
    const uint32_t rows = scan(session, key, &scanned);
    explore_assert(rows == (first != FLIGHT_NONE));
    explore_assert(scanned == first);
    explore_assert(look(session, key) == first);
    must(thread, aero_commit(session));
    return first;
}

/* Each entry of the hash leads to a row with a version of its own. */
static inline bool entry_is_whole(void *context, uint32_t tag, ae_ref anchor, ae_ref hint)
{
    const ae_segment *segment = &((aero_db *)context)->segment;
    const ae_anchor *row = ae_at(segment, anchor);
    const uint64_t head = ae_load64(&row->head);
    (void)tag;
    (void)hint;
    if (!ae_head_is_row(head))
        return false;
    const ae_version *version = ae_at(segment, ae_head_ref(head));
    const uint64_t begin = ae_load64(&version->begin);
    return begin != 0 && begin < AE_STAMP_INFINITY && ae_load32(&version->anchor) == anchor;
}

static inline void entries_check(aero_db *db)
{
    uint64_t entries = 0;
    uint64_t shards = 0;
    aero_error error;
    if (ae_hash_check(&db->hashes[FLIGHTS], entry_is_whole, db, &entries, &shards, &error) !=
        AERO_OK)
        explore_fail("hash: %s", error.text);
}

/* The dead are reaped, everything is accounted for, nobody holds the horizon, and all can be
 * written. */
static inline void world_check(const char *const *keys, uint32_t count)
{
    aero_db *db = world.db;
    uint64_t rows = 0;
    uint64_t blocks = 0;
    (void)ae_reap_all(db, world.observer->member);
    for (uint32_t slot = 0; slot < AE_SLOTS; slot++)
        explore_assert(ae_load64(&db->proc.shared->slots[slot].owner) == 0);
    entries_check(db);
    for (uint32_t round = 0; round < 2; round++) {
        if (aero_verify(world.observer, &rows, &blocks) != AERO_OK)
            explore_fail("verify: %s", aero_session_error(world.observer)->text);
        for (uint32_t index = 0; round == 0 && index < count; index++)
            if (flight_put(world.observer, keys[index], 7) != AERO_OK ||
                look(world.observer, keys[index]) != 7)
                explore_fail("%s cannot be written: %s", keys[index],
                             aero_session_error(world.observer)->text);
    }
}

/* A store in which every session has written, so that its slot has memory at hand. */
static inline void flights_open_with(bool asymmetric)
{
    world_open(asymmetric);
    for (uint32_t index = 0; index < EXPLORE_THREADS; index++) {
        char key[16];
        snprintf(key, sizeof key, "own%u", index);
        must(index, flight_put(world.sessions[index], key, 0));
        must(index, flight_put(world.sessions[index], key, 1));
    }
}

static inline void flights_open(void)
{
    flights_open_with(false);
}

static inline void flights_search(const explore_model *model)
{
    world_freeze();
    explore(model);
    world_close();
}

#endif
