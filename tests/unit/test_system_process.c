/* What the seam to the system makes of each answer about processes, memory, threads and inputs.
 *
 * Strategy: the real calls, and some that a script lets fail, be interrupted, or say what a test
 * wants to have said (scripted.h).  Invariants: an interrupted call is made again; where the system
 * does not tell, the answer is the cautious one: a process counts as alive, a page as not huge.
 *
 * variants: plain
 * links: base
 */
#include "scripted.h"

#include <signal.h>
#include <sys/eventfd.h>
#include <time.h>

#include "base/os.h"
#include "base/os_event.h"
#include "base/os_input.h"
#include "base/os_pack.h"
#include "base/os_store.h"
#include "base/os_wait.h"

/* ---- calls that answer otherwise than by failing -------------------------------------------- */

static struct {
    const char *text;  /* what a read gives; NULL: the file's */
    size_t most;       /* bytes of a getrandom; 0: all */
    bool no_processor; /* sched_getaffinity names none */
    int64_t later_ns;  /* how much the thread's clock has gone on at each look */
    int64_t ahead_ns;
    bool nameless;      /* dladdr finds no file */
    bool other_library; /* dlopen gives another than was asked for */
    uint64_t room;      /* mmap without a place answers this far behind a multiple of 2 MiB */
} false_answers;

ssize_t read(int fd, void *data, size_t size)
{
    if (fails("read"))
        return -1;
    if (false_answers.text == NULL)
        return REAL(read)(fd, data, size);
    const size_t length = strlen(false_answers.text);
    memcpy(data, false_answers.text, length < size ? length : size);
    return (ssize_t)(length < size ? length : size);
}

PASS(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size))
PASS(int, eventfd, (unsigned count, int flags), (count, flags))
PASS(int, kill, (pid_t process, int number), (process, number))

ssize_t getrandom(void *data, size_t size, unsigned flags)
{
    if (fails("getrandom"))
        return -1;
    const bool cut = false_answers.most != 0 && size > false_answers.most;
    return REAL(getrandom)(data, cut ? false_answers.most : size, flags);
}

int sched_getaffinity(pid_t process, size_t size, cpu_set_t *set)
{
    if (fails("sched_getaffinity"))
        return -1;
    if (!false_answers.no_processor)
        return REAL(sched_getaffinity)(process, size, set);
    CPU_ZERO(set);
    return 0;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
    const int answer = REAL(clock_gettime)(clock, now);
    if (clock == CLOCK_THREAD_CPUTIME_ID) {
        false_answers.ahead_ns += false_answers.later_ns;
        now->tv_sec += (time_t)(false_answers.ahead_ns / 1000000000);
    }
    return answer;
}

void *mmap(void *at, size_t size, int how, int flags, int fd, off_t offset)
{
    if (fails("mmap"))
        return MAP_FAILED;
    if (at != NULL || false_answers.room == 0)
        return REAL(mmap)(at, size, how, flags, fd, offset);
    const uint64_t huge = AE_OS_HUGE_SIZE;
    char *free_space = REAL(mmap)(NULL, size + 2 * huge, PROT_NONE, flags, -1, 0);
    const uint64_t start = (((uint64_t)(uintptr_t)free_space + huge - 1) & ~(huge - 1)) +
                           false_answers.room % huge;
    munmap(free_space, size + 2 * huge);
    return REAL(mmap)((void *)(uintptr_t)start, size, how, flags | MAP_FIXED_NOREPLACE, fd, offset);
}

int dladdr(const void *address, Dl_info *info)
{
    if (fails("dladdr"))
        return 0;
    const int answer = REAL(dladdr)(address, info);
    if (false_answers.nameless)
        info->dli_fname = NULL;
    return answer;
}

void *dlopen(const char *name, int flags)
{
    return fails("dlopen") ? NULL
                           : REAL(dlopen)(false_answers.other_library ? "libm.so.6" : name, flags);
}

static int answers_reset(void **state)
{
    (void)state;
    memset(&false_answers, 0, sizeof false_answers);
    return 0;
}

static int answers_used(void **state)
{
    (void)state;
    script_ended();
    return 0;
}

/* ---- processes ------------------------------------------------------------------------------ */

#define FIELDS " 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 "

/* Is the process of an identity alive when /proc says this of it? */
static bool alive(uint64_t identity, const char *text)
{
    false_answers.text = text;
    const bool answer = ae_os_process_alive(identity);
    false_answers.text = NULL;
    return answer;
}

static bool stopped(uint64_t identity, const char *text)
{
    false_answers.text = text;
    const bool answer = ae_os_process_stopped(identity);
    false_answers.text = NULL;
    return answer;
}

/* Goal: a process is dead when its pid is gone, a zombie's, or another's by its start time. */
static void test_who_is_alive(void **state)
{
    (void)state;
    const uint64_t self = ae_os_process_identity();
    const uint64_t start = self & (((uint64_t)1 << 34) - 1);
    char text[160];
    assert_int_equal(ae_os_identity_pid(self), getpid());
    assert_true(start != 0);
    assert_true(ae_os_process_alive(self));
    assert_false(ae_os_process_stopped(self));
    /* Threads are field 20, the start time field 22; the name may hold anything. */
    snprintf(text, sizeof text, "1 (a) b) Z" FIELDS "1 0 %llu 0", (unsigned long long)start);
    assert_false(alive(self, text));
    text[9] = 'X';
    assert_false(alive(self, text));
    text[9] = 'x';
    assert_false(alive(self, text));
    text[9] = 'R';
    assert_true(alive(self, text));
    assert_false(stopped(self, text));
    text[9] = 'T';
    assert_true(alive(self, text));
    assert_true(stopped(self, text));
    text[9] = 't';
    assert_true(stopped(self, text));
    assert_false(stopped(self + 1, text)); /* started at another time */
    assert_false(alive(self + 1, text));
    assert_true(alive(self - start, text)); /* its maker could not tell when it began */
    snprintf(text, sizeof text, "1 (a) Z" FIELDS "2 0 %llu 0", (unsigned long long)start);
    assert_true(alive(self, text)); /* its first thread has ended, another goes on */
    /* A pid of another namespace means nothing here. */
    const uint64_t elsewhere = self ^ (uint64_t)1 << 34;
    assert_true(ae_os_process_alive(elsewhere));
    assert_false(ae_os_process_stopped(elsewhere));
    script("stat", 0, 1, EACCES);
    assert_int_equal(ae_os_pid_namespace(), 0);
}

/* Goal: what /proc does not tell is asked of kill, whose word is not taken for a death. */
static void test_where_proc_says_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"", "1 a Z", "1 (a)Z", "1 (a)", "1 (a) Z 1 1"};
    const uint64_t self = ae_os_process_identity();
    for (size_t index = 0; index < sizeof texts / sizeof texts[0]; index++) {
        assert_true(alive(self, texts[index]));
        assert_false(stopped(self, texts[index]));
    }
    script("open", 0, 1, ENOENT);
    assert_true(ae_os_process_alive(self));
    script("read", 0, 1, EIO);
    script("kill", 0, 1, EPERM); /* another user's */
    assert_true(ae_os_process_alive(self));
    script("read", 0, 1, EIO);
    script("kill", 0, 1, ESRCH);
    assert_false(ae_os_process_alive(self));
    script("read", 0, 3, EINTR);
    assert_true(ae_os_process_alive(self));
    script_ended();
    const uint64_t boot = ae_os_boot_id();
    assert_true(boot > 1);
    script("open", 0, 1, ENOENT);
    assert_int_equal(ae_os_boot_id(), 1);
    assert_int_equal(ae_os_boot_id(), boot);
}

/* Goal: random bytes are all there however they come; one processor is the least. */
static void test_random_bytes_and_processors(void **state)
{
    (void)state;
    uint8_t bytes[32] = {0};
    uint32_t zeros = 0;
    script("getrandom", 1, 2, EINTR);
    false_answers.most = 5;
    ae_os_random(bytes, sizeof bytes);
    for (size_t index = 0; index < sizeof bytes; index++)
        zeros += bytes[index] == 0;
    assert_true(zeros < 5);
    assert_true(ae_os_processors() >= 1);
    script("sched_getaffinity", 0, 1, EINVAL);
    assert_int_equal(ae_os_processors(), 1);
    false_answers.no_processor = true;
    assert_int_equal(ae_os_processors(), 1);
}

/* ---- memory --------------------------------------------------------------------------------- */

/* Goal: memory that cannot be had is an error, and nothing stays mapped. */
static void test_memory_that_is_refused(void **state)
{
    (void)state;
    void *base = NULL;
    script("mmap", 0, 1, ENOMEM);
    assert_null(ae_os_fork_guard_new());
    script("madvise", 0, 1, EINVAL); /* a kernel without WIPEONFORK */
    assert_null(ae_os_fork_guard_new());
    uint64_t *guard = ae_os_fork_guard_new();
    assert_non_null(guard);
    assert_int_equal(*guard, 0);
    ae_os_fork_guard_free(guard);
    ae_os_fork_guard_free(NULL);
    assert_int_equal(ae_os_map(-1, 0, &base), EINVAL);
    script("mmap", 0, 1, ENOMEM);
    assert_int_equal(ae_os_map(-1, 4096, &base), ENOMEM);
    script("mmap", 1, 1, EACCES);
    assert_int_equal(ae_os_map(-1, 4096, &base), EACCES);
    ae_os_unmap(NULL, 4096);
    /* Wherever the kernel finds room, a mapping begins at a multiple of the huge page's size. */
    for (uint64_t room = AE_OS_HUGE_SIZE; room < AE_OS_HUGE_SIZE + 3 * 4096; room += 4096) {
        false_answers.room = room;
        assert_int_equal(ae_os_map(-1, 4096, &base), 0);
        assert_int_equal((uintptr_t)base % AE_OS_HUGE_SIZE, 0);
        *(volatile char *)base = 1;
        ae_os_unmap(base, 4096);
    }
}

/* Goal: huge pages are given up where there are none, or where one takes too long. */
static void test_huge_pages_that_are_refused(void **state)
{
    (void)state;
    void *base = NULL;
    const int fd = memfd_create("aerostore-test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, (off_t)(4 * AE_OS_HUGE_SIZE)), 0);
    assert_int_equal(ae_os_map(fd, 4 * AE_OS_HUGE_SIZE, &base), 0);
    assert_false(ae_os_huge(-1, base, 0, 4 * AE_OS_HUGE_SIZE));
    assert_true(ae_os_huge(fd, base, 0, AE_OS_HUGE_SIZE - 1)); /* not one whole */
    script("fallocate", 0, 1, ENOSPC);
    assert_false(ae_os_huge(fd, base, 0, 4 * AE_OS_HUGE_SIZE));
    script("fallocate", 0, 2, EINTR);
    script("madvise", 0, 1, EINVAL);
    assert_false(ae_os_huge(fd, base, 0, 4 * AE_OS_HUGE_SIZE));
    false_answers.later_ns = 3000000000;
    assert_false(ae_os_huge(fd, base, 0, 4 * AE_OS_HUGE_SIZE));
    ae_os_unmap(base, 4 * AE_OS_HUGE_SIZE);
    ae_os_close(fd);
}

/* ---- helpers -------------------------------------------------------------------------------- */

/* Goal: a program that is started leaves no zombie and no descriptor of ours, or says why not. */
static void test_a_program_is_started(void **state)
{
    (void)state;
    char *const nothing[] = {(char *)(uintptr_t) "true", NULL};
    const uint32_t before = descriptors();
    assert_int_equal(ae_os_spawn_detached("/nothing/here", nothing), ENOENT);
    script("posix_spawn_file_actions_init", 0, 1, ENOMEM);
    assert_int_equal(ae_os_spawn_detached("/bin/true", nothing), ENOMEM);
    script("posix_spawnattr_init", 0, 1, ENOMEM);
    assert_int_equal(ae_os_spawn_detached("/bin/true", nothing), ENOMEM);
    script("waitpid", 0, 2, EINTR);
    assert_int_equal(ae_os_spawn_detached("/bin/true", nothing), 0);
    assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
    assert_int_equal(errno, ECHILD);
    void (*const kept)(int) = signal(SIGCHLD, SIG_IGN); /* its children are reaped by the kernel */
    assert_int_equal(ae_os_spawn_detached("/bin/true", nothing), 0);
    signal(SIGCHLD, kept);
    assert_int_equal(descriptors(), before);
}

/* Goal: a detached process is nobody's child here; where it cannot be, it goes on as it is. */
static void test_a_process_detaches(void **state)
{
    (void)state;
    int ends[2];
    pid_t ids[2] = {0};
    for (int round = 0; round < 2; round++) {
        assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            if (round == 1)
                script("fork", 0, 1, EAGAIN);
            ae_os_detach();
            ids[0] = getpid();
            if (write(ends[1], ids, sizeof ids[0]) != sizeof ids[0])
                _exit(9);
            _exit(7);
        }
        int status = 0;
        close(ends[1]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        assert_int_equal(WEXITSTATUS(status), round == 0 ? 0 : 7);
        assert_int_equal(read(ends[0], &ids[1], sizeof ids[1]), sizeof ids[1]);
        assert_true((ids[1] == child) == (round == 1));
        close(ends[0]);
    }
}

/* Goal: the path of the code's own file is whole or not given. */
static void test_the_codes_own_file(void **state)
{
    (void)state;
    char path[PATH_MAX] = "";
    char real[PATH_MAX] = "";
    char small[8] = "";
    assert_true(ae_os_own_path(path, sizeof path));
    assert_true(readlink("/proc/self/exe", real, sizeof real - 1) > 0);
    assert_string_equal(path, real);
    assert_false(ae_os_own_path(small, sizeof small));
    assert_string_equal(small, "");
    script("realpath", 0, 1, ENOENT);
    assert_false(ae_os_own_path(path, sizeof path));
    script("dladdr", 0, 1, 0);
    assert_false(ae_os_own_path(path, sizeof path));
    false_answers.nameless = true;
    assert_false(ae_os_own_path(path, sizeof path));
}

static void thread_body(void *context)
{
    sigset_t now;
    (void)pthread_sigmask(SIG_SETMASK, NULL, &now);
    *(int *)context = sigismember(&now, SIGINT);
}

/* Goal: a thread leaves the program's signals to its other threads, and may be refused. */
static void test_a_thread_is_started(void **state)
{
    (void)state;
    ae_os_thread *thread = NULL;
    int blocked = -1;
    script("pthread_create", 0, 1, EAGAIN);
    assert_int_equal(ae_os_thread_start(thread_body, &blocked, &thread), EAGAIN);
    assert_null(thread);
    ae_os_thread_join(thread);
    assert_int_equal(ae_os_thread_start(thread_body, &blocked, &thread), 0);
    ae_os_thread_join(thread);
    assert_int_equal(blocked, 1);
    thread_body(&blocked);
    assert_int_equal(blocked, 0);
}

/* ---- inputs, events, compression ------------------------------------------------------------ */

/* Goal: an input is read through signals; what cannot be read says so. */
static void test_an_input(void **state)
{
    (void)state;
    const uint32_t before = descriptors();
    char text[8];
    uint64_t size = 1;
    size_t done = 1;
    int fd = -1;
    int ends[2];
    assert_int_equal(ae_os_input_open("/nothing/here", &fd, &size), ENOENT);
    assert_int_equal(ae_os_input_open("/", &fd, &size), EISDIR);
    script("fstat", 0, 1, EIO);
    assert_int_equal(ae_os_input_open("/proc/self/exe", &fd, &size), EIO);
    assert_int_equal(fd, -1);
    assert_int_equal(size, 0);
    script("open", 0, 2, EINTR);
    assert_int_equal(ae_os_input_open("/proc/self/exe", &fd, &size), 0);
    assert_true(size > 0);
    script("read", 0, 2, EINTR);
    assert_int_equal(ae_os_input_read(fd, text, 4, &done), 0);
    assert_int_equal(done, 4);
    assert_memory_equal(text, "\177ELF", 4);
    script("read", 0, 1, EIO);
    assert_int_equal(ae_os_input_read(fd, text, 4, &done), EIO);
    assert_int_equal(done, 0);
    ae_os_input_close(fd);
    /* What has no length, and what is empty. */
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    snprintf(text, sizeof text, "fd");
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
    assert_int_equal(ae_os_input_open(path, &fd, &size), 0);
    assert_int_equal(size, 0);
    close(ends[1]);
    assert_int_equal(ae_os_input_read(fd, text, 4, &done), 0);
    assert_int_equal(done, 0);
    ae_os_input_close(fd);
    close(ends[0]);
    assert_int_equal(ae_os_input_open("/proc/self/maps", &fd, &size), 0);
    assert_int_equal(size, 0);
    ae_os_input_close(fd);
    assert_int_equal(descriptors(), before);
}

/* Goal: an event is set and cleared through signals. */
static void test_an_event(void **state)
{
    (void)state;
    uint64_t count = 0;
    int fd = -1;
    script("eventfd", 0, 1, EMFILE);
    assert_int_equal(ae_os_event_new(&fd), EMFILE);
    assert_int_equal(ae_os_event_new(&fd), 0);
    script("write", 0, 2, EINTR);
    ae_os_event_set(fd);
    assert_int_equal(read(fd, &count, sizeof count), sizeof count);
    assert_int_equal(count, 1);
    ae_os_event_set(fd);
    script("read", 0, 2, EINTR);
    ae_os_event_clear(fd);
    assert_int_equal(read(fd, &count, sizeof count), -1);
    assert_int_equal(errno, EAGAIN);
    ae_os_event_clear(fd);         /* nothing to clear, and it does not wait */
    script("write", 0, 1, EAGAIN); /* full: it is readable already */
    ae_os_event_set(fd);
    close(fd);
    assert_int_equal(ae_os_wake((ae_a32 *)(uintptr_t)4096, 1), 0); /* no memory of ours */
}

static unsigned always_error(size_t result)
{
    return result != 0;
}

/* Goal: a library that is missing, is another one or says it failed packs and unpacks nothing. */
static void test_a_library_that_cannot_pack(void **state)
{
    (void)state;
    ae_os_pack pack = {0};
    char text[64] = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    char packed[256];
    char back[64];
    assert_int_equal(ae_os_pack_do(&pack, packed, sizeof packed, text, sizeof text), 0);
    assert_false(ae_os_pack_undo(&pack, back, sizeof back, packed, 9));
    ae_os_pack_close(&pack);
    script("dlopen", 0, 1, 0);
    assert_false(ae_os_pack_open(&pack));
    false_answers.other_library = true;
    assert_false(ae_os_pack_open(&pack));
    assert_null(pack.library);
    false_answers.other_library = false;
    if (!ae_os_pack_open(&pack))
        skip();
    const size_t size = ae_os_pack_do(&pack, packed, sizeof packed, text, sizeof text);
    assert_true(size > 0 && size < sizeof text);
    assert_int_equal(ae_os_pack_do(&pack, packed, 3, text, sizeof text), 0);
    assert_true(ae_os_pack_undo(&pack, back, sizeof back, packed, size));
    assert_memory_equal(back, text, sizeof text);
    assert_false(ae_os_pack_undo(&pack, back, sizeof back - 1, packed, size));
    char longer[128];
    assert_false(ae_os_pack_undo(&pack, longer, sizeof longer, packed, size));
    pack.is_error = always_error;
    assert_int_equal(ae_os_pack_do(&pack, packed, sizeof packed, text, sizeof text), 0);
    assert_false(ae_os_pack_undo(&pack, back, sizeof back, packed, size));
    ae_os_pack_close(&pack);
    assert_null(pack.library);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_who_is_alive, answers_reset, answers_used),
    cmocka_unit_test_setup_teardown(test_where_proc_says_nothing, answers_reset, answers_used),
    cmocka_unit_test_setup_teardown(test_random_bytes_and_processors, answers_reset, answers_used),
    cmocka_unit_test_setup_teardown(test_memory_that_is_refused, answers_reset, answers_used),
    cmocka_unit_test_setup_teardown(test_huge_pages_that_are_refused, answers_reset, answers_used),
    cmocka_unit_test_setup_teardown(test_a_program_is_started, answers_reset, answers_used),
    cmocka_unit_test_setup_teardown(test_a_process_detaches, answers_reset, answers_used),
    cmocka_unit_test_setup_teardown(test_the_codes_own_file, answers_reset, answers_used),
    cmocka_unit_test_setup_teardown(test_a_thread_is_started, answers_reset, answers_used),
    cmocka_unit_test_setup_teardown(test_an_input, answers_reset, answers_used),
    cmocka_unit_test_setup_teardown(test_an_event, answers_reset, answers_used),
    cmocka_unit_test_setup_teardown(test_a_library_that_cannot_pack, answers_reset, answers_used),
};

AE_TEST_MAIN(tests)
