/* explore_private.h — one search, shared by the files of the explorer: its threads, its decisions,
 * and what it knows of the words (see explore.h).
 */
#ifndef AE_TEST_EXPLORE_PRIVATE_H
#define AE_TEST_EXPLORE_PRIVATE_H

#include <inttypes.h>
#include <ucontext.h>

#include "explore.h"

enum {
    STACK_BYTES = 512 << 10,
    STEPS_MAX = 20000, /* accesses of one run; a model has some hundred */
    DECISIONS_MAX = 4096,
    OPTIONS_MAX = 12,
    CELLS = 1 << 16,
    BUFFER_MAX = 8,
    STUBBORN_TURNS = 8, /* a waiting thread that ignores the others gives up being so */
    LEARNING_RUNS = 40,
    IGNORED_MAX = 8,
};

/* What can happen next; the first of a list is what happens by itself. */
enum choice { GO = '=', SWITCH = '>', KILL = 'x', STUBBORN = '!', DRAIN = 'd' };

typedef struct option {
    char what;
    uint8_t target;
} option;

typedef struct decision {
    option options[OPTIONS_MAX];
    uint32_t count;
    uint32_t chosen;
} decision;

/* A decision against the default, with its place: the thread's count of accesses. */
typedef struct directive {
    uint32_t thread;
    uint32_t step;
    option choice;
} directive;

typedef struct buffered_store {
    volatile void *cell;
    uint64_t value;
    uint32_t size;
} buffered_store;

typedef struct thread {
    ucontext_t context;
    char *stack;
    uint64_t history;
    uint32_t steps;
    uint32_t stubborn;
    bool over; /* ended or dead */
    bool dead;
    buffered_store buffer[BUFFER_MAX];
    uint32_t buffered;
} thread;

typedef struct cell {
    const volatile void *address;
    uint8_t readers; /* of any run: bit per thread */
    uint8_t writers;
    uint32_t run;
    uint64_t wrote;
    uint64_t read;
} cell;

typedef struct explorer {
    const explore_model *model;
    thread threads[EXPLORE_THREADS];
    uint32_t self; /* who runs; EXPLORE_THREADS: nobody, all is direct */
    ucontext_t outside;
    uint32_t run;
    uint32_t steps;
    bool cut; /* the run was left, having reached a known state */
    uint32_t interruptions_left;
    uint32_t deaths_left;
    uint32_t interruptions; /* the bound */
    /* The search. */
    decision path[DECISIONS_MAX];
    uint32_t depth;
    uint32_t path_length;
    bool prunes;
    uint64_t random; /* not 0: choose at random */
    directive directives[DECISIONS_MAX];
    uint32_t directive_count;
    /* Replaying. */
    bool replays;
    uint32_t replayed;
    cell cells[CELLS];
    uint32_t cell_count;
    bool buffers; /* threads have store buffers */
    bool learnt;  /* a word has become contended in this search */
    uint64_t *known;
    uint64_t known_mask;
    uint64_t known_count;
    struct {
        const char *start;
        size_t size;
    } ignored[IGNORED_MAX];
    uint32_t ignored_count;
    uint64_t runs;
    uint64_t decisions;
} explorer;
extern explorer ex;

static inline uint64_t mix(uint64_t left, uint64_t right)
{
    uint64_t z = left * 0x9e3779b97f4a7c15ull + right; /* splitmix64's finaliser */
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ z >> 27) * 0x94d049bb133111ebull;
    return z ^ z >> 31;
}

/* ---- scheduler.c ---------------------------------------------------------------------------- */

/* The running thread is about to access a word: it may be interrupted or die here. */
void offer(bool contended, bool writes);

/* ---- words.c -------------------------------------------------------------------------------- */

/* Let the first stores of a thread's buffer reach memory. */
void buffer_drain(uint32_t number, uint32_t count);

#endif
