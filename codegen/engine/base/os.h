/* os.h — the seam to the operating system: clocks, identity of processes, files, memory.
 * Everything the engine asks of the kernel goes through here (os_*.c), so that tests can put
 * another world underneath.
 *
 * Functions that can fail return 0 or an errno value, unless they say otherwise.
 */
#ifndef AE_BASE_OS_H
#define AE_BASE_OS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- clocks (os_time.c) --------------------------------------------------------------------- */

/* CLOCK_MONOTONIC in nanoseconds: for durations and deadlines; no wall clock can move it. */
uint64_t ae_os_monotonic_ns(void);
/* The same clock at the last tick of the kernel, a few milliseconds back, for a quarter of the
 * cost. */
uint64_t ae_os_coarse_ns(void);
/* CLOCK_REALTIME in microseconds since 1970: for values people see, never for order. */
int64_t ae_os_wall_us(void);
void ae_os_sleep_ns(uint64_t nanoseconds);
/* Processor time of the calling thread in nanoseconds. */
uint64_t ae_os_thread_ns(void);

/* ---- processes (os_process.c) --------------------------------------------------------------- */

/* Identity of a process that no later process shares until reboot: pid, pid namespace, start time
 * in clock ticks since boot.  Never 0. */
uint64_t ae_os_process_identity(void);
/* Inode of the pid namespace; identities can be judged only from inside the same one. */
uint64_t ae_os_pid_namespace(void);
/* False when the process has ended: gone, a zombie, or its pid lives again with another start
 * time. */
bool ae_os_process_alive(uint64_t identity);
/* True when it lives, but a signal or a debugger has stopped it. */
bool ae_os_process_stopped(uint64_t identity);
uint32_t ae_os_identity_pid(uint64_t identity);
/* How many processors the calling thread may run on; at least 1. */
uint32_t ae_os_processors(void);
/* Hash of the kernel's boot id. */
uint64_t ae_os_boot_id(void);
void ae_os_random(void *buffer, size_t size);

/* ---- memory (os_memory.c) ------------------------------------------------------------------- */

/* Make every other thread of registered processes pass a full memory barrier (membarrier(2), global
 * expedited).  Register once a process; false when the kernel lacks it. */
bool ae_os_barrier_register(void);
bool ae_os_barrier(void);
/* One word of private memory that reads 0 in a child of fork(). */
uint64_t *ae_os_fork_guard_new(void);
void ae_os_fork_guard_free(uint64_t *guard);
/* Map `size` bytes of a file shared, or (fd < 0) of private anonymous memory, where huge pages can
 * be used. */
int ae_os_map(int fd, uint64_t size, void **address);
/* Have huge pages behind the range of a mapping made by ae_os_map from `fd`, as far as it has whole
 * ones.  What is in the range stays.  Nothing depends on it; false: the kernel has none, or they
 * are dear, and it is better not to ask again. */
bool ae_os_huge(int fd, void *address, uint64_t offset, uint64_t size);
/* Make one huge page of the small ones at `address`, a multiple of its size in such a mapping, for
 * everybody who has mapped them; who touches one of them meanwhile waits.  0, or an errno.
 * *took_ns is the thread's own time. */
int ae_os_huge_join(void *address, uint64_t *took_ns);
/* The size of a huge page. */
#define AE_OS_HUGE_SIZE ((uint64_t)2 << 20)
void ae_os_unmap(void *address, uint64_t size);

/* ---- files of the segment (os_segment.c) ---------------------------------------------------- */

/* What fstat says, as far as safety asks. */
typedef struct ae_os_file {
    uint64_t size;
    uint64_t device;
    uint64_t inode;
    uint32_t owner;
    uint32_t mode; /* permission bits */
    uint32_t links;
    bool regular;
    bool directory;
} ae_os_file;

uint32_t ae_os_user(void);
/* Give a directory's absolute path (caller frees) and identity; `make` it (0700) if it is
 * missing. */
int ae_os_directory(const char *path, bool make, char **absolute, ae_os_file *info);
/* Open an existing file read-write without following links or blocking. */
int ae_os_open_existing(const char *path, int *fd);
/* A new unnamed file (0600) in the directory of `path`, of `size` bytes, sparse. */
int ae_os_create_unnamed(const char *path, uint64_t size, int *fd);
/* Give an unnamed file its name; EEXIST when the name is taken. */
int ae_os_link(int fd, const char *path);
int ae_os_stat(int fd, ae_os_file *info);
/* The same of what a path leads to. */
int ae_os_stat_path(const char *path, ae_os_file *info);
/* Reserve storage for a range of the file, so that touching it cannot fault. */
int ae_os_reserve(int fd, uint64_t offset, uint64_t size);
/* Read at most `size` bytes at an offset; *done says how many. */
int ae_os_read_at(int fd, uint64_t offset, void *buffer, size_t size, size_t *done);
void ae_os_close(int fd);
const char *ae_os_environment(const char *name);

#endif
