/* explore.h — every interleaving of a few threads on the engine's shared words, up to a bound.
 *
 * How it works.  The threads of a model are coroutines on one processor.  Before each access to a
 * shared word the scheduler decides who goes on, so that an execution is a list of decisions, and
 * all lists are tried depth first: a run is repeated from the start with the next list.  What is
 * bounded is how often a thread is interrupted that could have gone on (Musuvathi and Qadeer,
 * 2007), and how many die, that is, are never scheduled again; waiting and ending cost nothing.
 * "Stopped for long" is an interruption after which the others run to their ends.
 *
 * What is left out, because it cannot matter: interruptions at words that one thread uses alone or
 * that nobody writes (the set is learnt, and the search begins anew when it grows), deaths between
 * two accesses that change nothing, and executions whose history orders the same conflicting
 * accesses in the same way as one that has been continued already.
 *
 * Memory is sequentially consistent; what the orders of the accesses must add is for
 * ThreadSanitizer.  A model that is `buffered` has a store buffer for each thread as x86 has:
 * stores wait there until a locked operation or a fence; when the thread is interrupted, all of
 * them have reached memory, all but one or two, or none.
 *
 * Plain accesses (the bytes of a row) belong to the access to a shared word before them.
 *
 * A run that fails prints AE_SCHEDULE=…; with that in its environment the program repeats the run,
 * and prints every access.  $AE_EXPLORE_MORE=n allows n more interruptions, $AE_EXPLORE_RUNS more
 * runs at random after the search (seed: $AE_TEST_SEED), $AE_EXPLORE_SECONDS ends a search early,
 * $AE_EXPLORE_BUFFERS=1 gives every model store buffers.
 */
#ifndef AE_TEST_EXPLORE_H
#define AE_TEST_EXPLORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXPLORE_THREADS = 3 };

typedef struct explore_model {
    const char *name;
    uint32_t threads;
    void (*body[EXPLORE_THREADS])(uint32_t thread);
    void (*begin)(void); /* before each run, the world being as it was frozen; may be NULL */
    void (*step)(void);  /* after each change of a shared word; may be NULL */
    void (*end)(void);   /* after each run: what must be true whatever happened */
    uint32_t interruptions;
    uint32_t deaths;
    uint32_t spared; /* threads that do not die: bit per thread */
    uint32_t steady; /* threads that are not interrupted */
    bool buffered;
} explore_model;

/* Search; ends the program with what was found and its schedule when a run fails. */
void explore(const explore_model *model);
/* Inside a run, or in `end`: it has failed. */
__attribute__((format(printf, 1, 2))) _Noreturn void explore_fail(const char *format, ...);
#define explore_assert(condition) \
    ((condition) ? (void)0 : explore_fail("%s:%d: %s", __FILE__, __LINE__, #condition))
/* The thread that runs, or EXPLORE_THREADS outside of a run. */
uint32_t explore_self(void);
bool explore_died(uint32_t thread);
/* Has everybody else ended or died? */
bool explore_alone(void);
/* Accesses to [start, start + size) are no reason to interrupt: statistics and hints. */
void explore_ignore(const void *start, size_t size);
/* Nothing is ignored any more. */
void explore_ignore_nothing(void);
/* A barrier for everybody: all store buffers reach memory. */
void explore_flush_all(void);

/* ---- the world (world.c): one database, a session for each thread, and one more that looks --- */

struct aero_db;
struct aero_session;

typedef struct explore_world {
    struct aero_db *db;
    struct aero_session *sessions[EXPLORE_THREADS];
    struct aero_session *observer;
    bool strict;    /* sleepers are not woken by chance; set after world_open */
    bool overslept; /* one was woken by nobody, but because its time was over */
} explore_world;
extern explore_world world;

/* A new database in memory.  Its barriers are system calls as far as `asymmetric`. */
void world_open(bool asymmetric);
/* From here each run starts. */
void world_freeze(void);
/* Back to where it was frozen. */
void world_restore(void);
void world_close(void);
/* The calling thread's clock goes on by so much. */
void world_later(uint64_t nanoseconds);
/* Name a shared word for the listing of a replay. */
const char *world_place(const void *address, char *text, size_t size);

#endif
