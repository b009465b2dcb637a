/* files.c — which files a store has, and the locks beside them.
 *
 * The data directory itself carries the lock that says "in use": shared by all who are attached to
 * a segment, exclusive for a database in private memory, which only one process can have.  The lock
 * file has one byte for each thing that at most one process shall do at a time.  All of them are
 * dropped by the kernel with their holder.  Nothing that is correct only because a lock is held
 * breaks when the lock file is removed under its holder: openers race to name the segment, and the
 * number of the newest checkpoint is exchanged by compare-and-swap.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/os_file.h"
#include "durable/durable_private.h"

static const ae_file_names names[AE_PROFILES] = {
    [AE_PROFILE_SHARED] = {"aerostore.wal", "occ_checkpoint.dat"},
    [AE_PROFILE_EMBEDDED] = {"wal.log", "checkpoint.dat"},
    [AE_PROFILE_LOGICAL] = {"aerostore_logical.wal", "snapshot.dat"},
};

/* How often a lock is tried again. */
#define LOCK_PAUSE_NS 2000000u
/* Somebody may remove the lock file while it is taken, and make another one; not so often, unless
 * the system cannot tell which file has the name. */
#define EXCHANGED_MOST 100u

const ae_file_names *aei_durable_names(enum ae_profile profile)
{
    AE_ALWAYS(profile < AE_PROFILES);
    return &names[profile];
}

enum ae_stack aei_durable_stack(enum ae_profile profile)
{
    AE_ALWAYS(profile < AE_PROFILES);
    return profile == AE_PROFILE_LOGICAL ? AE_STACK_LOGICAL : AE_STACK_ROW;
}

/* Is this `name`, or `name`, a point and 20 digits, or what a repair has made? */
static bool is_part(const char *found, const char *name)
{
    const size_t length = strlen(name);
    if (strncmp(found, name, length) != 0)
        return false;
    if (found[length] == '\0')
        return true;
    if (strcmp(found + length, AE_REPAIRED) == 0)
        return true;
    return found[length] == '.' && strspn(found + length + 1, "0123456789") == 20 &&
           found[length + 21] == '\0';
}

static int note_profile(void *context, const char *name)
{
    uint32_t *seen = context;
    for (uint32_t profile = 0; profile < AE_PROFILES; profile++)
        if (is_part(name, names[profile].log) || is_part(name, names[profile].checkpoint))
            *seen |= 1u << profile;
    return 0;
}

aero_status aei_durable_profile(const char *directory, enum ae_profile *profile, aero_error *error)
{
    uint32_t seen = 0;
    const int failure = ae_os_directory_list(directory, note_profile, &seen);
    *profile = AE_PROFILES;
    if (failure != 0)
        return ae_fail_errno(error, AERO_IO, failure, "cannot read the directory %.500s",
                             directory);
    if ((seen & (seen - 1)) != 0)
        return ae_fail(error, AERO_MISMATCH, "%.500s holds files of several stores", directory);
    if (seen != 0)
        *profile = (enum ae_profile)__builtin_ctz(seen);
    AE_ALWAYS(*profile <= AE_PROFILES);
    return AERO_OK;
}

aero_status aei_repair_pending(const char *directory, aero_error *error)
{
    char path[PATH_MAX];
    for (uint32_t profile = 0; profile < AE_PROFILES; profile++) {
        int fd = -1;
        if (!aei_durable_path(directory, names[profile].checkpoint, AE_REPAIRED, path, sizeof path))
            continue;
        const int failure = ae_os_file_open(path, AE_FILE_READ, &fd);
        if (failure == ENOENT)
            continue;
        if (failure != 0) /* whether it is there is not known: nobody may act as if it were */
            return ae_fail_errno(error, AERO_IO, failure, "cannot open %.500s", path);
        ae_os_file_close(fd);
        return ae_fail(error, AERO_CORRUPT,
                       "a repair of %.400s was interrupted (%s%s is there): run it again",
                       directory, names[profile].checkpoint, AE_REPAIRED);
    }
    return AERO_OK;
}

bool aei_durable_path(const char *directory, const char *name, const char *ending, char *out,
                      size_t size)
{
    AE_ALWAYS(directory != NULL && size > 0);
    const int length = snprintf(out, size, "%s/%s%s", directory, name, ending);
    return length > 0 && (size_t)length < size;
}

int aei_lock_take(const char *directory, enum ae_lock_place place, uint64_t wait_ms, int *fd)
{
    AE_ALWAYS(place <= AE_LOCK_KEEPER);
    char path[PATH_MAX];
    const uint64_t until = ae_os_monotonic_ns() + wait_ms * 1000000u;
    uint32_t exchanged = 0;
    *fd = -1;
    if (!aei_durable_path(directory, AE_LOCK_NAME, "", path, sizeof path))
        return ENAMETOOLONG;
    for (;;) {
        int failure = *fd >= 0 ? 0 : ae_os_lock_open(path, fd);
        if (failure != 0)
            return failure;
        failure = ae_os_lock_take(*fd, place);
        if (failure == 0 && ae_os_lock_current(path, *fd))
            return 0;
        if (failure == 0) { /* the name leads to another file by now, and that is the lock */
            ae_os_close(*fd);
            *fd = -1;
            if (++exchanged == EXCHANGED_MOST)
                return ESTALE;
            continue;
        }
        if (failure != EAGAIN || ae_os_monotonic_ns() >= until) {
            ae_os_close(*fd);
            *fd = -1;
            return failure;
        }
        ae_os_sleep_ns(LOCK_PAUSE_NS);
    }
}

void aei_lock_drop(int fd, enum ae_lock_place place)
{
    if (fd < 0)
        return;
    ae_os_lock_drop(fd, place);
    ae_os_close(fd);
}
