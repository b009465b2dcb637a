/* What the seam to the system makes of each answer about files, directories and locks.
 *
 * Strategy: the real calls, and some that a script lets fail or be interrupted (scripted.h).
 * Invariants: an interrupted call is made again; a failed one gives the system's error, no
 * descriptor is lost, and no file is left behind; errno is the caller's own.
 *
 * variants: plain
 * links: base
 */
#include "scripted.h"

#include <sys/sysmacros.h>

#include "base/os_file.h"
#include "base/os_store.h"
#include "base/os_wait.h"

/* ---- calls that answer otherwise than by failing -------------------------------------------- */

static struct {
    uint64_t large;      /* at this offset: as many bytes as are asked for, none touched */
    size_t asked;        /* most at once */
    uint32_t nothing;    /* writes that take nothing */
    size_t shorter;      /* most bytes of a call; 0: all */
    uint64_t device;     /* of what lstat finds; 0: the real one */
    bool birthless;      /* statx does not know when */
    const char *link_to; /* what readlink says */
} false_answers;

ssize_t pwrite(int fd, const void *data, size_t size, off_t at)
{
    if (fails("pwrite"))
        return -1;
    if (false_answers.nothing > 0) {
        false_answers.nothing--;
        return 0;
    }
    if (false_answers.large != 0 && (uint64_t)at >= false_answers.large) {
        false_answers.asked = size > false_answers.asked ? size : false_answers.asked;
        return (ssize_t)size;
    }
    if (false_answers.shorter != 0 && size > false_answers.shorter)
        size = false_answers.shorter;
    return REAL(pwrite)(fd, data, size, at);
}

ssize_t pread(int fd, void *data, size_t size, off_t at)
{
    if (fails("pread"))
        return -1;
    if (false_answers.large == 0 || (uint64_t)at < false_answers.large)
        return REAL(pread)(fd, data, size, at);
    false_answers.asked = size > false_answers.asked ? size : false_answers.asked;
    return (ssize_t)size;
}

int lstat(const char *path, struct stat *info)
{
    const int answer = fails("lstat") ? -1 : REAL(lstat)(path, info);
    if (answer == 0 && false_answers.device != 0)
        info->st_dev = false_answers.device;
    return answer;
}

int statx(int fd, const char *path, int flags, unsigned mask, struct statx *info)
{
    const int answer = fails("statx") ? -1 : REAL(statx)(fd, path, flags, mask, info);
    if (false_answers.birthless)
        info->stx_mask &= ~STATX_BTIME;
    return answer;
}

/* ---- a place -------------------------------------------------------------------------------- */

static char place[96];
static char path[128];
static uint32_t before;

static const char *in_place(const char *name)
{
    snprintf(path, sizeof path, "%s/%s", place, name);
    return path;
}

static int place_make(void **state)
{
    (void)state;
    const char *root = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";
    snprintf(place, sizeof place, "%s/aerostore-system-%d", root, (int)getpid());
    memset(&false_answers, 0, sizeof false_answers);
    assert_int_equal(mkdir(place, 0700), 0);
    before = descriptors();
    return 0;
}

/* Names in the place, at most one of which is kept in *name. */
static uint32_t names(char name[256])
{
    uint32_t count = 0;
    DIR *folder = opendir(place);
    assert_non_null(folder);
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        if (entry->d_name[0] != '.') {
            snprintf(name, 256, "%s", entry->d_name);
            count++;
        }
    closedir(folder);
    return count;
}

static int place_drop(void **state)
{
    (void)state;
    char name[256];
    script_ended();
    assert_int_equal(descriptors(), before);
    while (names(name) > 0)
        if (unlink(in_place(name)) != 0 && rmdir(in_place(name)) != 0)
            return -1;
    return rmdir(place);
}

/* ---- the segment's file and the directory --------------------------------------------------- */

/* Goal: an empty setting counts as none. */
static void test_an_empty_variable_is_none(void **state)
{
    (void)state;
    unsetenv("AEROSTORE_TEST_WORD");
    assert_null(ae_os_environment("AEROSTORE_TEST_WORD"));
    setenv("AEROSTORE_TEST_WORD", "", 1);
    assert_null(ae_os_environment("AEROSTORE_TEST_WORD"));
    setenv("AEROSTORE_TEST_WORD", "x", 1);
    assert_string_equal(ae_os_environment("AEROSTORE_TEST_WORD"), "x");
    unsetenv("AEROSTORE_TEST_WORD");
}

static int directory_found(const char *of, bool make)
{
    char *absolute = NULL;
    ae_os_file info;
    const int failure = ae_os_directory(of, make, &absolute, &info);
    assert_true((failure == 0) == (absolute != NULL));
    assert_true(failure != 0 || (info.directory && !info.regular));
    free(absolute);
    return failure;
}

static int directory(const char *of)
{
    return directory_found(of, true);
}

/* Goal: who must not make a directory makes none of those above it either. */
static void test_a_directory_is_left_unmade(void **state)
{
    (void)state;
    char deep[256];
    struct stat info;
    snprintf(deep, sizeof deep, "%s/none/below", place);
    assert_int_equal(directory_found(deep, false), ENOENT);
    snprintf(deep, sizeof deep, "%s/none", place);
    assert_int_equal(directory_found(deep, false), ENOENT);
    assert_true(stat(deep, &info) != 0 && errno == ENOENT);
    assert_int_equal(directory_found(place, false), 0);
}

/* Goal: a directory is made with all above it, or the error says why not. */
static void test_a_directory_is_made_or_refused(void **state)
{
    (void)state;
    char deep[256];
    char endless[PATH_MAX + 2];
    struct stat info;
    memset(endless, 'x', sizeof endless);
    endless[sizeof endless - 1] = '\0';
    snprintf(deep, sizeof deep, "%s/a/b", place);
    assert_int_equal(directory(""), ENOENT);
    assert_int_equal(directory(endless), ENAMETOOLONG);
    script("stat", 0, 1, ENOENT); /* a file system that judges names later */
    assert_int_equal(directory(endless), ENAMETOOLONG);
    assert_int_equal(directory("/proc/self/nothing/x"), ENOENT);
    assert_int_equal(directory("/proc/self/stat/x"), ENOTDIR);
    assert_int_equal(directory("/proc/self/stat"), ENOTDIR);
    script("mkdir", 0, 100, EROFS); /* above it nothing can be made, nor need be */
    assert_int_equal(directory(deep), EROFS);
    memset(scripted, 0, sizeof scripted);
    const mode_t mask = umask(0);
    assert_int_equal(directory(deep), 0);
    umask(mask);
    assert_int_equal(stat(deep, &info), 0);
    assert_int_equal(info.st_mode & 07777, 0700);
    static const char *const calls[] = {"realpath", "open", "fstat"};
    for (size_t index = 0; index < 3; index++) {
        script(calls[index], 0, 1, EIO);
        assert_int_equal(directory(deep), EIO);
    }
    assert_int_equal(rmdir(deep), 0);
}

/* Goal: a segment has no name while it is made, wherever its path leads. */
static void test_a_file_without_a_name(void **state)
{
    (void)state;
    char endless[PATH_MAX + 8];
    char name[256];
    struct stat info;
    int fd = -1;
    memset(endless, 'x', sizeof endless);
    endless[sizeof endless - 1] = '\0';
    endless[PATH_MAX + 4] = '/';
    assert_int_equal(ae_os_create_unnamed(endless, 4096, &fd), ENAMETOOLONG);
    assert_int_equal(ae_os_create_unnamed("/nothing/here", 4096, &fd), ENOENT);
    static const char *const calls[] = {"fchmod", "ftruncate"};
    for (size_t index = 0; index < 2; index++) {
        script(calls[index], 0, 1, EIO);
        assert_int_equal(ae_os_create_unnamed(in_place("x"), 4096, &fd), EIO);
        assert_int_equal(fd, -1);
    }
    /* A path of one word is in the working directory, and one below the root in the root. */
    char *const here = realpath(".", NULL);
    assert_int_equal(chdir(place), 0);
    assert_int_equal(ae_os_create_unnamed("x", 4096, &fd), 0);
    assert_int_equal(fstat(fd, &info), 0);
    assert_int_equal(info.st_size, 4096);
    assert_int_equal(info.st_nlink, 0);
    assert_int_equal(info.st_mode & 07777, 0600);
    assert_int_equal(ae_os_link(fd, "x"), 0);
    assert_int_equal(ae_os_link(fd, "x"), EEXIST);
    ae_os_close(fd);
    assert_int_equal(names(name), 1);
    assert_string_equal(name, "x");
    assert_int_equal(chdir(here), 0);
    free(here);
    script("open", 0, 1, EROFS);
    assert_int_equal(ae_os_create_unnamed("/x", 4096, &fd), EROFS);
    ae_os_close(-1);
}

/* Goal: looking at a file, reserving and reading it go on after a signal and tell of failures. */
static void test_the_segments_calls(void **state)
{
    (void)state;
    ae_os_file info;
    char data[8] = "";
    size_t done = 7;
    int fd = -1;
    assert_int_equal(ae_os_stat_path(in_place("x"), &info), ENOENT);
    assert_int_equal(ae_os_stat(-1, &info), EBADF);
    assert_int_equal(ae_os_create_unnamed(in_place("x"), 0, &fd), 0);
    script("fallocate", 0, 3, EINTR);
    assert_int_equal(ae_os_reserve(fd, 0, (256 << 10) + 4096), 0);
    assert_int_equal(ae_os_stat(fd, &info), 0);
    assert_int_equal(info.size, (256 << 10) + 4096);
    script("fallocate", 1, 1, ENOSPC);
    assert_int_equal(ae_os_reserve(fd, 0, 1 << 20), ENOSPC);
    script("pread", 0, 2, EINTR);
    assert_int_equal(ae_os_read_at(fd, info.size - 5, data, sizeof data, &done), 0);
    assert_int_equal(done, 5);
    script("pread", 0, 1, EIO);
    assert_int_equal(ae_os_read_at(fd, 0, data, sizeof data, &done), EIO);
    assert_int_equal(done, 0);
    ae_os_close(fd);
    assert_int_equal(ae_os_open_existing(in_place("x"), &fd), ENOENT);
}

/* ---- files of the data directory ------------------------------------------------------------ */

/* Goal: only a file that we alone could have made is written to. */
static void test_a_file_is_judged_by_its_descriptor(void **state)
{
    (void)state;
    int fd = -1;
    char name[256];
    assert_int_equal(ae_os_file_open(in_place("x"), AE_FILE_WRITE, &fd), ENOENT);
    const mode_t mask = umask(0777);
    assert_int_equal(ae_os_file_open(in_place("x"), AE_FILE_CREATE, &fd), 0);
    umask(mask);
    ae_os_file_close(fd);
    assert_int_equal(ae_os_file_open(in_place("x"), AE_FILE_CREATE, &fd), EEXIST);
    ae_os_file_close(fd); /* -1 */
    assert_int_equal(ae_os_file_open(in_place("x"), AE_FILE_WRITE, &fd), 0);
    assert_int_equal(fchmod(fd, 0640), 0);
    ae_os_file_close(fd);
    assert_int_equal(ae_os_file_open(in_place("x"), AE_FILE_WRITE, &fd), EPERM);
    assert_int_equal(fd, -1);
    assert_int_equal(ae_os_file_open(in_place("x"), AE_FILE_READ, &fd), 0);
    assert_int_equal(fchmod(fd, 0600), 0);
    ae_os_file_close(fd);
    char other[128];
    snprintf(other, sizeof other, "%s/y", place);
    assert_int_equal(link(in_place("x"), other), 0);
    assert_int_equal(ae_os_file_open(in_place("x"), AE_FILE_WRITE, &fd), EPERM);
    unlink(other);
    if (geteuid() == 0) {
        assert_int_equal(chown(in_place("x"), 65534, 65534), 0);
        assert_int_equal(ae_os_file_open(in_place("x"), AE_FILE_WRITE, &fd), EPERM);
    }
    assert_int_equal(symlink(path, other), 0);
    assert_int_equal(ae_os_file_open(other, AE_FILE_READ, &fd), ELOOP);
    unlink(other);
    assert_int_equal(ae_os_file_open(place, AE_FILE_READ, &fd), EPERM);
    script("fstat", 0, 1, EIO);
    assert_int_equal(ae_os_file_open(in_place("x"), AE_FILE_READ, &fd), EIO);
    script("fchmod", 0, 1, EIO);
    assert_int_equal(ae_os_file_open(in_place("z"), AE_FILE_CREATE, &fd), EIO);
    assert_int_equal(fd, -1);
    assert_int_equal(names(name), 2);
}

/* Goal: where files must have names, one has a name that nobody looks for, and then its own. */
static void test_a_file_system_that_knows_no_unnamed_files(void **state)
{
    (void)state;
    static const int failures[] = {EOPNOTSUPP, EISDIR, ENOENT};
    char name[256] = "";
    char endless[PATH_MAX];
    int fd = -1;
    for (size_t index = 0; index < 3; index++) {
        script("open", 0, 1, failures[index]);
        errno = 77;
        assert_int_equal(ae_os_file_unnamed(in_place("x"), &fd), 0);
        assert_int_equal(names(name), 1);
        assert_non_null(strstr(name, "x.part-"));
        assert_int_equal(ae_os_file_name(fd, in_place("x")), 0);
        assert_int_equal(errno, 77);
        assert_int_equal(names(name), 1);
        assert_string_equal(name, "x");
        assert_int_equal(ae_os_file_name(fd, in_place("x")), EEXIST);
        ae_os_file_close(fd);
        assert_int_equal(unlink(in_place("x")), 0);
    }
    script("open", 0, 1, EROFS);
    assert_int_equal(ae_os_file_unnamed(in_place("x"), &fd), EROFS);
    snprintf(endless, sizeof endless, "%s/%0*d", place, PATH_MAX - 10 - (int)strlen(place), 0);
    script("open", 0, 1, EOPNOTSUPP);
    assert_int_equal(ae_os_file_unnamed(endless, &fd), ENAMETOOLONG);
    /* A second name that cannot be found again stays, and does no harm. */
    static const char *const calls[] = {"fstat", "readlink"};
    for (size_t index = 0; index < 2; index++) {
        script("open", 0, 1, EOPNOTSUPP);
        assert_int_equal(ae_os_file_unnamed(in_place("x"), &fd), 0);
        script(calls[index], 0, 1, EIO);
        assert_int_equal(ae_os_file_name(fd, in_place("x")), 0);
        assert_int_equal(names(name), 2);
        ae_os_file_close(fd);
        while (names(name) > 0)
            assert_int_equal(unlink(in_place(name)), 0);
    }
    /* A second name of another kind is not ours to remove. */
    assert_int_equal(ae_os_file_open(in_place("y"), AE_FILE_CREATE, &fd), 0);
    assert_int_equal(ae_os_file_name(fd, in_place("x")), 0);
    assert_int_equal(names(name), 2);
    ae_os_file_close(fd);
}

/* Goal: a write is whole or an error, however the system cuts it. */
static void test_writes_are_whole_or_fail(void **state)
{
    (void)state;
    char data[100];
    char back[100];
    size_t done = 0;
    int fd = -1;
    for (size_t index = 0; index < sizeof data; index++)
        data[index] = (char)index;
    assert_int_equal(ae_os_file_open(in_place("x"), AE_FILE_CREATE, &fd), 0);
    script("pwrite", 1, 2, EINTR);
    false_answers.shorter = 7;
    errno = 77;
    assert_int_equal(ae_os_file_write(fd, 5, data, sizeof data), 0);
    false_answers.shorter = 0;
    script("pread", 0, 1, EINTR);
    assert_int_equal(ae_os_file_read(fd, 5, back, sizeof back, &done), 0);
    assert_int_equal(errno, 77);
    assert_int_equal(done, sizeof back);
    assert_memory_equal(back, data, sizeof data);
    assert_int_equal(ae_os_file_read(fd, 100, back, sizeof back, &done), 0);
    assert_int_equal(done, 5);
    script("pread", 0, 1, EIO);
    assert_int_equal(ae_os_file_read(fd, 5, back, sizeof back, &done), EIO);
    script("pwrite", 0, 1, EDQUOT);
    assert_int_equal(ae_os_file_write(fd, 0, data, sizeof data), EDQUOT);
    false_answers.nothing = 1;
    assert_int_equal(ae_os_file_write(fd, 0, data, sizeof data), ENOSPC);
    /* More than the kernel takes at once. */
    false_answers.large = 1 << 20;
    assert_int_equal(ae_os_file_write(fd, 1 << 20, data, ((size_t)5 << 29) + 1), 0);
    assert_int_equal(false_answers.asked, 1 << 30);
    false_answers.asked = 0;
    assert_int_equal(ae_os_file_read(fd, 1 << 20, back, ((size_t)5 << 29) + 1, &done), 0);
    assert_int_equal(false_answers.asked, 1 << 30);
    assert_int_equal(done, ((size_t)5 << 29) + 1);
    ae_os_file_close(fd);
}

static int no_more(void *context, const char *name)
{
    (void)name;
    return ++*(int *)context == 2 ? 42 : 0;
}

/* Goal: each failed change of a file or directory is told, and errno stays the caller's. */
static void test_failed_changes_are_told(void **state)
{
    (void)state;
    uint64_t size = 1;
    uint32_t links = 1;
    int seen = 0;
    int fd = -1;
    char other[128];
    snprintf(other, sizeof other, "%s/y", place);
    assert_int_equal(ae_os_file_open(in_place("x"), AE_FILE_CREATE, &fd), 0);
    errno = 77;
    script("fdatasync", 0, 1, EIO);
    assert_int_equal(ae_os_file_sync(fd), EIO);
    assert_int_equal(ae_os_file_sync(fd), 0);
    script("ftruncate", 0, 2, EINTR);
    assert_int_equal(ae_os_file_truncate(fd, 12), 0);
    script("ftruncate", 0, 1, EIO);
    assert_int_equal(ae_os_file_truncate(fd, 13), EIO);
    assert_int_equal(ae_os_file_state(fd, &size, &links), 0);
    assert_int_equal(size, 12);
    assert_int_equal(links, 1);
    script("fstat", 0, 1, EIO);
    assert_int_equal(ae_os_file_state(fd, &size, &links), EIO);
    assert_int_equal(size + links, 0);
    script("rename", 0, 1, EXDEV);
    assert_int_equal(ae_os_file_rename(in_place("x"), other), EXDEV);
    assert_int_equal(ae_os_file_rename(in_place("x"), other), 0);
    assert_int_equal(ae_os_file_unlink(in_place("x")), ENOENT);
    assert_int_equal(ae_os_directory_make(other), EEXIST);
    assert_int_equal(ae_os_directory_make(in_place("z")), 0);
    assert_int_equal(ae_os_directory_sync(place), 0);
    assert_int_equal(ae_os_directory_sync(in_place("none")), ENOENT);
    script("fsync", 0, 1, EIO);
    assert_int_equal(ae_os_directory_sync(place), EIO);
    assert_int_equal(ae_os_directory_list(in_place("none"), no_more, &seen), ENOENT);
    assert_int_equal(ae_os_directory_list(place, no_more, &seen), 42);
    assert_int_equal(seen, 2);
    script("readdir", 0, 1, EIO);
    assert_int_equal(ae_os_directory_list(place, no_more, &seen), EIO);
    assert_int_equal(errno, 77);
    ae_os_file_close(fd);
}

/* ---- locks ---------------------------------------------------------------------------------- */

/* Goal: a lock file is a regular file, and the one that the path names. */
static void test_a_lock_file_is_the_one_that_is_named(void **state)
{
    (void)state;
    char other[128];
    int fd = -1;
    int stranger = -1;
    snprintf(other, sizeof other, "%s/y", place);
    assert_int_equal(mkfifo(other, 0600), 0);
    assert_int_equal(ae_os_lock_open(other, &fd), EINVAL);
    assert_int_equal(fd, -1);
    assert_int_equal(ae_os_lock_open(place, &fd), EISDIR);
    script("fstat", 0, 1, EIO);
    assert_int_equal(ae_os_lock_open(in_place("x"), &fd), EINVAL);
    assert_int_equal(ae_os_lock_open(in_place("x"), &fd), 0);
    assert_true(ae_os_lock_current(in_place("x"), fd));
    script("fstat", 0, 1, EIO);
    assert_false(ae_os_lock_current(in_place("x"), fd));
    false_answers.device = makedev(7, 7); /* another file system has come to lie over it */
    assert_false(ae_os_lock_current(in_place("x"), fd));
    false_answers.device = 0;
    assert_int_equal(rename(in_place("x"), other), 0);
    assert_false(ae_os_lock_current(in_place("x"), fd));
    assert_int_equal(ae_os_lock_open(in_place("x"), &stranger), 0);
    assert_false(ae_os_lock_current(in_place("x"), fd));
    ae_os_close(stranger);
    ae_os_close(fd);
}

/* Goal: a lock that another has is EAGAIN; a signal changes nothing; what else fails is told. */
static void test_a_lock_is_taken_by_one(void **state)
{
    (void)state;
    int fd = -1;
    int other = -1;
    assert_int_equal(ae_os_lock_open(in_place("x"), &fd), 0);
    assert_int_equal(ae_os_lock_open(in_place("x"), &other), 0);
    script("fcntl", 0, 2, EINTR);
    assert_int_equal(ae_os_lock_take(fd, 3), 0);
    assert_int_equal(ae_os_lock_take(other, 3), EAGAIN);
    assert_int_equal(ae_os_lock_take(other, 4), 0);
    script("fcntl", 0, 1, EACCES); /* as some systems say it */
    assert_int_equal(ae_os_lock_take(other, 3), EAGAIN);
    script("fcntl", 0, 1, ENOLCK);
    assert_int_equal(ae_os_lock_take(other, 3), ENOLCK);
    ae_os_lock_drop(fd, 3);
    assert_int_equal(ae_os_lock_take(other, 3), 0);
    ae_os_close(other);
    ae_os_close(fd);
    assert_int_equal(ae_os_directory_open(in_place("none"), &fd), ENOENT);
    assert_int_equal(ae_os_directory_open(place, &fd), 0);
    assert_int_equal(ae_os_directory_open(place, &other), 0);
    script("flock", 0, 2, EINTR);
    assert_int_equal(ae_os_directory_lock(fd, true), 0);
    assert_int_equal(ae_os_directory_lock(other, false), EAGAIN);
    script("flock", 0, 1, ENOLCK);
    assert_int_equal(ae_os_directory_lock(other, false), ENOLCK);
    ae_os_directory_unlock(fd);
    assert_int_equal(ae_os_directory_lock(other, false), 0);
    /* When the directory was made, if the system tells. */
    assert_int_equal(ae_os_directory_birth(fd), ae_os_directory_birth(other));
    script("statx", 0, 1, ENOSYS);
    assert_int_equal(ae_os_directory_birth(fd), 0);
    false_answers.birthless = true;
    assert_int_equal(ae_os_directory_birth(fd), 0);
    ae_os_close(other);
    ae_os_close(fd);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test_setup_teardown(test_an_empty_variable_is_none, place_make, place_drop),
    cmocka_unit_test_setup_teardown(test_a_directory_is_left_unmade, place_make, place_drop),
    cmocka_unit_test_setup_teardown(test_a_directory_is_made_or_refused, place_make, place_drop),
    cmocka_unit_test_setup_teardown(test_a_file_without_a_name, place_make, place_drop),
    cmocka_unit_test_setup_teardown(test_the_segments_calls, place_make, place_drop),
    cmocka_unit_test_setup_teardown(test_a_file_is_judged_by_its_descriptor, place_make,
                                    place_drop),
    cmocka_unit_test_setup_teardown(test_a_file_system_that_knows_no_unnamed_files, place_make,
                                    place_drop),
    cmocka_unit_test_setup_teardown(test_writes_are_whole_or_fail, place_make, place_drop),
    cmocka_unit_test_setup_teardown(test_failed_changes_are_told, place_make, place_drop),
    cmocka_unit_test_setup_teardown(test_a_lock_file_is_the_one_that_is_named, place_make,
                                    place_drop),
    cmocka_unit_test_setup_teardown(test_a_lock_is_taken_by_one, place_make, place_drop),
};

AE_TEST_MAIN(tests)
