/* session.c — attaching to a database, and sessions on it. */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "txn/db.h"
#include "txn/txn.h"

#define FORK_EPOCH_FIRST 1u
#define PRIVATE_AFTER_FORK "a database in private memory belongs to the process that opened it"

/* ---- sessions ------------------------------------------------------------------------------- */

aero_error *ae_session_error_buffer(aero_session *session)
{
    return &session->error;
}

char *ae_session_text(aero_session *session, size_t size)
{
    if (size > session->text_capacity) {
        const size_t capacity = size < 4096 ? 4096 : size;
        char *grown = realloc(session->text, capacity);
        if (grown == NULL)
            return NULL;
        session->text = grown;
        session->text_capacity = capacity;
    }
    return session->text;
}

const aero_table *ae_session_table(const aero_session *session, uint32_t table)
{
    return &session->db->schema->tables[table];
}

uint32_t ae_session_table_count(const aero_session *session)
{
    return session->db->schema->table_count;
}

void ae_session_adopt(aero_session *session, ae_session_child *child)
{
    child->next = session->children;
    child->back = &session->children;
    if (session->children != NULL)
        session->children->back = &child->next;
    session->children = child;
}

void ae_session_disown(ae_session_child *child)
{
    if (child->back == NULL)
        return;
    *child->back = child->next;
    if (child->next != NULL)
        child->next->back = child->back;
    child->back = NULL;
    child->next = NULL;
}

/* First use in a child of fork(): the slot, pin and member are the parent's, which goes on using
 * them. */
static aero_status session_after_fork(aero_session *session)
{
    aero_db *db = session->db;
    const bool had_transaction = session->txn.open;
    if (db->segment.fd < 0)
        return ae_fail(&session->error, AERO_STALE, PRIVATE_AFTER_FORK);
    const aero_status status = ae_member_claim(&db->proc, &session->member, &session->error);
    if (status != AERO_OK)
        return status;
    session->fork_epoch = ae_load64_acquire(&db->fork_epoch);
    session->slot_hint = session->member % AE_SLOTS;
    session->random = (ae_os_monotonic_ns() ^ (uint64_t)session->member << 40) | 1;
    session->reclaim_debt = 0;
    session->txn.open = false;
    session->txn.doomed = false;
    session->txn.cancelled = false;
    session->txn.awake = 0;
    session->txn.intent_count = 0;
    session->latch_count = 0;
    memset(&session->hot, 0, sizeof session->hot);
    ae_reads_clear(&session->txn.reads);
    while (session->txn.readers != NULL) {
        session->txn.readers->stale = true;
        ae_txn_unwatch(session->txn.readers);
    }
    while (session->txn.savepoint_count > 0)
        free(session->txn.savepoints[--session->txn.savepoint_count].name);
    if (had_transaction)
        return ae_fail(&session->error, AERO_STALE,
                       "the open transaction belongs to the parent process; the child has none");
    return AERO_OK;
}

/* In a child of fork() that has not used the database yet, a new generation of sessions begins. */
static void db_renew(aero_db *db)
{
    uint64_t none = 0;
    /* Of several threads of a fresh child one moves the epoch (0 → 2 → 1), the others wait for
     * that. */
    if (atomic_compare_exchange_strong_explicit(db->fork_guard, &none, 2, memory_order_acq_rel,
                                                memory_order_acquire)) {
        ae_add64(&db->fork_epoch, 1);
        /* Release: pairs with the acquire below and with the guard's readers. */
        atomic_store_explicit(db->fork_guard, 1, memory_order_release);
    }
    while (atomic_load_explicit(db->fork_guard, memory_order_acquire) == 2)
        ae_pause();
}

static aero_status session_renew(aero_session *session)
{
    aero_db *db = session->db;
    db_renew(db);
    if (session->fork_epoch != ae_load64_acquire(&db->fork_epoch))
        return session_after_fork(session);
    return AERO_OK;
}

aero_status ae_session_enter(aero_session *session)
{
    if (session == NULL || session->magic != AE_SESSION_MAGIC)
        return AERO_STALE;
    if (!pthread_equal(session->thread, pthread_self()))
        return AERO_STALE; /* its error buffer is another thread's: the code alone must do */
    session->error.code = AERO_OK;
    /* Relaxed: the word changes only at fork, before this thread can look. */
    if (__builtin_expect(atomic_load_explicit(session->db->fork_guard, memory_order_relaxed) == 0 ||
                             session->fork_epoch != ae_load64(&session->db->fork_epoch),
                         0))
        return session_renew(session);
    if (__builtin_expect(ae_load32(&session->db->segment.header->poisoned) != 0, 0))
        return ae_fail(&session->error, AERO_PANIC,
                       "the segment was found damaged and takes no more work");
    return AERO_OK;
}

static uint32_t largest_row(const struct aero_schema *schema)
{
    uint32_t largest = 0;
    for (uint32_t table = 0; table < schema->table_count; table++)
        if (schema->tables[table].row_size > largest)
            largest = schema->tables[table].row_size;
    return largest;
}

aero_status ae_session_new(aero_db *db, aero_session **out, aero_error *error)
{
    const size_t row = (largest_row(db->schema) + 63) & ~(size_t)63;
    aero_session *session = calloc(1, sizeof *session);
    char *rows = calloc(2, row);
    *out = NULL;
    if (session == NULL || rows == NULL) {
        free(session);
        free(rows);
        return ae_fail(error, AERO_NO_MEMORY, "no memory for a session");
    }
    session->db = db;
    session->thread = pthread_self();
    session->row = rows;
    session->key_row = rows + row;
    ae_error_clear(&session->error);
    session->magic = AE_SESSION_MAGIC;
    db_renew(db);
    session->fork_epoch = ae_load64(&db->fork_epoch);
    const aero_status status = db->segment.fd < 0 && session->fork_epoch != FORK_EPOCH_FIRST
                                   ? ae_fail(error, AERO_STALE, PRIVATE_AFTER_FORK)
                                   : ae_member_claim(&db->proc, &session->member, error);
    if (status != AERO_OK) {
        free(rows);
        free(session);
        return status;
    }
    session->slot_hint = session->member % AE_SLOTS;
    session->random = (ae_os_monotonic_ns() ^ (uint64_t)session->member << 40) | 1;
    ae_add32(&db->sessions, 1);
    *out = session;
    return AERO_OK;
}

void ae_session_free(aero_session *session)
{
    aero_db *db = session->db;
    while (session->children != NULL) {
        ae_session_child *child = session->children;
        ae_session_disown(child);
        child->close(child);
    }
    const bool own = atomic_load_explicit(db->fork_guard, memory_order_acquire) != 0 &&
                     session->fork_epoch == ae_load64(&db->fork_epoch);
    if (own && session->txn.open)
        ae_txn_rollback(session);
    if (own)
        ae_member_release(&db->proc, session->member);
    while (session->txn.savepoint_count > 0)
        free(session->txn.savepoints[--session->txn.savepoint_count].name);
    free(session->txn.savepoints);
    ae_reads_free(&session->txn.reads);
    ae_add32(&db->sessions, 0u - 1u);
    session->magic = 0;
    if (session->entry_batch != NULL)
        session->entry_batch_free(session->entry_batch);
    free(session->row);
    free(session->text);
    free(session->key_text);
    free(session->stats);
    free(session);
}

/* ---- databases ------------------------------------------------------------------------------ */

/* FNV-1a over the sizes and constants that two builds of the engine must share to use one
 * segment. */
static uint64_t layout_fingerprint(void)
{
    const uint64_t parts[] = {AERO_ABI,
                              sizeof(ae_segment_header),
                              sizeof(ae_pool),
                              sizeof(ae_slab),
                              sizeof(ae_cache),
                              sizeof(ae_magazine),
                              sizeof(ae_slot),
                              sizeof(ae_member),
                              AE_SLOTS,
                              AE_MEMBERS,
                              sizeof(ae_proc_shared),
                              sizeof(ae_queue_entry),
                              sizeof(ae_shard),
                              sizeof(ae_version),
                              sizeof(ae_anchor),
                              sizeof(ae_hash_root),
                              sizeof(ae_catalog_table),
                              AE_PAGE_SHIFT,
                              AE_MAGAZINE_MAX,
                              ae_heap_class_count(),
                              AE_MARK_SEQUENCE_BITS,
                              AE_INTENTS_INLINE,
                              AE_INTENTS_CHUNK,
                              AE_SLAB_PAGES_MAX,
                              AE_SLABS_PER_SIZE};
    uint64_t hash = 1469598103934665603ull;
    for (size_t index = 0; index < sizeof parts / sizeof parts[0]; index++)
        hash = (hash ^ parts[index]) * 1099511628211ull;
    return hash;
}

static void version_sizes(const struct aero_schema *schema, uint32_t *sizes)
{
    for (uint32_t table = 0; table < schema->table_count; table++)
        sizes[table] = ae_version_size(&schema->tables[table]);
}

/* The fixed structures of a new segment, in order. */
static aero_status db_carve(aero_db *db, aero_error *error)
{
    const struct aero_schema *schema = db->schema;
    uint32_t sizes[AE_TABLES_MAX];
    version_sizes(schema, sizes);
    aero_status status = ae_proc_create(&db->segment, error);
    if (status == AERO_OK)
        status = ae_queue_create(&db->segment, error);
    if (status == AERO_OK)
        status = ae_heap_create(&db->segment, schema->table_count, sizes, error);
    if (status != AERO_OK)
        return status;
    const ae_ref root = ae_segment_carve(&db->segment, schema->table_count * sizeof(ae_hash_root));
    if (root == 0)
        return ae_fail(error, AERO_FULL, "no room for the tables");
    db->segment.header->roots[AE_ROOT_TABLES] = root;
    ae_hash_root *roots = ae_at(&db->segment, root);
    for (uint32_t table = 0; table < schema->table_count && status == AERO_OK; table++)
        status = ae_hash_create(&db->segment, &roots[table], schema->table_count, error);
    if (status == AERO_OK)
        status = ae_catalog_create(&db->segment, schema->tables, schema->table_count, error);
    return status;
}

static aero_status db_views(aero_db *db, aero_error *error)
{
    const struct aero_schema *schema = db->schema;
    uint32_t sizes[AE_TABLES_MAX];
    version_sizes(schema, sizes);
    aero_status status = ae_heap_open(&db->heap, &db->segment, schema->table_count, sizes, error);
    if (status == AERO_OK)
        status = ae_proc_open(&db->proc, &db->heap, error);
    if (status == AERO_OK)
        status = ae_queue_open(&db->queue, &db->proc, error);
    ae_hash_root *roots = ae_at(&db->segment, db->segment.header->roots[AE_ROOT_TABLES]);
    for (uint32_t table = 0; table < schema->table_count && status == AERO_OK; table++)
        status = ae_hash_open(&db->hashes[table], &db->proc, &roots[table], table, error);
    if (status == AERO_OK)
        status = ae_catalog_open(&db->catalog, &db->proc, schema->tables, schema->table_count,
                                 error);
    return status;
}

/* Attach, or create and publish; when somebody else publishes first, attach after all. */
static aero_status db_segment(aero_db *db, const ae_segment_spec *spec, aero_error *error)
{
    for (int round = 0; round < 16; round++) {
        bool missing = spec->path == NULL;
        bool exists = false;
        aero_status status = AERO_OK;
        if (spec->path != NULL)
            status = ae_segment_attach(spec, &db->segment, &missing, error);
        if (!missing)
            return status;
        status = ae_segment_create(spec, &db->segment, error);
        if (status == AERO_OK)
            status = db_carve(db, error);
        if (status == AERO_OK)
            status = ae_segment_publish(&db->segment, spec, &exists, error);
        if (status == AERO_OK && !exists)
            return AERO_OK;
        if (db->segment.base != NULL)
            ae_segment_detach(&db->segment);
        if (status != AERO_OK)
            return status;
    }
    return ae_fail(error, AERO_IO, "segment %s is made and removed all the time", spec->path);
}

static char *db_default_path(const struct aero_schema *schema, const ae_os_file *directory)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "/dev/shm/aerostore-%u-%s-%llx-%llx", ae_os_user(), schema->package,
             (unsigned long long)directory->device, (unsigned long long)directory->inode);
    return strdup(path);
}

static aero_status db_profile(aero_db *db, const aero_open_options *options, bool *private,
                              aero_error *error)
{
    static const char *const profiles[] = {"shared", "embedded", "logical"};
    const char *profile = options->profile != NULL ? options->profile : profiles[0];
    db->profile = NULL;
    for (size_t index = 0; index < sizeof profiles / sizeof profiles[0]; index++)
        if (strcmp(profile, profiles[index]) == 0)
            db->profile = profiles[index];
    if (db->profile == NULL)
        return ae_fail(error, AERO_USAGE,
                       "unknown profile \"%.64s\": must be shared, embedded or logical", profile);
    *private = strcmp(db->profile, "embedded") == 0;
    if (options->memory != NULL) {
        if (strcmp(options->memory, "private") != 0 && strcmp(options->memory, "shared") != 0)
            return ae_fail(error, AERO_USAGE, "unknown memory \"%.64s\": must be shared or private",
                           options->memory);
        *private = strcmp(options->memory, "private") == 0;
    }
    return AERO_OK;
}

static aero_status db_setup(aero_db *db, const aero_open_options *options, aero_error *error)
{
    ae_os_file directory;
    bool private = false;
    aero_status status = db_profile(db, options, &private, error);
    if (status != AERO_OK)
        return status;
    if (options->data_dir == NULL || options->data_dir[0] == '\0')
        return ae_fail(error, AERO_USAGE, "a data directory is needed");
    const int failure = ae_os_directory(options->data_dir, &db->data_dir, &directory);
    if (failure != 0)
        return ae_fail_errno(error, AERO_IO, failure, "cannot use %.500s as data directory",
                             options->data_dir);
    const char *path = options->shm_path != NULL ? options->shm_path
                                                 : ae_os_environment("AEROSTORE_SHM_PATH");
    if (!private) {
        db->shm_path = path != NULL ? strdup(path) : db_default_path(db->schema, &directory);
        if (db->shm_path == NULL)
            return ae_fail(error, AERO_NO_MEMORY, "no memory for a path");
        if (strlen(db->shm_path) >= PATH_MAX)
            return ae_fail(error, AERO_IO, "the segment's path is longer than %d bytes",
                           PATH_MAX - 1);
    }
    const ae_segment_spec spec = {.path = db->shm_path,
                                  .size = options->size != 0 ? options->size : AE_SEGMENT_DEFAULT,
                                  .schema_fingerprint = db->schema->fingerprint,
                                  .layout_fingerprint = layout_fingerprint(),
                                  .data_device = directory.device,
                                  .data_inode = directory.inode};
    status = db_segment(db, &spec, error);
    if (status == AERO_OK)
        status = db_views(db, error);
    return status;
}

aero_status ae_db_open(const aero_open_options *options, aero_db **out, aero_error *error)
{
    const struct aero_schema *schema = aero_schema();
    *out = NULL;
    if (schema->codegen_abi != AERO_CODEGEN_ABI || schema->table_count == 0 ||
        schema->table_count > AE_TABLES_MAX)
        return ae_fail(error, AERO_SCHEMA,
                       "the compiled schema does not fit this engine (%u tables)",
                       schema->table_count);
    aero_db *db = calloc(1, sizeof *db);
    if (db == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory for a database");
    db->schema = schema;
    db->segment.fd = -1;
    db->hashes = calloc(schema->table_count, sizeof *db->hashes);
    db->fork_guard = (_Atomic uint64_t *)ae_os_fork_guard_new();
    ae_store32(&db->synchronous_commit, 1);
    ae_store64(&db->checkpoint_interval_secs, 300);
    ae_store64(&db->escalate_after, AE_ESCALATE_AFTER);
    ae_store64(&db->lock_timeout_ms, AE_LOCK_TIMEOUT_MS);
    aero_status status = db->hashes == NULL || db->fork_guard == NULL
                             ? ae_fail(error, AERO_NO_MEMORY, "no memory for a database")
                             : db_setup(db, options, error);
    if (status == AERO_OK) {
        atomic_store_explicit(db->fork_guard, 1, memory_order_release);
        ae_store64(&db->fork_epoch, FORK_EPOCH_FIRST);
        uint32_t member = 0;
        if (!db->segment.created &&
            (status = ae_member_claim(&db->proc, &member, error)) == AERO_OK) {
            db->orphans_cleared = ae_reap_all(db, member);
            ae_member_release(&db->proc, member);
        }
    }
    if (status != AERO_OK) {
        ae_db_free(db);
        return status;
    }
    *out = db;
    return AERO_OK;
}

void ae_db_free(aero_db *db)
{
    if (db->segment.base != NULL)
        ae_segment_detach(&db->segment);
    ae_os_fork_guard_free((uint64_t *)db->fork_guard);
    for (ae_index_name *name = atomic_load_explicit(&db->index_names, memory_order_relaxed);
         name != NULL;) { /* relaxed: nobody else has the handle any more */
        ae_index_name *next = name->next;
        free(name);
        name = next;
    }
    free(db->hashes);
    free(db->data_dir);
    free(db->shm_path);
    free(db);
}
