/* db.c — attaching to a database: its segment is found, or made, filled and only then named.
 *
 * A new segment has no name until it is complete, so nobody can meet a half-filled one, and the
 * death of whoever fills it leaves nothing behind.  Several may fill one each at once; the first to
 * give it the name wins, and the others attach to that.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/os.h"
#include "base/os_store.h"
#include "txn/age.h"
#include "txn/db.h"
#include "txn/txn.h"

static const char *const profiles[AE_PROFILES] = {"shared", "embedded", "logical"};

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
                              sizeof(ae_settings),
                              AE_LOG_SYNC_TIMES,
                              sizeof(ae_age_shared),
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

static aero_status settings_carve(aero_db *db, aero_error *error)
{
    const ae_ref root = ae_segment_carve(&db->segment, sizeof(ae_settings));
    if (root == 0)
        return ae_fail(error, AERO_FULL, "no room for the settings");
    db->segment.header->roots[AE_ROOT_SETTINGS] = root;
    ae_settings *settings = ae_at(&db->segment, root);
    settings->profile = db->profile_kind;
    ae_store64(&settings->checkpoint_interval_secs, AE_CHECKPOINT_INTERVAL_SECS);
    ae_store64(&settings->checkpoint_wal_bytes, AE_CHECKPOINT_LOG_BYTES);
    ae_store64(&settings->checkpoint_rest_percent, AE_CHECKPOINT_REST_PERCENT);
    ae_store64(&settings->flush_interval_ms, AE_FLUSH_INTERVAL_MS);
    ae_store64(&settings->ttl_sweep_interval_ms, AE_TTL_SWEEP_INTERVAL_MS);
    ae_store64(&settings->checkpoint_ns, ae_os_monotonic_ns());
    return ae_age_create(&db->segment, db->schema, &settings->age, error);
}

static aero_status settings_open(aero_db *db, aero_error *error)
{
    const ae_ref root = db->segment.header->roots[AE_ROOT_SETTINGS];
    const uint64_t end = ((uint64_t)root << 4) + sizeof(ae_settings);
    if (root == 0 || end > (uint64_t)db->segment.header->first_page << AE_PAGE_SHIFT)
        return ae_fail(error, AERO_CORRUPT, "the segment's settings lie outside");
    db->settings = ae_at(&db->segment, root);
    const uint64_t age_end = ((uint64_t)db->settings->age << 4) + sizeof(ae_age_shared);
    if (db->settings->age == 0 || age_end > (uint64_t)db->segment.header->first_page
                                                << AE_PAGE_SHIFT)
        return ae_fail(error, AERO_CORRUPT, "the segment's marks of time lie outside");
    db->age = ae_at(&db->segment, db->settings->age);
    if (db->settings->profile != db->profile_kind)
        return ae_fail(error, AERO_MISMATCH, "the database has the profile %s, not %s",
                       db->settings->profile < AE_PROFILES ? profiles[db->settings->profile] : "?",
                       db->profile);
    return AERO_OK;
}

/* The tables' key directories, and behind them what each slot has added to their rows. */
static uint64_t tables_size(const struct aero_schema *schema)
{
    return schema->table_count * sizeof(ae_hash_root) +
           (uint64_t)AE_SLOTS * ae_row_counts_stride(schema->table_count) * sizeof(ae_a64);
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
        status = ae_log_create(&db->segment, error);
    if (status == AERO_OK)
        status = ae_heap_create(&db->segment, schema->table_count, sizes, error);
    if (status != AERO_OK)
        return status;
    const ae_ref root = ae_segment_carve(&db->segment, tables_size(schema));
    if (root == 0)
        return ae_fail(error, AERO_FULL, "no room for the tables");
    db->segment.header->roots[AE_ROOT_TABLES] = root;
    status = settings_carve(db, error);
    ae_hash_root *roots = ae_at(&db->segment, root);
    for (uint32_t table = 0; table < schema->table_count && status == AERO_OK; table++)
        status = ae_hash_create(&db->segment, &roots[table], schema->table_count, error);
    if (status == AERO_OK)
        status = ae_catalog_create(&db->segment, schema->tables, schema->table_count, error);
    return status;
}

static aero_status db_views(aero_db *db, const ae_db_boot *boot, aero_error *error)
{
    const struct aero_schema *schema = db->schema;
    uint32_t sizes[AE_TABLES_MAX];
    version_sizes(schema, sizes);
    aero_status status = ae_heap_open(&db->heap, &db->segment, schema->table_count, sizes, error);
    if (status == AERO_OK)
        status = ae_proc_open(&db->proc, &db->heap, error);
    if (status == AERO_OK)
        status = ae_queue_open(&db->queue, &db->proc, error);
    if (status == AERO_OK)
        status = settings_open(db, error);
    if (status == AERO_OK)
        status = ae_log_open(&db->log, &db->proc, schema, boot->stack, db->data_dir, boot->log_name,
                             ae_queue_log_owner, &db->queue, error);
    const ae_ref root = db->segment.header->roots[AE_ROOT_TABLES];
    if (status == AERO_OK && ((uint64_t)root << 4) + tables_size(schema) >
                                 (uint64_t)db->segment.header->first_page << AE_PAGE_SHIFT)
        status = ae_fail(error, AERO_CORRUPT, "the segment's tables lie outside");
    ae_hash_root *roots = ae_at(&db->segment, root);
    db->row_counts = (ae_a64 *)(void *)(roots + schema->table_count);
    for (uint32_t table = 0; table < schema->table_count && status == AERO_OK; table++) {
        db->hashes[table].near = &db->near[table];
        status = ae_hash_open(&db->hashes[table], &db->proc, &roots[table], table, error);
    }
    if (status == AERO_OK)
        status = ae_catalog_open(&db->catalog, &db->proc, schema->tables, schema->table_count,
                                 error);
    return status;
}

/* Make a segment, have it filled, and name it.  *exists: somebody else was first, and nothing is
 * kept. */
static aero_status db_create(aero_db *db, const ae_db_boot *boot, bool *exists, aero_error *error)
{
    aero_status status = ae_segment_create(&db->spec, &db->segment, error);
    *exists = false;
    if (status == AERO_OK)
        status = db_carve(db, error);
    if (status == AERO_OK)
        status = ae_segment_seal(&db->segment, error);
    if (status == AERO_OK)
        status = db_views(db, boot, error);
    if (status == AERO_OK && boot->fill != NULL)
        status = boot->fill(boot->context, db, exists, error);
    AE_CRASH_POINT("segment.filled");
    if (status == AERO_OK && !*exists)
        status = ae_segment_name(&db->segment, &db->spec, exists, error);
    if ((status != AERO_OK || *exists) && db->segment.base != NULL)
        ae_segment_detach(&db->segment);
    return status;
}

/* Attach, or create and name; when somebody else names one first, attach after all. */
static aero_status db_segment(aero_db *db, const ae_db_boot *boot, aero_error *error)
{
    for (int round = 0; round < 16; round++) {
        bool missing = db->spec.path == NULL;
        bool exists = false;
        aero_status status = AERO_OK;
        if (db->spec.path != NULL)
            status = ae_segment_attach(&db->spec, &db->segment, &missing, error);
        if (!missing && status == AERO_OK)
            status = db_views(db, boot, error);
        if (!missing && status == AERO_OK && boot->attached != NULL)
            status = boot->attached(boot->context, db, &missing, error);
        if (missing && db->segment.base != NULL)
            ae_segment_detach(&db->segment);
        if (!missing)
            return status;
        status = db_create(db, boot, &exists, error);
        if (status != AERO_OK || !exists)
            return status;
    }
    return ae_fail(error, AERO_IO, "segment %s is made and removed all the time", db->spec.path);
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
    const char *profile = options->profile != NULL ? options->profile : profiles[0];
    db->profile = NULL;
    for (int index = 0; index < AE_PROFILES; index++)
        if (strcmp(profile, profiles[index]) == 0) {
            db->profile = profiles[index];
            db->profile_kind = (enum ae_profile)index;
        }
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
    const bool make = options->must_exist == 0;
    const int failure = ae_os_directory(options->data_dir, make, &db->data_dir, &directory);
    if (!make && (failure == ENOENT || failure == ENOTDIR))
        return ae_fail_errno(error, AERO_NOT_FOUND, failure, "there is no database at %.500s",
                             options->data_dir);
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
    db->spec = (ae_segment_spec){.path = db->shm_path,
                                 .size = options->size != 0 ? options->size : AE_SEGMENT_DEFAULT,
                                 .schema_fingerprint = db->schema->fingerprint,
                                 .layout_fingerprint = layout_fingerprint(),
                                 .data_device = directory.device,
                                 .data_inode = directory.inode};
    return AERO_OK;
}

aero_status ae_db_new(const aero_open_options *options, aero_db **out, aero_error *error)
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
    db->near = calloc(schema->table_count, sizeof *db->near);
    db->fork_guard = (_Atomic uint64_t *)ae_os_fork_guard_new();
    ae_store32(&db->synchronous_commit, 1);
    ae_store64(&db->escalate_after, AE_ESCALATE_AFTER);
    ae_store64(&db->lock_timeout_ms, AE_LOCK_TIMEOUT_MS);
    aero_status status = db->hashes == NULL || db->near == NULL || db->fork_guard == NULL
                             ? ae_fail(error, AERO_NO_MEMORY, "no memory for a database")
                             : db_setup(db, options, error);
    if (status != AERO_OK) {
        ae_db_free(db);
        return status;
    }
    atomic_store_explicit(db->fork_guard, 1, memory_order_release);
    ae_store64(&db->fork_epoch, AE_FORK_EPOCH_FIRST);
    *out = db;
    return AERO_OK;
}

/* Has anybody died in a transaction?  Asked first: a line in the table of members, which clearing
 * needs, costs a quarter of an attach. */
static bool has_orphans(const aero_db *db)
{
    const uint32_t high = ae_load32_acquire(&db->proc.shared->slot_high);
    for (uint32_t slot = 0; slot < high; slot++)
        if (ae_slot_dead(&db->proc, slot))
            return true;
    return false;
}

aero_status ae_db_attach(aero_db *db, const ae_db_boot *boot, aero_error *error)
{
    aero_status status = db_segment(db, boot, error);
    uint32_t member = 0;
    if (status == AERO_OK && !db->segment.created && has_orphans(db) &&
        (status = ae_member_claim(&db->proc, &member, error)) == AERO_OK) {
        db->orphans_cleared = ae_reap_all(db, member);
        ae_member_release(&db->proc, member);
    }
    return status;
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
    free(db->near);
    free(db->data_dir);
    free(db->shm_path);
    free(db);
}
