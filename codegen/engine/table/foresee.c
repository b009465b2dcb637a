/* foresee.c — finding the leaves of a row's new keys before the row itself has been found.
 *
 * How it works.  A write of one row waits for memory again and again: for the line of the hash, for
 * the row's version, and then for the leaves that its new keys go to.  Where the values are known
 * beforehand, so are the keys of indexes over them, but for the anchor, which the hash entry names.
 * So the way to the leaves is gone while the version comes, and what is found is used if the key
 * turns out to be this one.
 *
 * A statement that gives a column mostly gives many rows the same columns, and some of them do not
 * change (a flight's type): so only of those indexes a key is foreseen that the last such write
 * moved.
 *
 * What was found holds for as long as the snapshot stays published (ae_tree_want), and so does the
 * place of an index: one that is maintained for a snapshot is not made anew under it (C2).
 */
#include "table/publish_private.h"

/* Are all columns of the index among those that are given?  Then they are set in the image. */
static bool columns_set(const row_write *write, const ae_row_given *given,
                        const ae_key_shape *shape, void *image)
{
    for (uint32_t place = 0; place < shape->column_count; place++) {
        const uint32_t column = shape->columns[place];
        uint32_t index = 0;
        while (index < given->count && given->columns[index] != column)
            index++;
        if (index == given->count)
            return false;
        write->of->columns[column].set(image, &given->raw[index]);
    }
    return true;
}

/* The anchor of the first entry with the key's tag, mostly the row's; 0: there is none. */
static ae_ref anchor_guess(const row_write *write)
{
    const aero_db *db = write->session->db;
    ae_hash_walk walk;
    uint64_t word = 0;
    ae_hash_walk_start(&walk, write->hash, write->tag);
    const ae_hash_entry *entry = ae_hash_walk_next(&walk, &word);
    if (entry == NULL)
        return 0;
    const char *version = ae_at(&db->segment, ae_load32(&entry->hint));
    ae_fetch_to_write(ae_at(&db->segment, ae_hash_anchor(word)));
    ae_fetch_to_write(version);
    __builtin_prefetch(version + 64);
    return ae_hash_anchor(word);
}

bool ae_entries_foresee(const row_write *write, const ae_row_given *given, ae_entries_ahead *ahead)
{
    aero_session *session = write->session;
    const ae_catalog *catalog = &session->db->catalog;
    uint64_t mask = session->moved_table == write->table ? session->moved : 0;
    AE_ASSERT(ae_load64(&ae_slot_at(&session->db->proc, session->txn.slot)->snapshot) != 0);
    ahead->count = 0;
    if (mask == 0)
        return false;
    ae_hash_prefetch(write->hash, write->tag);
    mask &= ae_catalog_maintained(catalog, write->table);
    for (; mask != 0 && ahead->count < AE_AHEAD_MOST; mask &= mask - 1) {
        const uint32_t number = (uint32_t)__builtin_ctzll(mask);
        const uint32_t at = ahead->count;
        ae_index_place *place = ae_catalog_place(catalog, write->table, number);
        ae_key_shape shape;
        if (!ae_catalog_shape(catalog, write->table, place, &shape) ||
            !ae_catalog_tree(catalog, place, &shape, &ahead->trees[at]) ||
            !columns_set(write, given, &shape, session->row))
            continue;
        ae_key_words(write->of, &shape, session->row, NULL, ahead->keys[at].words);
        ahead->numbers[at] = number;
        ahead->wants[at] = (ae_tree_want){&ahead->trees[at], &ahead->keys[at], 0};
        ahead->count++;
    }
    const ae_ref anchor = ahead->count == 0 ? 0 : anchor_guess(write);
    if (anchor == 0)
        return false;
    for (uint32_t at = 0; at < ahead->count; at++)
        ahead->keys[at].anchor = anchor;
    ae_tree_fetch(ahead->wants, ahead->count);
    return true;
}

ae_ref ae_entry_near(const ae_entries_ahead *ahead, uint32_t number, const ae_tree_key *key)
{
    AE_ASSERT(key->anchor != 0 && (ahead == NULL || ahead->count <= AE_AHEAD_MOST));
    for (uint32_t at = 0; ahead != NULL && at < ahead->count; at++)
        if (ahead->numbers[at] == number && ahead->keys[at].anchor == key->anchor &&
            ae_key_words_equal(ahead->keys[at].words, key->words))
            return ahead->wants[at].near;
    return 0;
}
