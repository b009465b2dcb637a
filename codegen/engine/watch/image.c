/* image.c — copying rows that may be reused while they are copied (see watch_private.h). */
#include <stdlib.h>
#include <string.h>

#include "watch/watch_private.h"

static aero_cell *cell_at(const aero_table *of, const watch_image *image, uint32_t index)
{
    AE_ASSERT(index < of->cell_count);
    return (aero_cell *)(void *)((char *)image->row + of->columns[of->cells[index]].offset);
}

/* Bytes of the long texts, or SIZE_MAX when some text would not lie in a block of `room` bytes. */
static size_t texts_length(const aero_table *of, const watch_image *image, size_t room)
{
    size_t length = 0;
    for (uint32_t index = 0; index < of->cell_count; index++) {
        const aero_cell *cell = cell_at(of, image, index);
        if (cell->length <= AERO_CELL_INLINE)
            continue;
        if (cell->u.where > room || cell->length > room - cell->u.where)
            return SIZE_MAX;
        length += cell->length;
    }
    return length;
}

#if defined(AE_TSAN)
__attribute__((no_sanitize("thread")))
#endif
static void
racy_copy(void *to, const void *from, size_t length)
{
#if defined(AE_TSAN)
    for (size_t index = 0; index < length; index++)
        ((volatile char *)to)[index] = ((const volatile char *)from)[index];
#else
    memcpy(to, from, length);
#endif
}

enum image_result ae_image_copy(const aero_db *db, const aero_table *of, const ae_version *version,
                                watch_image *image)
{
    const ae_ref overflow = ae_load32(&version->overflow);
    const ae_pool *home = overflow == 0 ? NULL : ae_heap_home(&db->heap, overflow);
    const bool block = home != NULL && home->kind == AE_POOL_BLOCK;
    const size_t room = block ? home->object_size - sizeof(ae_block) : 0;
    racy_copy(image->row, version->row, of->row_size);
    const size_t length = texts_length(of, image, room);
    if (length == SIZE_MAX || (overflow != 0 && !block))
        return IMAGE_TORN;
    if (length > image->room) {
        char *grown = realloc(image->text, length);
        if (grown == NULL)
            return IMAGE_NO_MEMORY;
        image->text = grown;
        image->room = length;
    }
    char *to = image->text;
    for (uint32_t index = 0; index < of->cell_count; index++) {
        aero_cell *cell = cell_at(of, image, index);
        if (cell->length <= AERO_CELL_INLINE)
            continue;
        racy_copy(to, (const char *)ae_at(&db->segment, overflow + 1) + cell->u.where,
                  cell->length);
        cell->u.where = (uint64_t)(uintptr_t)to;
        to += cell->length;
    }
    AE_ASSERT((size_t)(to - image->text) == length);
    return IMAGE_COPIED;
}
