/* disk.h — a recorder of what a program asks of the disk, and the states a power failure leaves.
 *
 * ae_file_hook (base/os_file.h) notes every write, sync and change of names.  A power failure at
 * some point of that record leaves, of each file, what was written before its last sync, and of
 * the writes after it any sectors of 512 bytes; and of the names those at the last sync of the
 * directory and any number of the changes after it, in their order, as journalling file systems
 * keep them.  disk_materialize draws one of these states and writes it to a directory.
 *
 * Files are told apart by their inode, on a file system that uses a number only once (tmpfs).
 */
#ifndef AE_TEST_DISK_H
#define AE_TEST_DISK_H

#include <fcntl.h>

#include "../unit/store.h"
#include "base/os_file.h"

enum disk_kind { DISK_WRITE, DISK_SYNC, DISK_NAME, DISK_RENAME, DISK_UNLINK, DISK_DIRSYNC };
enum { SECTOR_BYTES = 512, DISK_FILES = 64, DISK_NAMES = 64 };

typedef struct disk_event {
    enum disk_kind kind;
    ino_t inode;
    uint64_t offset;
    size_t size;
    uint8_t *data;
    char path[2][128];     /* last components */
    uint32_t acknowledged; /* what had been acknowledged, and tried, when it was done */
    uint32_t tried;
} disk_event;

/* One program, one thread, one disk. */
static struct {
    disk_event *events;
    uint32_t count;
    uint32_t capacity;
    bool recording;
    uint32_t acknowledged;
    uint32_t tried;
    /* Failing calls: the n-th from now, with this errno; then all that follow, or none. */
    uint32_t fail_at;
    int fail_errno;
    bool fail_for_good;
    uint32_t failed;
} disk;

static const char *disk_base(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL ? path : slash + 1;
}

static ino_t disk_inode(int fd)
{
    struct stat info;
    assert_int_equal(fstat(fd, &info), 0);
    return info.st_ino;
}

static void disk_note(const ae_file_call *call, enum disk_kind kind)
{
    if (disk.count == disk.capacity) {
        disk.capacity = disk.capacity == 0 ? 1024 : 2 * disk.capacity;
        disk.events = realloc(disk.events, disk.capacity * sizeof *disk.events);
        assert_non_null(disk.events);
    }
    disk_event *event = &disk.events[disk.count++];
    memset(event, 0, sizeof *event);
    event->kind = kind;
    event->acknowledged = disk.acknowledged;
    event->tried = disk.tried;
    if (call->fd >= 0)
        event->inode = disk_inode(call->fd);
    if (call->path != NULL)
        snprintf(event->path[0], sizeof event->path[0], "%s", disk_base(call->path));
    if (call->other != NULL)
        snprintf(event->path[1], sizeof event->path[1], "%s", disk_base(call->other));
    if (kind == DISK_WRITE) {
        event->offset = call->offset;
        event->size = call->size;
        event->data = malloc(call->size);
        assert_non_null(event->data);
        memcpy(event->data, call->data, call->size);
    }
}

int ae_file_hook(const ae_file_call *call)
{
    static const char *const names[] = {"write", "sync", "name", "rename", "unlink", "dirsync"};
    if (!call->done) {
        if (disk.fail_at == 0)
            return 0;
        if (disk.fail_at > 1) {
            disk.fail_at--;
            return 0;
        }
        disk.failed++;
        disk.fail_at = disk.fail_for_good ? 1 : 0;
        return disk.fail_errno;
    }
    if (!disk.recording)
        return 0;
    if (strcmp(call->name, "open") == 0 && call->path != NULL)
        disk_note(call, DISK_NAME);
    for (int kind = 0; kind < 6; kind++)
        if (strcmp(call->name, names[kind]) == 0)
            disk_note(call, (enum disk_kind)kind);
    return 0;
}

static void disk_forget(void)
{
    for (uint32_t index = 0; index < disk.count; index++)
        free(disk.events[index].data);
    disk.count = 0;
}

/* ---- states --------------------------------------------------------------------------------- */

typedef struct disk_file {
    ino_t inode;
    uint8_t *data;
    size_t size;
    size_t capacity;
} disk_file;

typedef struct disk_state {
    disk_file files[DISK_FILES];
    uint32_t file_count;
    struct {
        char path[128];
        ino_t inode;
    } names[DISK_NAMES];
    uint32_t name_count;
} disk_state;

static disk_file *state_file(disk_state *state, ino_t inode)
{
    for (uint32_t index = 0; index < state->file_count; index++)
        if (state->files[index].inode == inode)
            return &state->files[index];
    assert_true(state->file_count < DISK_FILES);
    disk_file *file = &state->files[state->file_count++];
    *file = (disk_file){.inode = inode};
    return file;
}

static void state_write(disk_state *state, const disk_event *event, size_t from, size_t size)
{
    disk_file *file = state_file(state, event->inode);
    const size_t end = (size_t)event->offset + from + size;
    if (end > file->capacity) {
        file->capacity = 2 * end;
        file->data = realloc(file->data, file->capacity);
        assert_non_null(file->data);
    }
    if (end > file->size) {
        memset(file->data + file->size, 0, end - file->size);
        file->size = end;
    }
    memcpy(file->data + event->offset + from, event->data + from, size);
}

static void state_unname(disk_state *state, const char *path)
{
    for (uint32_t index = 0; index < state->name_count; index++)
        if (strcmp(state->names[index].path, path) == 0)
            state->names[index--] = state->names[--state->name_count];
}

static void state_name(disk_state *state, const disk_event *event)
{
    ino_t inode = event->inode;
    const char *path = event->path[0];
    if (event->kind == DISK_UNLINK) {
        state_unname(state, path);
        return;
    }
    if (event->kind == DISK_RENAME) {
        for (uint32_t index = 0; index < state->name_count; index++)
            if (strcmp(state->names[index].path, path) == 0)
                inode = state->names[index].inode;
        state_unname(state, path);
        path = event->path[1];
    }
    if (inode == 0)
        return;
    state_unname(state, path);
    assert_true(state->name_count < DISK_NAMES);
    snprintf(state->names[state->name_count].path, sizeof state->names[0].path, "%s", path);
    state->names[state->name_count++].inode = inode;
}

static bool changes_names(enum disk_kind kind)
{
    return kind == DISK_NAME || kind == DISK_RENAME || kind == DISK_UNLINK;
}

/* Was the write synced before the power failed? */
static bool write_is_safe(uint32_t index, uint32_t end)
{
    for (uint32_t later = index + 1; later < end; later++)
        if (disk.events[later].kind == DISK_SYNC &&
            disk.events[later].inode == disk.events[index].inode)
            return true;
    return false;
}

/* Draw what the failure after `end` events leaves; 0 of `mood`: nothing unsynced, 1: everything,
 * else any. */
static void disk_draw(disk_state *state, uint32_t end, uint64_t *random)
{
    uint32_t safe_names = 0;
    uint32_t loose_names = 0;
    const uint64_t mood = next_random(random) % 6;
    memset(state, 0, sizeof *state);
    for (uint32_t index = 0; index < end; index++)
        if (disk.events[index].kind == DISK_DIRSYNC)
            safe_names = index;
    for (uint32_t index = safe_names; index < end; index++)
        loose_names += changes_names(disk.events[index].kind);
    uint64_t kept = next_random(random) % (loose_names + 1);
    kept = mood == 0 ? 0 : mood == 1 ? loose_names : kept;
    for (uint32_t index = 0; index < end; index++) {
        const disk_event *event = &disk.events[index];
        if (changes_names(event->kind) && (index < safe_names || kept > 0)) {
            kept -= index >= safe_names;
            state_name(state, event);
        }
        if (event->kind != DISK_WRITE)
            continue;
        const bool safe = write_is_safe(index, end);
        for (size_t from = 0; from < event->size;) {
            const size_t sector = SECTOR_BYTES - (size_t)(event->offset + from) % SECTOR_BYTES;
            const size_t size = sector < event->size - from ? sector : event->size - from;
            const bool lucky = mood == 1 || (mood > 1 && next_random(random) % 2 == 0);
            if (safe || lucky)
                state_write(state, event, from, size);
            from += size;
        }
    }
}

/* A number for the state, to count different ones. */
static uint64_t disk_digest(const disk_state *state)
{
    uint64_t sum = 0;
    for (uint32_t name = 0; name < state->name_count; name++) {
        uint64_t hash = 1469598103934665603ull;
        for (const char *at = state->names[name].path; *at != '\0'; at++)
            hash = (hash ^ (uint8_t)*at) * 1099511628211ull;
        for (uint32_t index = 0; index < state->file_count; index++) {
            const disk_file *file = &state->files[index];
            if (file->inode == state->names[name].inode)
                for (size_t at = 0; at < file->size; at++)
                    hash = (hash ^ file->data[at]) * 1099511628211ull;
        }
        sum += hash;
    }
    return sum;
}

static void disk_materialize(const disk_state *state, const char *folder)
{
    char path[300];
    folder_remove(folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    for (uint32_t name = 0; name < state->name_count; name++) {
        snprintf(path, sizeof path, "%s/%s", folder, state->names[name].path);
        const int fd = open(path, O_CREAT | O_EXCL | O_WRONLY, 0600);
        assert_true(fd >= 0);
        for (uint32_t index = 0; index < state->file_count; index++) {
            const disk_file *file = &state->files[index];
            if (file->inode == state->names[name].inode && file->size > 0)
                assert_int_equal(write(fd, file->data, file->size), file->size);
        }
        close(fd);
    }
}

static void disk_drop(disk_state *state)
{
    for (uint32_t index = 0; index < state->file_count; index++)
        free(state->files[index].data);
}

#endif
