/* words.c — the shared words: who uses them, what was done to them, and the accesses themselves
 * (see explore.h).
 */
#include <stdio.h>
#include <string.h>

#include "explore_private.h"
#include "explored_atomics.h"

void explore_ignore(const void *start, size_t size)
{
    if (ex.ignored_count == IGNORED_MAX)
        explore_fail("too many ranges are ignored");
    ex.ignored[ex.ignored_count].start = start;
    ex.ignored[ex.ignored_count++].size = size;
}

void explore_ignore_nothing(void)
{
    ex.ignored_count = 0;
}

/* ---- words ---------------------------------------------------------------------------------- */

static bool is_ignored(const volatile void *address)
{
    for (uint32_t index = 0; index < ex.ignored_count; index++)
        if ((uintptr_t)address - (uintptr_t)ex.ignored[index].start < ex.ignored[index].size)
            return true;
    return false;
}

static cell *cell_of(const volatile void *address)
{
    uint32_t place = (uint32_t)mix((uintptr_t)address, 0) % CELLS;
    while (ex.cells[place].address != NULL && ex.cells[place].address != address)
        place = (place + 1) % CELLS;
    cell *at = &ex.cells[place];
    if (at->address == NULL) {
        if (++ex.cell_count > CELLS / 2)
            explore_fail("too many words");
        at->address = address;
    }
    if (at->run != ex.run) {
        at->run = ex.run;
        at->wrote = 0;
        at->read = 0;
    }
    return at;
}

static bool cell_is_contended(const cell *at)
{
    const uint32_t users = at->readers | at->writers;
    return at->writers != 0 && (users & (users - 1)) != 0;
}

static void cell_use(cell *at, bool writes)
{
    const bool before = cell_is_contended(at);
    const uint8_t bit = (uint8_t)(1u << ex.self);
    if (writes)
        at->writers |= bit;
    else
        at->readers |= bit;
    ex.learnt |= !before && cell_is_contended(at);
}

/* The access is made: it joins the history. */
static void record(volatile const void *address, bool writes)
{
    thread *me = &ex.threads[ex.self];
    cell *at = cell_of(address);
    cell_use(at, writes);
    me->history = mix(me->history, (uintptr_t)address + (writes ? 1 : 0));
    if (!cell_is_contended(at))
        return;
    if (writes) {
        me->history = mix(me->history, mix(at->wrote, at->read));
        at->wrote = me->history;
        at->read = 0;
    } else {
        me->history = mix(me->history, at->wrote);
        at->read += mix(me->history, 1);
    }
}

/* ---- accesses ------------------------------------------------------------------------------- */

static uint64_t raw_load(const volatile void *address, uint32_t size)
{
    return size == 4 ? __atomic_load_n((const volatile uint32_t *)address, __ATOMIC_RELAXED)
                     : __atomic_load_n((const volatile uint64_t *)address, __ATOMIC_RELAXED);
}

/* The model looks at each change. */
static void after_change(void)
{
    if (ex.self == EXPLORE_THREADS || ex.model->step == NULL)
        return;
    const uint32_t self = ex.self;
    ex.self = EXPLORE_THREADS;
    ex.model->step();
    ex.self = self;
}

static void raw_store(volatile void *address, uint32_t size, uint64_t value)
{
    if (size == 4)
        __atomic_store_n((volatile uint32_t *)address, (uint32_t)value, __ATOMIC_RELAXED);
    else
        __atomic_store_n((volatile uint64_t *)address, value, __ATOMIC_RELAXED);
}

void buffer_drain(uint32_t number, uint32_t count)
{
    thread *at = &ex.threads[number];
    const uint32_t self = ex.self;
    ex.self = number;
    for (uint32_t index = 0; index < count; index++) {
        const buffered_store *store = &at->buffer[index];
        record(store->cell, true);
        raw_store(store->cell, store->size, store->value);
        after_change();
    }
    ex.self = self;
    at->buffered -= count;
    memmove(at->buffer, at->buffer + count, at->buffered * sizeof *at->buffer);
}

void explore_flush_all(void)
{
    if (ex.self == EXPLORE_THREADS)
        return;
    for (uint32_t index = 0; index < ex.model->threads; index++)
        buffer_drain(index, ex.threads[index].buffered);
}

static void trace(const char *what, const volatile void *address, uint64_t before, uint64_t after,
                  const void *from)
{
    char text[128];
    if (!ex.replays || ex.self == EXPLORE_THREADS)
        return;
    printf("%u.%-4u %-6s %-32s %16" PRIx64 " %16" PRIx64 "  at %p\n", ex.self,
           ex.threads[ex.self].steps, what,
           world_place((const void *)(uintptr_t)address, text, sizeof text), before, after, from);
    fflush(stdout);
}

static bool is_direct(const volatile void *address)
{
    return ex.self == EXPLORE_THREADS || is_ignored(address);
}

uint64_t explored_load(const volatile void *address, uint32_t size)
{
    if (is_direct(address))
        return raw_load(address, size);
    thread *me = &ex.threads[ex.self];
    for (uint32_t index = me->buffered; index-- > 0;)
        if (me->buffer[index].cell == address) {
            me->history = mix(me->history, (uintptr_t)address);
            return me->buffer[index].value;
        }
    offer(cell_is_contended(cell_of(address)), false);
    record(address, false);
    trace("load", address, raw_load(address, size), 0, __builtin_return_address(0));
    return raw_load(address, size);
}

void explored_store(volatile void *address, uint32_t size, uint64_t value)
{
    if (is_direct(address)) {
        raw_store(address, size, value);
        return;
    }
    thread *me = &ex.threads[ex.self];
    offer(cell_is_contended(cell_of(address)), true);
    trace("store", address, raw_load(address, size), value, __builtin_return_address(0));
    if (ex.buffers) {
        if (me->buffered == BUFFER_MAX)
            buffer_drain(ex.self, 1);
        me->buffer[me->buffered++] = (buffered_store){address, value, size};
        me->history = mix(me->history, (uintptr_t)address + 2);
        return;
    }
    record(address, true);
    raw_store(address, size, value);
    after_change();
}

bool explored_cas(volatile void *address, uint32_t size, void *expected, uint64_t desired)
{
    const uint64_t wanted = raw_load(expected, size);
    if (!is_direct(address)) {
        buffer_drain(ex.self, ex.threads[ex.self].buffered);
        offer(cell_is_contended(cell_of(address)), raw_load(address, size) == wanted);
    }
    const uint64_t seen = raw_load(address, size);
    if (!is_direct(address)) {
        trace(seen == wanted ? "cas" : "cas -", address, seen, desired,
              __builtin_return_address(0));
        record(address, seen == wanted);
    }
    if (seen == wanted)
        raw_store(address, size, desired);
    else
        raw_store(expected, size, seen);
    if (seen == wanted)
        after_change();
    return seen == wanted;
}

uint64_t explored_change(volatile void *address, uint32_t size, enum explored_change how,
                         uint64_t operand)
{
    if (!is_direct(address)) {
        buffer_drain(ex.self, ex.threads[ex.self].buffered);
        offer(cell_is_contended(cell_of(address)), true);
        record(address, true);
    }
    const uint64_t seen = raw_load(address, size);
    const uint64_t value = how == EXPLORED_ADD   ? seen + operand
                           : how == EXPLORED_AND ? (seen & operand)
                                                 : (seen | operand);
    if (!is_direct(address))
        trace("change", address, seen, value, __builtin_return_address(0));
    raw_store(address, size, value);
    after_change();
    return seen;
}

void explored_fence(int order)
{
    if (ex.self != EXPLORE_THREADS && order == memory_order_seq_cst)
        buffer_drain(ex.self, ex.threads[ex.self].buffered);
}
