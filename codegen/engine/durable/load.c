/* load.c — reading a checkpoint file, of which nothing is trusted (format.h).
 *
 * A block's length is bounded by the format and by what is left of the file before memory is taken
 * for it, and its checksum is judged before a byte of it is used.  The file is good only if it ends
 * with its end block and that agrees with what was read.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc.h"
#include "base/os_file.h"
#include "durable/durable_private.h"

static aero_status load_fail(const ae_checkpoint_file *file, const char *what, uint64_t found,
                             uint64_t expected, aero_error *error)
{
    return ae_fail(error, AERO_CORRUPT,
                   "checkpoint %.500s, offset %llu: %s is %llu, expected %llu; nothing was changed",
                   file->path, (unsigned long long)file->offset, what, (unsigned long long)found,
                   (unsigned long long)expected);
}

/* Read the block at file->offset into the buffer.  *head points into it. */
static aero_status block_read(ae_checkpoint_file *file, const ae_block_head **head,
                              aero_error *error)
{
    AE_ALWAYS(file->fd >= 0);
    ae_block_head first;
    size_t done = 0;
    int failure = ae_os_file_read(file->fd, file->offset, &first, sizeof first, &done);
    if (failure != 0)
        return ae_fail_errno(error, AERO_IO, failure, "cannot read %.500s at %llu", file->path,
                             (unsigned long long)file->offset);
    const uint64_t left = file->size - file->offset;
    if (done < sizeof first)
        return load_fail(file, "the number of bytes left", done, sizeof first, error);
    if (first.magic != AE_CHECKPOINT_MAGIC)
        return load_fail(file, "the block's mark", first.magic, AE_CHECKPOINT_MAGIC, error);
    if (first.length < sizeof first || first.length > AE_BLOCK_MAX || first.length > left)
        return load_fail(file, "the block's length", first.length,
                         left < AE_BLOCK_MAX ? left : AE_BLOCK_MAX, error);
    if (first.length > file->capacity) {
        const size_t capacity = first.length > AE_BLOCK_TARGET * 2 ? first.length
                                                                   : AE_BLOCK_TARGET * 2;
        uint8_t *grown = realloc(file->buffer, capacity);
        if (grown == NULL)
            return ae_fail(error, AERO_NO_MEMORY, "no memory to read %.500s", file->path);
        file->buffer = grown;
        file->capacity = capacity;
    }
    AE_ALWAYS(first.length <= file->capacity);
    failure = ae_os_file_read(file->fd, file->offset, file->buffer, first.length, &done);
    if (failure != 0)
        return ae_fail_errno(error, AERO_IO, failure, "cannot read %.500s at %llu", file->path,
                             (unsigned long long)file->offset);
    if (done != first.length || memcmp(file->buffer, &first, sizeof first) != 0)
        return load_fail(file, "the block's length on the second look", done, first.length, error);
    const uint32_t sum = ae_crc32c(0, file->buffer + 8, first.length - 8);
    if (sum != first.checksum)
        return load_fail(file, "the block's checksum", sum, first.checksum, error);
    *head = (const ae_block_head *)(const void *)file->buffer;
    return AERO_OK;
}

/* Read and judge the head block. */
static aero_status head_read(ae_checkpoint_file *file, aero_error *error)
{
    const ae_block_head *block = NULL;
    const aero_status status = block_read(file, &block, error);
    if (status != AERO_OK)
        return status;
    if (block->kind != AE_BLOCK_HEAD || block->number != 0)
        return load_fail(file, "the first block's kind", block->kind, AE_BLOCK_HEAD, error);
    if (block->length != sizeof *block + sizeof file->head)
        return load_fail(file, "the head's length", block->length,
                         sizeof *block + sizeof file->head, error);
    memcpy(&file->head, block + 1, sizeof file->head);
    memcpy(file->store, block->store, sizeof file->store);
    file->serial = block->serial;
    if (file->head.format != AE_CHECKPOINT_FORMAT &&
        file->head.format != AE_CHECKPOINT_FORMAT_PACKED)
        return ae_fail(error, AERO_MISMATCH, "checkpoint %.500s has format %u, expected %u or %u",
                       file->path, file->head.format, AE_CHECKPOINT_FORMAT,
                       AE_CHECKPOINT_FORMAT_PACKED);
    if (memchr(file->head.package, '\0', sizeof file->head.package) == NULL)
        return load_fail(file, "the package's name length", sizeof file->head.package,
                         sizeof file->head.package - 1, error);
    AE_ALWAYS(file->offset == 0);
    /* All below was durable when the checkpoint was taken.  A larger one would skip the log. */
    if (file->head.replay_lsn > file->head.durable)
        return load_fail(file, "the position where replay begins", file->head.replay_lsn,
                         file->head.durable, error);
    file->offset += block->length;
    file->number = 1;
    return AERO_OK;
}

aero_status aei_checkpoint_open(ae_checkpoint_file *file, const char *path, aero_error *error)
{
    memset(file, 0, sizeof *file);
    file->fd = -1;
    const size_t length = strlen(path);
    if (length >= sizeof file->path)
        return ae_fail(error, AERO_IO, "the path of the checkpoint is too long");
    memcpy(file->path, path, length + 1);
    uint32_t links = 0;
    int failure = ae_os_file_open(path, AE_FILE_READ, &file->fd);
    if (failure == ENOENT) {
        file->fd = -1;
        return AERO_OK;
    }
    if (failure == 0)
        failure = ae_os_file_state(file->fd, &file->size, &links);
    const aero_status status = failure != 0 ? ae_fail_errno(error, AERO_IO, failure,
                                                            "cannot open %.500s", path)
                                            : head_read(file, error);
    if (status != AERO_OK)
        aei_checkpoint_close(file);
    return status;
}

static aero_status end_check(const ae_checkpoint_file *file, const ae_block_head *block,
                             aero_error *error)
{
    AE_ALWAYS(block->kind == AE_BLOCK_END);
    ae_checkpoint_end end;
    if (block->length != sizeof *block + sizeof end)
        return load_fail(file, "the end's length", block->length, sizeof *block + sizeof end,
                         error);
    memcpy(&end, block + 1, sizeof end);
    if (end.rows != file->rows)
        return load_fail(file, "the number of rows", file->rows, end.rows, error);
    if (end.blocks != (uint64_t)file->number + 1)
        return load_fail(file, "the number of blocks", (uint64_t)file->number + 1, end.blocks,
                         error);
    if (end.bytes != file->size || file->offset + block->length != file->size)
        return load_fail(file, "the file's size", file->size, end.bytes, error);
    return AERO_OK;
}

/* Unpack the block in the buffer, whose checksum is right, into the spare memory, and exchange the
 * two: *payload is what came out. */
static aero_status block_unpack(ae_checkpoint_file *file, uint32_t length, aero_error *error)
{
    const uint8_t *body = file->buffer + sizeof(ae_block_head);
    const size_t size = length - sizeof(ae_block_head);
    ae_packed_head head = {0};
    if (size <= sizeof head)
        return load_fail(file, "the packed block's length", size, sizeof head + 1, error);
    memcpy(&head, body, sizeof head);
    if (head.method != AE_PACKED_ZSTD)
        return load_fail(file, "the packed block's method", head.method, AE_PACKED_ZSTD, error);
    if (head.length == 0 || head.length > AE_BLOCK_MAX)
        return load_fail(file, "the length of what is packed", head.length, AE_BLOCK_MAX, error);
    if (file->pack.library == NULL && !ae_os_pack_open(&file->pack))
        return ae_fail(error, AERO_MISMATCH,
                       "checkpoint %.500s is compressed, and %s, which can read it, is not on this "
                       "machine; nothing was changed",
                       file->path, AE_OS_PACK_LIBRARY);
    if (head.length > file->spare_capacity) {
        const size_t capacity = head.length > AE_BLOCK_TARGET * 2 ? head.length
                                                                  : AE_BLOCK_TARGET * 2;
        uint8_t *grown = realloc(file->spare, capacity);
        if (grown == NULL)
            return ae_fail(error, AERO_NO_MEMORY, "no memory to read %.500s", file->path);
        file->spare = grown;
        file->spare_capacity = capacity;
    }
    AE_ALWAYS(head.length <= file->spare_capacity && size > sizeof head);
    if (!ae_os_pack_undo(&file->pack, file->spare, head.length, body + sizeof head,
                         size - sizeof head))
        return load_fail(file, "the packed block, which does not unpack to its length,",
                         size - sizeof head, head.length, error);
    uint8_t *const buffer = file->buffer;
    const size_t capacity = file->capacity;
    file->buffer = file->spare;
    file->capacity = file->spare_capacity;
    file->spare = buffer;
    file->spare_capacity = capacity;
    file->payload = file->buffer;
    file->payload_size = head.length;
    return AERO_OK;
}

aero_status aei_checkpoint_next(ae_checkpoint_file *file, aero_error *error)
{
    const ae_block_head *block = NULL;
    file->payload = NULL;
    aero_status status = block_read(file, &block, error);
    if (status != AERO_OK)
        return status;
    if (memcmp(block->store, file->store, sizeof file->store) != 0 || block->serial != file->serial)
        return load_fail(file, "the block's checkpoint", block->serial, file->serial, error);
    if (block->number != file->number)
        return load_fail(file, "the block's number", block->number, file->number, error);
    if (block->kind == AE_BLOCK_END)
        return end_check(file, block, error);
    const bool packed = block->kind == AE_BLOCK_PACKED &&
                        file->head.format == AE_CHECKPOINT_FORMAT_PACKED;
    if (block->kind != AE_BLOCK_ROWS && !packed)
        return load_fail(file, "the block's kind", block->kind, AE_BLOCK_ROWS, error);
    const ae_block_head head = *block; /* unpacking moves it */
    file->payload = (const uint8_t *)(block + 1);
    file->payload_size = head.length - sizeof head;
    if (packed)
        status = block_unpack(file, head.length, error);
    if (status != AERO_OK) {
        file->payload = NULL;
        return status;
    }
    AE_ALWAYS(file->offset + head.length <= file->size && head.length >= sizeof head);
    file->block_rows = head.rows;
    file->block_size = head.length;
    file->rows += head.rows;
    file->offset += head.length;
    file->number++;
    return AERO_OK;
}

void aei_checkpoint_close(ae_checkpoint_file *file)
{
    if (file->fd >= 0)
        ae_os_file_close(file->fd);
    free(file->buffer);
    free(file->spare);
    ae_os_pack_close(&file->pack);
    file->buffer = NULL;
    file->spare = NULL;
    file->fd = -1;
}
