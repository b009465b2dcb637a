/* world.c — the database that models run on, and the operating system it believes in.
 *
 * The segment is mapped privately over its file before the first run, so that dropping the pages
 * that a run has written brings the beginning back.  Each thread is a process of its own to the
 * engine, dead when the scheduler says so; time stands still but for a tick at each look.  The
 * functions that say so stand before the engine's own when the program is linked.
 */
#include "explore.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/os.h"
#include "base/os_wait.h"
#include "explored_atomics.h"
#include "flights.h"
#include "txn/handles.h"
#include "wal/log_private.h"

explore_world world;

static struct {
    test_store store;
    bool asymmetric;
    uint32_t opening; /* whose session is being opened */
    uint64_t ticks[EXPLORE_THREADS + 1];
    struct aero_session images[EXPLORE_THREADS + 1]; /* the observer's last */
    struct aero_db image;
    ae_a32 woken; /* counts, in a strict world */
} here;

/* ---- the operating system ------------------------------------------------------------------- */

enum { IDENTITY_FIRST = 1000, TICK_NS = 1000, SOON_NS = 1000000000 };

bool ae_os_barrier_register(void)
{
    return here.asymmetric;
}

bool ae_os_barrier(void)
{
    explore_flush_all();
    return true;
}

uint64_t ae_os_process_identity(void)
{
    const uint32_t self = explore_self();
    return IDENTITY_FIRST + (self < EXPLORE_THREADS ? self : here.opening);
}

bool ae_os_process_alive(uint64_t identity)
{
    return identity < IDENTITY_FIRST || identity >= IDENTITY_FIRST + EXPLORE_THREADS ||
           !explore_died((uint32_t)(identity - IDENTITY_FIRST));
}

uint32_t ae_os_identity_pid(uint64_t identity)
{
    return (uint32_t)identity;
}

uint64_t ae_os_pid_namespace(void)
{
    return 1;
}

uint64_t ae_os_boot_id(void)
{
    return 1;
}

void ae_os_random(void *buffer, size_t size)
{
    memset(buffer, 0x5a, size);
}

/* A thread's time is its own, or its history would not tell what it does next. */
uint64_t ae_os_monotonic_ns(void)
{
    return ++here.ticks[explore_self()] * TICK_NS;
}

void world_later(uint64_t nanoseconds)
{
    here.ticks[explore_self()] += nanoseconds / TICK_NS;
}

uint64_t ae_os_coarse_ns(void)
{
    return 0;
}

int64_t ae_os_wall_us(void)
{
    return 0;
}

void ae_os_sleep_ns(uint64_t nanoseconds)
{
    (void)nanoseconds;
    explored_pause();
}

/* Whoever sleeps on a word is woken by chance; in a strict world when somebody wakes it, and, once
 * nobody is left who could, when its time is over, if that is soon. */
void ae_os_wait(ae_a32 *word, uint32_t expected, uint64_t timeout_ns)
{
    if (!world.strict) {
        explored_pause();
        return;
    }
    const uint32_t woken = ae_load32(&here.woken);
    if (ae_load32(word) != expected)
        return;
    while (ae_load32(&here.woken) == woken) {
        if (explore_alone()) {
            if (timeout_ns > SOON_NS)
                explore_fail("sleeps for ever");
            world_later(timeout_ns);
            world.overslept = true;
            return;
        }
        explored_pause();
    }
}

uint32_t ae_os_wake(ae_a32 *word, uint32_t count)
{
    (void)word;
    if (world.strict)
        ae_add32(&here.woken, 1);
    return count;
}

void ae_os_wake_all(ae_a32 *word)
{
    (void)ae_os_wake(word, UINT32_MAX);
}

/* ---- the database --------------------------------------------------------------------------- */

void world_open(bool asymmetric)
{
    explore_ignore_nothing();
    world.strict = false;
    here.asymmetric = asymmetric;
    here.opening = EXPLORE_THREADS;
    store_open(&here.store, AE_SEGMENT_MIN);
    world.db = here.store.db;
    world.observer = here.store.session;
    /* Files do not go back to where they were when the segment does. */
    ae_store32(&world.db->log.shared->on, 0);
    for (here.opening = 0; here.opening < EXPLORE_THREADS; here.opening++)
        world.sessions[here.opening] = session_new(&here.store);
}

/* Whoever has a session; the observer last. */
static struct aero_session *session_at(uint32_t index)
{
    return index < EXPLORE_THREADS ? world.sessions[index] : world.observer;
}

static void session_settle(struct aero_session *session)
{
    ae_reads_free(&session->txn.reads);
    while (session->txn.savepoint_count > 0)
        free(session->txn.savepoints[--session->txn.savepoint_count].name);
    free(session->txn.savepoints);
    session->txn.savepoints = NULL;
    session->txn.savepoint_capacity = 0;
}

void world_freeze(void)
{
    const ae_segment *segment = &world.db->segment;
    ae_proc_shared *shared = world.db->proc.shared;
    for (uint32_t index = 0; index <= EXPLORE_THREADS; index++) {
        struct aero_session *session = session_at(index);
        (void)flight_get(session, "warm"); /* its buffers are there from now on */
        session_settle(session);
        session->random = index + 1;
        here.images[index] = *session;
    }
    here.image = *world.db;
    void *base = mmap(segment->base, segment->size, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, segment->fd, 0);
    if (base != segment->base)
        explore_fail("the segment cannot be mapped again");
    explore_ignore((const void *)shared->counters, sizeof shared->counters);
    explore_ignore((const void *)&shared->reap_due_ns, sizeof shared->reap_due_ns);
    explore_ignore(&world.db->fork_epoch, sizeof world.db->fork_epoch);
    explore_ignore(world.db->fork_guard, sizeof *world.db->fork_guard);
    /* What is only fetched by it changes nothing. */
    explore_ignore(world.db->near, world.db->schema->table_count * sizeof *world.db->near);
}

void world_restore(void)
{
    if (madvise(world.db->segment.base, world.db->segment.size, MADV_DONTNEED) != 0)
        explore_fail("the segment's pages cannot be dropped");
    /* Of the observer, too: a horizon that it knows from another run would have it free what this
     * run's readers may still see. */
    for (uint32_t index = 0; index <= EXPLORE_THREADS; index++) {
        session_settle(session_at(index));
        *session_at(index) = here.images[index];
    }
    *world.db = here.image;
    memset(world.db->near, 0, world.db->schema->table_count * sizeof *world.db->near);
    memset(here.ticks, 0, sizeof here.ticks);
    ae_store32(&here.woken, 0);
}

void world_close(void)
{
    unlink(here.store.segment);
    rmdir(here.store.data_dir);
}

const char *world_place(const void *address, char *text, size_t size)
{
    const aero_db *db = world.db;
    const ae_proc_shared *shared = db->proc.shared;
    const char *at = address;
    const size_t offset = (size_t)(at - db->segment.base);
    if (at >= (const char *)shared->slots && at < (const char *)(shared->slots + AE_SLOTS))
        snprintf(text, size, "slot %zu + %zu",
                 (size_t)(at - (const char *)shared->slots) / sizeof(ae_slot),
                 (size_t)(at - (const char *)shared->slots) % sizeof(ae_slot));
    else if (at == (const char *)&shared->clock)
        snprintf(text, size, "clock");
    else if (at == (const char *)&shared->tail)
        snprintf(text, size, "tail");
    else if (at >= (const char *)db->queue.entries &&
             at < (const char *)(db->queue.entries + db->queue.mask + 1))
        snprintf(text, size, "queue %zu + %zu",
                 (size_t)(at - (const char *)db->queue.entries) / sizeof(ae_queue_entry),
                 (size_t)(at - (const char *)db->queue.entries) % sizeof(ae_queue_entry));
    else if (at >= (const char *)shared && at < (const char *)(shared + 1))
        snprintf(text, size, "processes + %zu", (size_t)(at - (const char *)shared));
    else
        snprintf(text, size, "unit %zx + %zu", offset / 16, offset % 16);
    return text;
}
