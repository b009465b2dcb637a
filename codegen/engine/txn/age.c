/* age.c — marks, eras, and times to live (see age.h). */
#include "txn/age.h"

#include "base/os.h"

#define NUMBER_BITS 51
#define NUMBER_MASK (((uint64_t)1 << NUMBER_BITS) - 1)
#define TTL_BITS 52
#define TTL_MASK (((uint64_t)1 << TTL_BITS) - 1)

_Static_assert((AE_AGE_MARKS & (AE_AGE_MARKS - 1)) == 0, "a power of two");

static ae_age_shared *shared_of(const aero_db *db)
{
    return db->age;
}

aero_status ae_age_create(ae_segment *segment, const struct aero_schema *schema, ae_ref *root,
                          aero_error *error)
{
    *root = ae_segment_carve(segment, sizeof(ae_age_shared));
    if (*root == 0)
        return ae_fail(error, AERO_FULL, "no room for the marks of time");
    ae_age_shared *shared = ae_at(segment, *root);
    shared->wall_us = ae_os_wall_us();
    shared->mono_ns = ae_os_monotonic_ns();
    ae_store64(&shared->place, AE_AGE_PLACE_IDLE);
    for (uint32_t table = 0; table < schema->table_count; table++) {
        const aero_table *of = &schema->tables[table];
        if (of->ttl_us > 0)
            ae_store64(&shared->ttl[table], (uint64_t)(of->ttl_column + 1) << TTL_BITS |
                                                ((uint64_t)of->ttl_us & TTL_MASK));
    }
    return AERO_OK;
}

/* ---- marks ---------------------------------------------------------------------------------- */

static uint64_t mark_check(uint64_t number, uint64_t time)
{
    uint64_t mix = (number ^ (time << 7 | time >> 57)) * 0x9e3779b97f4a7c15ull;
    mix ^= mix >> 29;
    return mix & ~NUMBER_MASK;
}

static void mark_append(ae_age_level *level, uint64_t number, uint64_t time)
{
    const uint64_t next = ae_load64_acquire(&level->next);
    /* Whoever moves it on has the place; who comes second has nothing to add. */
    if (!ae_cas64(&level->next, next, next + 1))
        return;
    ae_age_mark *mark = &level->marks[next % AE_AGE_MARKS];
    /* No number while the two words do not belong together (keeps E1). */
    ae_store64_release(&mark->number, 0);
    AE_CRASH_POINT("age.claimed");
    ae_store64_release(&mark->time, time);
    ae_store64_release(&mark->number, number | mark_check(number, time));
    ae_raise64(&level->last, time);
}

/* A whole mark.  False: none, or not whole. */
static bool mark_read(const ae_age_mark *mark, uint64_t *number, uint64_t *time)
{
    /* Acquire: the time after the number that goes with it; pairs with mark_append. */
    const uint64_t word = ae_load64_acquire(&mark->number);
    *time = ae_load64_acquire(&mark->time);
    *number = word & NUMBER_MASK;
    return word != 0 && ae_load64_acquire(&mark->number) == word &&
           (word & ~NUMBER_MASK) == mark_check(*number, *time);
}

void ae_age_note(aero_db *db, uint64_t number, int64_t steady_us)
{
    ae_age_shared *shared = shared_of(db);
    uint64_t apart = AE_AGE_LEAST_US;
    for (uint32_t index = 0; index < AE_AGE_LEVELS && steady_us > 0; index++, apart *= 4) {
        ae_age_level *level = &shared->levels[index];
        const uint64_t last = ae_load64_acquire(&level->last);
        if (last != 0 && (uint64_t)steady_us < last + apart)
            return; /* those above are further apart */
        mark_append(level, number & NUMBER_MASK, (uint64_t)steady_us);
    }
}

uint64_t ae_age_number(const aero_db *db, int64_t time_us)
{
    const ae_age_shared *shared = shared_of(db);
    uint64_t best = 0;
    for (uint32_t index = 0; index < AE_AGE_LEVELS && time_us > 0; index++) {
        const ae_age_level *level = &shared->levels[index];
        for (uint32_t place = 0; place < AE_AGE_MARKS; place++) {
            uint64_t number = 0;
            uint64_t time = 0;
            if (mark_read(&level->marks[place], &number, &time) && time <= (uint64_t)time_us &&
                number > best)
                best = number;
        }
    }
    return best;
}

/* ---- clocks --------------------------------------------------------------------------------- */

int64_t ae_age_now(const aero_db *db)
{
    const ae_age_shared *shared = shared_of(db);
    return shared->wall_us + (int64_t)(ae_os_monotonic_ns() - shared->mono_ns) / 1000;
}

/* The newest era, or NULL. */
static ae_age_era *era_newest(ae_age_shared *shared, uint64_t *count)
{
    *count = ae_load64_acquire(&shared->era_count);
    return *count == 0 ? NULL : &shared->eras[(*count - 1) % AE_AGE_ERAS];
}

/* The last word of an era: which one it is, counted from 1, and above that a check of what makes
 * it. */
static uint64_t era_word(uint64_t order, uint64_t first, uint64_t offset)
{
    uint64_t mix = (first ^ (offset << 17 | offset >> 47)) * 0x9e3779b97f4a7c15ull;
    mix ^= mix >> 29;
    return (mix & ~(uint64_t)UINT32_MAX) | (uint32_t)order;
}

/* What is known of the era counted `order`; false when it has been overwritten, or is not whole:
 * another writer, held up for a lap, may be at it. */
static bool era_read(const ae_age_shared *shared, uint64_t order, uint64_t *first,
                     uint64_t *confirmed, int64_t *offset)
{
    const ae_age_era *era = &shared->eras[(order - 1) % AE_AGE_ERAS];
    /* Acquire: the rest after the word that goes with it; pairs with ae_age_note_wall. */
    const uint64_t word = ae_load64_acquire(&era->order);
    *first = ae_load64_acquire(&era->first);
    *confirmed = ae_load64_acquire(&era->confirmed);
    *offset = (int64_t)ae_load64_acquire(&era->offset);
    return word == era_word(order, *first, (uint64_t)*offset) &&
           ae_load64_acquire(&era->order) == word;
}

void ae_age_note_wall(aero_db *db, uint64_t number, int64_t offset_us)
{
    ae_age_shared *shared = shared_of(db);
    uint64_t count = 0;
    uint64_t first = 0;
    uint64_t confirmed = 0;
    int64_t offset = 0;
    ae_age_era *newest = era_newest(shared, &count);
    if (newest != NULL && era_read(shared, count, &first, &confirmed, &offset)) {
        const int64_t drift = offset_us - offset;
        if (drift <= AE_AGE_DRIFT_US && drift >= -AE_AGE_DRIFT_US) {
            ae_raise64(&newest->confirmed, number);
            return;
        }
    }
    if (!ae_cas64(&shared->era_count, count, count + 1))
        return; /* another one has seen it */
    ae_age_era *era = &shared->eras[count % AE_AGE_ERAS];
    ae_store64_release(&era->order, 0);
    AE_CRASH_POINT("age.era");
    ae_store64(&era->offset, (uint64_t)offset_us);
    ae_store64(&era->first, number);
    ae_store64(&era->confirmed, number);
    /* Release: whole before it counts; pairs with era_read. */
    ae_store64_release(&era->order, era_word(count + 1, number, (uint64_t)offset_us));
}

void ae_age_mark_now(aero_db *db)
{
    /* The number first: what is counted was there before the time is taken (keeps E1). */
    const uint64_t number = ae_load64_acquire(&db->proc.shared->clock);
    int64_t offset = INT64_MAX;
    int64_t now = 0;
    /* Both clocks at once, as nearly as can be; held up in between, the wall clock is read too
     * early, and rows live a little longer. */
    for (int attempt = 0; attempt < 8; attempt++) {
        const int64_t before = ae_age_now(db);
        const int64_t wall = ae_os_wall_us();
        now = ae_age_now(db);
        offset = wall - now;
        if (now - before < AE_AGE_LEAST_US / 10)
            break;
    }
    ae_age_note_wall(db, number, offset);
    ae_age_note(db, number, now);
}

void ae_age_mark_at(aero_db *db, int64_t wall_us)
{
    const uint64_t number = ae_load64_acquire(&db->proc.shared->clock);
    const int64_t now = ae_age_now(db);
    /* As near to that time as marks are apart. */
    const int64_t after = (int64_t)ae_load64_acquire(&shared_of(db)->levels[0].last) +
                          AE_AGE_LEAST_US;
    const int64_t time = wall_us < after ? after : wall_us;
    ae_age_note(db, number, time < now ? time : now);
}

int64_t ae_age_steady(const aero_db *db, uint64_t number, int64_t wall_us)
{
    const ae_age_shared *shared = shared_of(db);
    const uint64_t count = ae_load64_acquire(&shared->era_count);
    int64_t least = count == 0 ? 0 : INT64_MAX;
    int64_t steady = 0;
    /* From the newest back: an era is possible unless a younger one was surely in force already, or
     * the next older one surely still. */
    for (uint64_t order = count; order > 0 && count - order < AE_AGE_ERAS; order--) {
        uint64_t first = 0;
        uint64_t confirmed = 0;
        uint64_t before = 0;
        int64_t offset = 0;
        int64_t ignored = 0;
        uint64_t confirmed_before = 0;
        if (!era_read(shared, order, &first, &confirmed, &offset))
            continue;
        const bool older = order > 1 &&
                           era_read(shared, order - 1, &before, &confirmed_before, &ignored);
        if (older && number <= confirmed_before)
            continue; /* it had not begun */
        least = offset < least ? offset : least;
        if (number > first)
            break; /* it had begun: no older one */
    }
    if (least == INT64_MAX)
        least = 0;
    if (__builtin_sub_overflow(wall_us, least, &steady))
        return wall_us < 0 ? INT64_MIN : INT64_MAX;
    return steady;
}

/* ---- times to live -------------------------------------------------------------------------- */

ae_ttl ae_ttl_get(const aero_db *db, uint32_t table)
{
    const uint64_t word = ae_load64_acquire(&shared_of(db)->ttl[table]);
    return (ae_ttl){(int64_t)(word & TTL_MASK), (int32_t)(word >> TTL_BITS) - 1};
}

void ae_ttl_set(aero_db *db, uint32_t table, ae_ttl ttl)
{
    const uint64_t word = ttl.us == 0 ? 0
                                      : (uint64_t)(ttl.column + 1) << TTL_BITS | (uint64_t)ttl.us;
    ae_store64_release(&shared_of(db)->ttl[table], word);
}

bool ae_ttl_active(const aero_db *db)
{
    if (ae_load64(&db->settings->ttl_sweep_interval_ms) == 0)
        return false;
    for (uint32_t table = 0; table < db->schema->table_count; table++)
        if (ae_load64(&shared_of(db)->ttl[table]) != 0)
            return true;
    return false;
}
