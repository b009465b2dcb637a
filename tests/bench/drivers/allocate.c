/* allocate.c — how fast memory of the segment is handed out: the versions of a table, one by one.
 *
 * Usage: allocate COUNT ROUNDS DIRECTORY
 *
 * How it works: takes COUNT versions that were never used, gives them back, and takes them again.
 * The peer is malloc of as many bytes.  Linked with the engine's sources.
 *
 * Concurrency: one thread.
 */
#include "driver.h"

#include <unistd.h>

#include "aerostore/aerostore.h"
#include "txn/db.h"
#include "txn/txn.h"

static void must(aero_status status, const aero_error *error)
{
    if (status != AERO_OK)
        die("%s", error->text);
}

static double take_all(aero_db *db, uint32_t slot, ae_ref *refs, uint64_t count)
{
    aero_error error;
    ae_cache *cache = &ae_slot_at(&db->proc, slot)->cache;
    const uint32_t pool = ae_heap_version_pool(0);
    const uint64_t start = now_ns();
    for (uint64_t index = 0; index < count; index++)
        must(ae_heap_take(&db->heap, cache, slot, pool, &refs[index], &error), &error);
    return (double)(now_ns() - start) / (double)count;
}

static void give_all(aero_db *db, uint32_t slot, const ae_ref *refs, uint64_t count)
{
    ae_cache *cache = &ae_slot_at(&db->proc, slot)->cache;
    for (uint64_t index = 0; index < count; index++)
        ae_heap_give(&db->heap, cache, slot, ae_heap_version_pool(0), refs[index]);
    (void)ae_heap_flush(&db->heap, cache, slot);
}

static double malloc_all(void **objects, uint64_t count, size_t size)
{
    const uint64_t start = now_ns();
    for (uint64_t index = 0; index < count; index++) {
        objects[index] = malloc(size);
        if (objects[index] == NULL)
            die("no memory");
        memset(objects[index], 0, 8); /* as a version's word is written */
    }
    const double took = (double)(now_ns() - start) / (double)count;
    for (uint64_t index = 0; index < count; index++)
        free(objects[index]);
    return took;
}

int main(int argc, char **argv)
{
    aero_db *db = NULL;
    aero_error error;
    uint32_t member = 0;
    uint32_t slot = 0;
    if (argc != 4)
        die("usage: allocate COUNT ROUNDS DIRECTORY");
    const uint64_t count = parse_count(argv[1]);
    const uint64_t rounds = parse_count(argv[2]);
    ae_ref *refs = calloc(count, sizeof *refs);
    void **objects = calloc(count, sizeof *objects);
    if (refs == NULL || objects == NULL)
        die("no memory");
    aero_session *session = store_open(argv[3], count * 256 + (256u << 20), &db);
    must(ae_member_claim(&db->proc, &member, &error), &error);
    must(ae_slot_claim(&db->proc, member, 0, &slot, &error), &error);
    const size_t size = db->heap.pools[ae_heap_version_pool(0)].object_size;
    report("allocation", "aerostore, new pages", 0, take_all(db, slot, refs, count), "ns/row");
    give_all(db, slot, refs, count);
    for (uint64_t round = 1; round <= rounds; round++) {
        report("allocation", "aerostore", (int)round, take_all(db, slot, refs, count), "ns/row");
        give_all(db, slot, refs, count);
        report("allocation", "malloc", (int)round, malloc_all(objects, count, size), "ns/row");
    }
    ae_slot_release(&db->proc, slot);
    ae_member_release(&db->proc, member);
    store_close(db, session);
    free(objects);
    free(refs);
    return 0;
}
