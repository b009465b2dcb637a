/* ledger.h — rows that prove themselves, and a record outside the database of what was committed.
 *
 * The rows are Instruments of the package `market`.  A key has a generation; 0 is "no row".
 * Everything else in the row follows from key and generation: sizes of the texts vary so that some
 * rows have no overflow block, some a small one, and some one that is larger than a page.
 *
 * The ledger lies in memory shared with the children, not in the segment.  A worker writes down
 * what it is about to commit, then commits, then moves it over.  After a death the database must
 * show `committed`, or, if the worker died between the two, all of `pending` instead: never a
 * mixture.
 */
#ifndef AE_TEST_LEDGER_H
#define AE_TEST_LEDGER_H

#include <stdatomic.h>
#include <sys/mman.h>

#include "store.h"

enum { LEDGER_KEYS = 800, INSTRUMENT = 0, NAMES_MAX = 256 };
enum { SYMBOL = 0, TITLE = 2, SECTOR = 3, LOGO = 8 };

typedef struct ledger {
    uint32_t committed[LEDGER_KEYS];
    uint32_t pending[LEDGER_KEYS];
    _Atomic uint32_t in_flight;
    /* Crash points and how often they were passed, in a run that was left alone. */
    char names[NAMES_MAX][32];
    uint32_t passages[NAMES_MAX];
    uint32_t name_count;
    uint32_t passed;       /* points passed since crash_arm */
    _Atomic uint32_t done; /* the worker came to its end */
} ledger;

static inline ledger *ledger_new(void)
{
    void *memory = mmap(NULL, sizeof(ledger), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                        -1, 0);
    assert_true(memory != MAP_FAILED);
    return memory;
}

/* In a child: an assertion would return into the parent's test. */
#define must(session_, call_) \
    do { \
        const aero_status got_ = (call_); \
        if (got_ != AERO_OK) { \
            printf("%s:%d: %s: %d %s\n", __FILE__, __LINE__, #call_, got_, \
                   aero_session_error(session_)->text); \
            fflush(NULL); \
            _exit(3); \
        } \
    } while (0)

static inline size_t title_length(uint32_t generation)
{
    static const size_t lengths[] = {7, 12, 13, 60, 300, 1000};
    return lengths[generation % 6];
}
static inline size_t logo_length(uint32_t generation)
{
    return generation % 5 == 4 ? 3300 : generation % 11 == 5 ? 20000 : generation % 3;
}

/* The bytes of a row's texts. */
static inline void ledger_fill(char *out, size_t length, uint32_t key, uint32_t generation)
{
    for (size_t at = 0; at < length; at++)
        out[at] = (char)('a' + (key * 7 + generation * 13 + at) % 26);
}

static inline const char *ledger_key(char name[32], uint32_t key)
{
    snprintf(name, 32, "%s%04u", key % 3 == 0 ? "instrument-" : "i", key); /* some are not inline */
    return name;
}

/* Bring a key to a generation, in the session's transaction or alone. */
static inline aero_status ledger_write(aero_session *session, uint32_t key, uint32_t generation)
{
    static char title[1000];
    static char logo[20000];
    const uint32_t columns[] = {SYMBOL, TITLE, SECTOR, LOGO};
    char name[32];
    int32_t flag = 0;
    const aero_value symbol = v_text(ledger_key(name, key));
    if (generation == 0)
        return aero_delete(session, INSTRUMENT, &symbol, &flag);
    ledger_fill(title, title_length(generation), key, generation);
    ledger_fill(logo, logo_length(generation), key, generation);
    const aero_value values[] = {symbol, v_data(AERO_TYPE_TEXT, title, title_length(generation)),
                                 v_int(generation % 30000),
                                 v_data(AERO_TYPE_BYTES, logo, logo_length(generation))};
    return aero_upsert(session, INSTRUMENT, 4, columns, values, &flag);
}

/* True when the key's row is just what its generation says. */
static inline bool ledger_row_is(aero_session *session, uint32_t key, uint32_t generation)
{
    static char wanted[20000];
    const uint32_t columns[] = {TITLE, SECTOR, LOGO};
    char name[32];
    aero_value values[3];
    int32_t found = 0;
    const aero_value symbol = v_text(ledger_key(name, key));
    const aero_status status = aero_get(session, INSTRUMENT, &symbol, 3, columns, values, &found);
    if (status != AERO_OK || generation == 0)
        return status == AERO_OK && !found;
    if (!found || values[1].u.integer != generation % 30000 ||
        values[0].length != title_length(generation) || values[2].length != logo_length(generation))
        return false;
    ledger_fill(wanted, sizeof wanted, key, generation);
    return memcmp(values[0].u.data, wanted, values[0].length) == 0 &&
           memcmp(values[2].u.data, wanted, values[2].length) == 0;
}

/* Does the database show these generations, in one snapshot?  *where: the first key that differs.
 */
static inline bool ledger_shows(aero_session *session, const uint32_t *generations, uint32_t *where)
{
    uint64_t rows = 0;
    uint64_t wanted = 0;
    bool same = true;
    *where = LEDGER_KEYS;
    assert_ok(session, aero_begin(session, AERO_ISOLATION_READ_ONLY));
    assert_ok(session, aero_count(session, INSTRUMENT, &rows));
    for (uint32_t key = 0; key < LEDGER_KEYS; key++) {
        wanted += generations[key] != 0;
        if (same && !ledger_row_is(session, key, generations[key])) {
            *where = key;
            same = false;
        }
    }
    assert_ok(session, aero_commit(session));
    return same && rows == wanted;
}

/* Which of the two is true after a death: `committed`, or `pending` if the worker died while it
 * committed. Short reads only, which clear nothing away. */
static inline const uint32_t *ledger_truth(aero_session *session, const ledger *of)
{
    for (uint32_t key = 0; key < LEDGER_KEYS; key++)
        if (of->committed[key] != of->pending[key] && ledger_row_is(session, key, of->pending[key]))
            return of->pending;
    return of->committed;
}

/* ---- what a worker does --------------------------------------------------------------------- */

static inline void ledger_prepare(ledger *of)
{
    memcpy(of->pending, of->committed, sizeof of->pending);
}

static inline void ledger_announce(ledger *of)
{
    atomic_store_explicit(&of->in_flight, 1, memory_order_release);
}

static inline void ledger_settle(ledger *of, bool committed)
{
    if (!committed)
        atomic_store_explicit(&of->in_flight, 0, memory_order_release);
    /* A death in this copy is no trouble: it makes `committed` more like the `pending` that is
     * true. */
    if (committed)
        memcpy(of->committed, of->pending, sizeof of->committed);
    atomic_store_explicit(&of->in_flight, 0, memory_order_release);
}

/* One write that is a transaction of its own.  FULL is an outcome, too. */
static inline aero_status ledger_single(aero_session *session, ledger *of, uint32_t key,
                                        uint32_t generation)
{
    ledger_prepare(of);
    of->pending[key] = generation;
    ledger_announce(of);
    const aero_status status = ledger_write(session, key, generation);
    ledger_settle(of, status == AERO_OK);
    return status;
}

static inline void ledger_change(aero_session *session, ledger *of, uint32_t key,
                                 uint32_t generation)
{
    must(session, ledger_write(session, key, generation));
    of->pending[key] = generation;
}

static inline void ledger_begin(aero_session *session, ledger *of)
{
    ledger_prepare(of);
    must(session, aero_begin(session, AERO_ISOLATION_SNAPSHOT));
}

static inline void ledger_commit(aero_session *session, ledger *of)
{
    ledger_announce(of);
    must(session, aero_commit(session));
    ledger_settle(of, true);
}

#endif
