/* Forks at bad moments, and what a new program inherits.
 *
 * One thread forks, over and over, while others are somewhere inside the engine, each with a
 * transaction of its own.  The child has only the forking thread; it works with the inherited
 * handle, opens sessions of its own, forks again, closes everything or just ends.  Nothing of that
 * may touch the slots and pins of the parent, which goes on all the time.
 *
 * variants: plain
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>

#include "flights.h"

enum { THREADS = 3, FORKS = 120, KEYS = 8 };

typedef struct worker {
    aero_db *db;
    uint32_t number;
    uint64_t seed;
    _Atomic uint32_t *stop;
    uint64_t commits;
    const char *wrong;
} worker;

static const char *key_of(char name[32], uint32_t worker, uint32_t key)
{
    snprintf(name, 32, "w%u-%u", worker, key);
    return name;
}

/* Writes its keys alike, in a transaction; sees them alike, each time as it left them. */
static void *work(void *context)
{
    worker *self = context;
    aero_session *session = NULL;
    aero_error error;
    char name[32];
    if (aero_session_open(self->db, &session, &error) != AERO_OK) {
        self->wrong = "no session";
        return NULL;
    }
    for (int64_t turn = 1; atomic_load_explicit(self->stop, memory_order_relaxed) == 0; turn++) {
        aero_status status = aero_begin(session, AERO_ISOLATION_SERIALIZABLE);
        for (uint32_t key = 0; key < KEYS && status == AERO_OK; key++) {
            const int64_t seen = flight_get(session, key_of(name, self->number, key));
            if (seen != (turn == 1 ? FLIGHT_NONE : turn - 1))
                self->wrong = "a row is not as it was left";
            status = flight_put(session, name, turn);
        }
        if (status == AERO_OK)
            status = aero_commit(session);
        if (status == AERO_CONFLICT) { /* held up by the fork while it committed */
            (void)aero_rollback(session);
            turn--;
            continue;
        }
        if (status != AERO_OK || self->wrong != NULL) {
            self->wrong = self->wrong != NULL ? self->wrong : aero_session_error(session)->text;
            return NULL;
        }
        self->commits++;
    }
    aero_session_close(session);
    return NULL;
}

/* In a child: use what was inherited, in one of several ways; 0 is good. */
static int child_life(test_store *store, uint32_t turn)
{
    aero_session *fresh = NULL;
    char name[32];
    int status = 0;
    if (aero_session_open(store->db, &fresh, NULL) != AERO_OK)
        return 1;
    if (flight_put(fresh, flight_name(name, turn), turn) != AERO_OK)
        return 2;
    if (flight_put(store->session, "inherited", turn) != AERO_OK)
        return 3;
    if (turn % 4 == 1) {
        const pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(flight_put(fresh, "grandchild", turn) != AERO_OK);
        if (waitpid(grandchild, &status, 0) != grandchild || status != 0)
            return 4;
    }
    if (turn % 4 == 2) { /* ends inside; the one before it may still be cleared away by a thread */
        aero_status put = AERO_CONFLICT;
        while (put == AERO_CONFLICT && aero_begin(fresh, AERO_ISOLATION_SNAPSHOT) == AERO_OK) {
            put = flight_put(fresh, "left open", turn);
            if (put == AERO_CONFLICT && aero_rollback(fresh) != AERO_OK)
                return 6;
        }
        return put == AERO_OK ? 0 : 5;
    }
    aero_session_close(fresh);
    if (turn % 4 == 3)
        aero_session_close(store->session);
    return 0;
}

/* Goal: row P11.  Method: as described at the top. */
static void test_forks_in_the_middle_of_other_threads_calls(void **state)
{
    uint64_t random = test_seed("forks");
    test_store store;
    pthread_t threads[THREADS];
    worker workers[THREADS];
    _Atomic uint32_t stop = 0;
    (void)state;
    store_open(&store, 32 << 20);
    for (uint32_t number = 0; number < THREADS; number++) {
        workers[number] = (worker){
            .db = store.db, .number = number, .seed = next_random(&random), .stop = &stop};
        assert_int_equal(pthread_create(&threads[number], NULL, work, &workers[number]), 0);
    }
    for (uint32_t turn = 0; turn < FORKS; turn++) {
        fflush(NULL);
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            alarm(240);
            _exit(child_life(&store, turn));
        }
        child_join(child);
        assert_int_equal(flight_get(store.session, "inherited"), turn);
    }
    atomic_store_explicit(&stop, 1, memory_order_relaxed);
    for (uint32_t number = 0; number < THREADS; number++) {
        pthread_join(threads[number], NULL);
        if (workers[number].wrong != NULL)
            fail_msg("thread %u: %s", number, workers[number].wrong);
        assert_true(workers[number].commits > 0);
    }
    assert_int_equal(flight_get(store.session, "left open"), FLIGHT_NONE);
    assert_int_equal(row_count(store.session, FLIGHTS), THREADS * KEYS + FORKS + 2);
    store_close(&store);
}

/* Goal: a child that ends by exit(), with destructors and handles closed, takes nothing from its
 * parent's transaction.  Method: fork inside one; the child closes session and database. */
static void test_a_child_that_closes_everything_leaves_the_parents_transaction(void **state)
{
    test_store store;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    assert_ok(s, flight_put(s, "row", 1));
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
    assert_int_equal(flight_get(s, "row"), 1);
    assert_ok(s, flight_put(s, "row", 2));
    for (int round = 0; round < 20; round++) {
        fflush(NULL);
        const pid_t child = fork();
        if (child == 0) {
            aero_session *fresh = NULL;
            /* Its own write meets the parent's: refused, for the parent lives. */
            if (aero_session_open(store.db, &fresh, NULL) != AERO_OK ||
                aero_begin(fresh, AERO_ISOLATION_SNAPSHOT) != AERO_OK ||
                flight_put(fresh, "row", 99) != AERO_CONFLICT)
                _exit(1);
            aero_session_close(fresh);
            aero_session_close(s);
            if (aero_close(store.db, NULL) != AERO_OK)
                _exit(2);
            _exit(0);
        }
        child_join(child);
        assert_int_equal(stat_value(s, "slots_in_use"), 1);
        assert_int_equal(flight_get(s, "row"), 2);
    }
    assert_ok(s, aero_commit(s));
    assert_int_equal(flight_get(s, "row"), 2);
    store_close(&store);
}

/* Descriptors of this process that lead to the store, and lack close-on-exec. */
static uint32_t leaking_descriptors(const test_store *store, uint32_t *ours)
{
    DIR *folder = opendir("/proc/self/fd");
    uint32_t leaking = 0;
    assert_non_null(folder);
    for (struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder)) {
        char link[300];
        char target[300] = "";
        snprintf(link, sizeof link, "/proc/self/fd/%s", entry->d_name);
        if (readlink(link, target, sizeof target - 1) <= 0)
            continue;
        if (strstr(target, store->data_dir) == NULL && strstr(target, "aerostore") == NULL &&
            strstr(target, "(deleted)") == NULL)
            continue;
        *ours += 1;
        leaking += (fcntl(atoi(entry->d_name), F_GETFD) & FD_CLOEXEC) == 0;
    }
    closedir(folder);
    return leaking;
}

/* Goal: O_CLOEXEC; posix_spawn and vfork beside an open transaction.  Method: look at the flags;
 * start programs both ways that list their descriptors and mappings; the transaction goes on. */
static void test_a_new_program_inherits_nothing(void **state)
{
    extern char **environ;
    test_store store;
    char command[400];
    uint32_t ours = 0;
    (void)state;
    store_open(&store, 16 << 20);
    aero_session *s = store.session;
    assert_ok(s, aero_begin(s, AERO_ISOLATION_SERIALIZABLE));
    assert_ok(s, flight_put(s, "row", 1));
    assert_int_equal(leaking_descriptors(&store, &ours), 0);
    assert_true(ours > 0);
    snprintf(command, sizeof command, "ls -l /proc/self/fd; cat /proc/self/maps; exit 0");
    for (int round = 0; round < 20; round++) {
        char text[65536];
        int out[2];
        pid_t child = 0;
        size_t length = 0;
        char *const arguments[] = {"sh", "-c", command, NULL};
        assert_int_equal(pipe2(out, O_CLOEXEC), 0);
        if (round % 2 == 0) {
            posix_spawn_file_actions_t actions;
            posix_spawn_file_actions_init(&actions);
            posix_spawn_file_actions_adddup2(&actions, out[1], 1);
            assert_int_equal(posix_spawn(&child, "/bin/sh", &actions, NULL, arguments, environ), 0);
            posix_spawn_file_actions_destroy(&actions);
        } else if ((child = vfork()) == 0) {
            dup2(out[1], 1);
            execv("/bin/sh", arguments);
            _exit(127);
        }
        close(out[1]);
        for (ssize_t got; (got = read(out[0], text + length, sizeof text - 1 - length)) > 0;)
            length += (size_t)got;
        text[length] = '\0';
        close(out[0]);
        child_join(child);
        assert_true(length > 100);
        if (strstr(text, store.segment) != NULL || strstr(text, store.data_dir) != NULL)
            fail_msg("a new program has the store open:\n%s", text);
        assert_int_equal(flight_get(s, "row"), 1);
    }
    assert_ok(s, aero_commit(s));
    store_close(&store);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_forks_in_the_middle_of_other_threads_calls),
    cmocka_unit_test(test_a_child_that_closes_everything_leaves_the_parents_transaction),
    cmocka_unit_test(test_a_new_program_inherits_nothing),
};

AE_TEST_MAIN(tests)
