/* scheduler.c — threads as coroutines, decisions, and the search through them (see explore.h).
 *
 * The identity of a state is that of its history: each thread has a hash of its accesses and of
 * what they read, each word a hash of its last write and of the reads since (words.c).  Executions
 * that order conflicting accesses in the same way have equal hashes (happens-before caching).
 */
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "explore_private.h"
#include "explored_atomics.h"

explorer ex = {.self = EXPLORE_THREADS};

/* ---- failing -------------------------------------------------------------------------------- */

static void schedule_print(void)
{
    fprintf(stderr, "AE_SCHEDULE='");
    for (uint32_t index = 0; index < ex.directive_count; index++) {
        const directive *at = &ex.directives[index];
        fprintf(stderr, "%s%u.%u%c", index == 0 ? "" : ",", at->thread, at->step, at->choice.what);
        if (at->choice.what == SWITCH || at->choice.what == DRAIN)
            fprintf(stderr, "%u", at->choice.target);
    }
    fprintf(stderr, "' (%s, run %" PRIu64 ")\n", ex.model->name, ex.runs);
}

_Noreturn void explore_fail(const char *format, ...)
{
    va_list arguments;
    fprintf(stderr, "explore: ");
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n");
    schedule_print();
    fflush(stderr);
    _exit(1);
}

static void on_signal(int number)
{
    explore_fail("signal %d in thread %u", number, ex.self);
}

/* ---- small things --------------------------------------------------------------------------- */

uint32_t explore_self(void)
{
    return ex.self;
}

bool explore_died(uint32_t number)
{
    return ex.threads[number].dead;
}

bool explore_alone(void)
{
    for (uint32_t index = 0; index < ex.model->threads; index++)
        if (index != ex.self && !ex.threads[index].over)
            return false;
    return true;
}

static uint64_t seconds_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 0);
}

/* ---- known states --------------------------------------------------------------------------- */

static void known_grow(void)
{
    const uint64_t size = ex.known == NULL ? 1 << 16 : 2 * (ex.known_mask + 1);
    uint64_t *old = ex.known;
    const uint64_t old_size = old == NULL ? 0 : ex.known_mask + 1;
    ex.known = calloc(size, sizeof *ex.known);
    if (ex.known == NULL)
        explore_fail("no memory for %" PRIu64 " states", size);
    ex.known_mask = size - 1;
    for (uint64_t index = 0; index < old_size; index++) {
        uint64_t place = old[index] >> 4 & ex.known_mask;
        if (old[index] == 0)
            continue;
        while (ex.known[place] != 0)
            place = (place + 1) & ex.known_mask;
        ex.known[place] = old[index];
    }
    free(old);
}

/* Has the state been continued with at least as many interruptions left?  If not, it is now. */
static bool state_is_known(void)
{
    uint64_t state = mix(ex.self, ex.deaths_left);
    for (uint32_t index = 0; index < ex.model->threads; index++) {
        const thread *at = &ex.threads[index];
        state = mix(state, at->history);
        state = mix(state, (uint64_t)at->over << 1 | (uint64_t)at->dead | at->stubborn << 2);
    }
    if (2 * ex.known_count >= ex.known_mask)
        known_grow();
    const uint64_t left = ex.interruptions_left < 15 ? ex.interruptions_left : 15;
    const uint64_t key = state | 15;
    uint64_t place = key >> 4 & ex.known_mask;
    while (ex.known[place] != 0 && (ex.known[place] | 15) != key)
        place = (place + 1) & ex.known_mask;
    /* The low bits: how many were left, plus one. */
    if (ex.known[place] != 0 && (ex.known[place] & 15) >= left + (left < 15))
        return true;
    ex.known_count += ex.known[place] == 0;
    ex.known[place] = (key & ~(uint64_t)15) | (left < 15 ? left + 1 : 15);
    return false;
}

/* ---- deciding ------------------------------------------------------------------------------- */

static void leave_run(void)
{
    const uint32_t self = ex.self;
    ex.self = EXPLORE_THREADS;
    if (self == EXPLORE_THREADS)
        setcontext(&ex.outside);
    else
        swapcontext(&ex.threads[self].context, &ex.outside);
}

static option choose(const option *options, uint32_t count)
{
    const uint32_t self = ex.self;
    const uint32_t step = self == EXPLORE_THREADS ? 0 : ex.threads[self].steps;
    uint32_t chosen = 0;
    if (ex.replays) {
        const directive *next = &ex.directives[ex.replayed];
        if (ex.replayed == ex.directive_count || next->thread != self || next->step != step)
            return options[0];
        for (uint32_t index = 1; index < count; index++)
            if (memcmp(&options[index], &next->choice, sizeof *options) == 0) {
                ex.replayed++;
                return options[index];
            }
        return options[0];
    }
    if (ex.random != 0) {
        ex.random = mix(ex.random, 1);
        /* Who goes on is chosen freely, interruptions rarely. */
        const bool forced = options[0].what != GO;
        chosen = forced || ex.random % 24 == 0 ? (uint32_t)(ex.random >> 32) % count : 0;
    } else if (count > 1) {
        if (ex.depth == DECISIONS_MAX)
            explore_fail("too many decisions in a run");
        decision *at = &ex.path[ex.depth++];
        if (ex.depth > ex.path_length) {
            memcpy(at->options, options, count * sizeof *options);
            at->count = count;
            at->chosen = 0;
            ex.path_length = ex.depth;
            ex.decisions++;
        } else if (at->count != count || memcmp(at->options, options, count * sizeof *options)) {
            explore_fail("a run was not repeated as it was before");
        }
        chosen = at->chosen;
    }
    if (chosen != 0 && ex.directive_count < DECISIONS_MAX)
        ex.directives[ex.directive_count++] = (directive){self, step, options[chosen]};
    return options[chosen];
}

static void switch_to(uint32_t next)
{
    const uint32_t self = ex.self;
    if (self != EXPLORE_THREADS && ex.threads[self].buffered > 0) {
        /* All, all but the last one or two, or none of them. */
        option options[OPTIONS_MAX];
        uint32_t count = 0;
        const uint32_t waiting = ex.threads[self].buffered;
        for (uint32_t index = 0; index <= waiting; index++)
            if (index < 3 || index == waiting)
                options[count++] = (option){DRAIN, (uint8_t)(waiting - index)};
        buffer_drain(self, ex.threads[self].over ? waiting : choose(options, count).target);
    }
    ex.self = next;
    if (self == EXPLORE_THREADS)
        setcontext(&ex.threads[next].context);
    else
        swapcontext(&ex.threads[self].context, &ex.threads[next].context);
}

static uint32_t others(option *options, uint32_t count)
{
    const uint32_t threads = ex.model->threads;
    for (uint32_t turn = 1; turn <= threads; turn++) {
        const uint32_t index = (ex.self + turn) % threads;
        if (ex.self == EXPLORE_THREADS ? !ex.threads[turn - 1].over
                                       : index != ex.self && !ex.threads[index].over)
            options[count++] = (option){SWITCH,
                                        (uint8_t)(ex.self == EXPLORE_THREADS ? turn - 1 : index)};
    }
    return count;
}

/* Whoever ran cannot go on: somebody else, or the run is over. */
static void hand_over(void)
{
    option options[OPTIONS_MAX];
    const uint32_t count = others(options, 0);
    if (count == 0)
        leave_run();
    else
        switch_to(choose(options, count).target);
}

void offer(bool contended, bool writes)
{
    thread *me = &ex.threads[ex.self];
    option options[OPTIONS_MAX] = {{GO, 0}};
    uint32_t count = 1;
    me->steps++;
    if (++ex.steps > STEPS_MAX)
        explore_fail("no end after %d accesses", STEPS_MAX);
    if (ex.replays)
        contended = true;
    if (contended && ex.prunes && ex.depth >= ex.path_length && state_is_known()) {
        ex.cut = true;
        leave_run();
    }
    if (contended && ex.interruptions_left > 0 && (ex.model->steady >> ex.self & 1u) == 0)
        count = others(options, count);
    if ((writes || ex.replays) && ex.deaths_left > 0 && (ex.model->spared >> ex.self & 1u) == 0)
        options[count++] = (option){KILL, 0};
    const option chosen = choose(options, count);
    if (chosen.what == SWITCH) {
        ex.interruptions_left--;
        switch_to(chosen.target);
    } else if (chosen.what == KILL) {
        ex.deaths_left--;
        me->over = true;
        me->dead = true;
        buffer_drain(ex.self, me->buffered); /* a processor's buffer outlives the process */
        hand_over();
    }
}

/* The thread waits: another goes on, unless it is stubborn, as if the others were stopped. */
void explored_pause(void)
{
    if (ex.self == EXPLORE_THREADS)
        return;
    thread *me = &ex.threads[ex.self];
    option options[OPTIONS_MAX];
    me->steps++;
    me->history = mix(me->history, 3);
    if (++ex.steps > STEPS_MAX)
        explore_fail("no end after %d accesses", STEPS_MAX);
    if (me->stubborn > 0) {
        me->stubborn--;
        return;
    }
    uint32_t count = others(options, 0);
    if (count == 0)
        return;
    if (ex.interruptions_left > 0)
        options[count++] = (option){STUBBORN, 0};
    const option chosen = choose(options, count);
    if (chosen.what == SWITCH) {
        switch_to(chosen.target);
    } else {
        ex.interruptions_left--;
        me->stubborn = STUBBORN_TURNS;
    }
}

/* ---- runs ----------------------------------------------------------------------------------- */

static void thread_main(void)
{
    thread *me = &ex.threads[ex.self];
    ex.model->body[ex.self](ex.self);
    me->steps++;
    buffer_drain(ex.self, me->buffered);
    me->over = true;
    hand_over();
}

static void run_once(void)
{
    ex.run++;
    ex.runs++;
    ex.steps = 0;
    ex.depth = 0;
    ex.cut = false;
    ex.interruptions_left = ex.replays ? STEPS_MAX : ex.interruptions;
    ex.deaths_left = ex.model->deaths;
    if (!ex.replays)
        ex.directive_count = 0;
    world_restore();
    if (ex.model->begin != NULL)
        ex.model->begin();
    for (uint32_t index = 0; index < ex.model->threads; index++) {
        thread *at = &ex.threads[index];
        getcontext(&at->context);
        at->context.uc_stack.ss_sp = at->stack;
        at->context.uc_stack.ss_size = STACK_BYTES;
        at->context.uc_link = NULL;
        makecontext(&at->context, thread_main, 0);
        at->history = index;
        at->steps = 0;
        at->stubborn = 0;
        at->over = false;
        at->dead = false;
        at->buffered = 0;
    }
    volatile bool started = false;
    getcontext(&ex.outside); /* leave_run comes back here */
    if (!started) {
        started = true;
        hand_over();
    }
    if (!ex.cut)
        ex.model->end();
}

/* The next list of decisions; false when all have been tried. */
static bool next_path(void)
{
    while (ex.path_length > 0) {
        decision *last = &ex.path[ex.path_length - 1];
        if (++last->chosen < last->count)
            return true;
        ex.path_length--;
    }
    return false;
}

static void forget_states(void)
{
    free(ex.known);
    ex.known = NULL;
    ex.known_mask = 0;
    ex.known_count = 0;
    known_grow();
}

/* AE_SCHEDULE: thread.step, what, and whom. */
static void schedule_read(const char *text)
{
    ex.directive_count = 0;
    while (*text != '\0') {
        char *end = NULL;
        directive *at = &ex.directives[ex.directive_count++];
        at->thread = (uint32_t)strtoul(text, &end, 10);
        at->step = (uint32_t)strtoul(end + 1, &end, 10);
        at->choice.what = *end++;
        at->choice.target = (uint8_t)strtoul(end, &end, 10);
        text = *end == ',' ? end + 1 : end;
    }
}

static void runs_at_random(uint64_t seed, uint64_t count, uint64_t until)
{
    for (uint64_t run = 0; run < count && (until == 0 || seconds_now() < until); run++) {
        ex.random = mix(seed, run) | 1;
        run_once();
    }
    ex.random = 0;
}

void explore(const explore_model *model)
{
    const char *schedule = getenv("AE_SCHEDULE");
    const uint64_t seconds = number_of("AE_EXPLORE_SECONDS", 0);
    const uint64_t until = seconds == 0 ? 0 : seconds_now() + seconds;
    ex.model = model;
    ex.buffers = model->buffered || number_of("AE_EXPLORE_BUFFERS", 0) != 0;
    ex.interruptions = model->interruptions + (uint32_t)number_of("AE_EXPLORE_MORE", 0);
    ex.runs = 0;
    ex.decisions = 0;
    ex.cell_count = 0;
    memset(ex.cells, 0, sizeof ex.cells);
    for (uint32_t index = 0; index < model->threads; index++)
        if (ex.threads[index].stack == NULL)
            ex.threads[index].stack = mmap(NULL, STACK_BYTES, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    signal(SIGSEGV, on_signal);
    signal(SIGILL, on_signal);
    signal(SIGBUS, on_signal);
    if (schedule != NULL) {
        ex.replays = true;
        ex.replayed = 0;
        schedule_read(schedule);
        run_once();
        return;
    }
    runs_at_random(1, LEARNING_RUNS, 0);
    bool whole = false;
    do { /* until no word turns out to be contended after it was passed by */
        ex.learnt = false;
        ex.path_length = 0;
        ex.prunes = true;
        forget_states();
        do
            run_once();
        while (!ex.learnt && (until == 0 || seconds_now() < until) &&
               (whole = !next_path(), !whole));
    } while (ex.learnt);
    ex.prunes = false;
    for (uint32_t index = 0; index < model->threads; index++)
        ex.threads[index].dead = false; /* the next model begins with all alive */
    const uint64_t searched = ex.runs;
    const uint64_t more = number_of("AE_EXPLORE_RUNS", 0);
    const uint64_t seed = number_of("AE_TEST_SEED", (uint64_t)time(NULL));
    if (more > 0)
        runs_at_random(seed, more, seconds == 0 ? 0 : seconds_now() + seconds);
    printf("%s: %" PRIu64 " runs, %" PRIu64 " decisions, %u interruptions, %u deaths%s; %" PRIu64
           " at random, AE_TEST_SEED=%" PRIu64 "\n",
           model->name, searched, ex.decisions, ex.interruptions, model->deaths,
           whole ? "" : " (ended early)", ex.runs - searched, seed);
    fflush(stdout);
}
