/* os_process.c — who a process is and whether it still lives.
 *
 * A pid alone is reused; pid and start time together are not, until the machine reboots (the boot
 * id is kept beside them in the segment).  kill(pid, 0) calls a zombie alive, so /proc/<pid>/stat
 * is read.
 */
#include "base/os.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

#include "base/error.h"

/* pid 22 bits | hash of the pid namespace 8 | start time in ticks 34 (five years of uptime at 100
 * Hz). */
#define IDENTITY_PID_SHIFT 42
#define IDENTITY_SPACE_SHIFT 34
#define IDENTITY_SPACE_MASK ((uint64_t)0xff << IDENTITY_SPACE_SHIFT)
#define IDENTITY_START_MASK (((uint64_t)1 << IDENTITY_SPACE_SHIFT) - 1)

/* The namespace in the identity, so that it is never unknown to who judges a life. */
static uint64_t identity_space(void)
{
    const uint64_t inode = ae_os_pid_namespace();
    return ((inode * 0x9e3779b97f4a7c15ull) >> 56) << IDENTITY_SPACE_SHIFT;
}

/* Read a small file of /proc; returns its length or -1. */
static ssize_t proc_read(const char *path, char *buffer, size_t size)
{
    AE_ASSERT(size > 1);
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return -1;
    ssize_t length;
    do
        length = read(fd, buffer, size - 1);
    while (length < 0 && errno == EINTR);
    close(fd);
    if (length >= 0)
        buffer[length] = '\0';
    return length;
}

/* State letter and start time of a process; false when /proc does not know it. */
static bool proc_stat(uint32_t pid, char *state, uint64_t *threads, uint64_t *start)
{
    char path[64];
    char text[1024];
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    if (proc_read(path, text, sizeof text) <= 0)
        return false;
    const char *field = strrchr(text, ')'); /* the name in parentheses may hold anything */
    if (field == NULL || field[1] != ' ')
        return false;
    field += 2;
    *state = *field;
    for (int index = 3; index < 22; index++) {
        field = strchr(field, ' ');
        if (field == NULL)
            return false;
        field++;
        if (index + 1 == 20)
            *threads = strtoull(field, NULL, 10);
    }
    *start = strtoull(field, NULL, 10);
    return true;
}

uint64_t ae_os_process_identity(void)
{
    const uint32_t pid = (uint32_t)getpid();
    char state = 0;
    uint64_t start = 0;
    uint64_t threads = 0;
    (void)proc_stat(pid, &state, &threads, &start);
    AE_ALWAYS(pid != 0 && pid < 1u << (64 - IDENTITY_PID_SHIFT));
    return (uint64_t)pid << IDENTITY_PID_SHIFT | identity_space() | (start & IDENTITY_START_MASK);
}

uint32_t ae_os_identity_pid(uint64_t identity)
{
    return (uint32_t)(identity >> IDENTITY_PID_SHIFT);
}

uint64_t ae_os_pid_namespace(void)
{
    struct stat info;
    return stat("/proc/self/ns/pid", &info) == 0 ? (uint64_t)info.st_ino : 0;
}

bool ae_os_process_alive(uint64_t identity)
{
    const uint32_t pid = ae_os_identity_pid(identity);
    const uint64_t started = identity & IDENTITY_START_MASK;
    if ((identity & IDENTITY_SPACE_MASK) != identity_space())
        return true; /* another namespace's pids mean nothing here */
    char state = 0;
    uint64_t start = 0;
    uint64_t threads = 0;
    /* The first thread may have ended while others go on: the process is a zombie then by its
     * letter only. */
    if (proc_stat(pid, &state, &threads, &start))
        return ((state != 'Z' && state != 'X' && state != 'x') || threads > 1) &&
               (started == 0 || (start & IDENTITY_START_MASK) == started);
    return kill((pid_t)pid, 0) == 0 || errno != ESRCH;
}

bool ae_os_process_stopped(uint64_t identity)
{
    char state = 0;
    uint64_t start = 0;
    uint64_t threads = 0;
    return (identity & IDENTITY_SPACE_MASK) == identity_space() &&
           proc_stat(ae_os_identity_pid(identity), &state, &threads, &start) &&
           (start & IDENTITY_START_MASK) == (identity & IDENTITY_START_MASK) &&
           (state == 'T' || state == 't');
}

uint64_t ae_os_boot_id(void)
{
    char text[64] = "";
    uint64_t hash = 1469598103934665603ull; /* FNV-1a */
    if (proc_read("/proc/sys/kernel/random/boot_id", text, sizeof text) <= 0)
        return 1;
    for (const char *at = text; *at != '\0'; at++)
        hash = (hash ^ (uint8_t)*at) * 1099511628211ull;
    return hash;
}

void ae_os_random(void *buffer, size_t size)
{
    unsigned char *out = buffer;
    while (size > 0) {
        const ssize_t got = getrandom(out, size, 0);
        if (got > 0) {
            out += got;
            size -= (size_t)got;
        }
    }
}

uint32_t ae_os_processors(void)
{
    cpu_set_t set;
    /* Fails on machines with more processors than the set holds. */
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    const int count = CPU_COUNT(&set);
    AE_ASSERT(count >= 0);
    return count > 0 ? (uint32_t)count : 1;
}
