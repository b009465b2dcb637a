/* reader.c — frames in order across files (see reader.h).
 *
 * A file is read in windows.  A header is judged before its length is used, the length is held
 * against what is left of the file before anything is allocated, and the checksum before the
 * payload is given away.
 */
#include "wal/reader.h"

#include <stdlib.h>
#include <string.h>

#include "base/os_file.h"

#define WINDOW ((size_t)1 << 20)

/* ---- windows -------------------------------------------------------------------------------- */

/* Have `size` bytes of a file from `offset` in the window, or as many as there are. */
static aero_status window_fill(ae_log_reader *reader, uint32_t file, uint64_t offset, size_t size,
                               size_t *got, aero_error *error)
{
    AE_ALWAYS(file < reader->files->count && size > 0);
    const ae_log_file *from = &reader->files->files[file];
    const uint64_t skip = offset - reader->window_offset;
    if (reader->window_file == file && offset >= reader->window_offset &&
        skip < reader->window_size && size <= reader->window_size - skip) {
        *got = size;
        return AERO_OK;
    }
    const size_t wanted = size > WINDOW ? size : WINDOW;
    if (wanted > reader->window_capacity) {
        uint8_t *grown = realloc(reader->window, wanted);
        if (grown == NULL)
            return ae_fail(error, AERO_NO_MEMORY, "no memory to read %s", from->path);
        reader->window = grown;
        reader->window_capacity = wanted;
    }
    reader->window_file = file;
    reader->window_offset = offset;
    reader->window_size = 0;
    const int failure = ae_os_file_read(from->fd, offset, reader->window, wanted,
                                        &reader->window_size);
    if (failure != 0)
        return ae_fail_errno(error, AERO_IO, failure, "cannot read %s at offset %llu", from->path,
                             (unsigned long long)offset);
    AE_ALWAYS(reader->window_size <= wanted && wanted <= reader->window_capacity);
    *got = reader->window_size < size ? reader->window_size : size;
    return AERO_OK;
}

static const ae_frame *window_frame(const ae_log_reader *reader, uint64_t offset)
{
    AE_ASSERT(offset >= reader->window_offset);
    AE_ASSERT(offset - reader->window_offset + AE_FRAME_HEADER <= reader->window_size);
    return (const ae_frame *)(const void *)(reader->window + (offset - reader->window_offset));
}

/* Judge the frame at an offset of a file and have all of it in the window. */
static aero_status frame_load(ae_log_reader *reader, uint32_t file, uint64_t offset,
                              uint64_t previous, aero_error *error)
{
    const ae_log_file *from = &reader->files->files[file];
    size_t got = 0;
    reader->frame = NULL;
    aero_status status = window_fill(reader, file, offset, AE_FRAME_HEADER, &got, error);
    if (status != AERO_OK)
        return status;
    reader->fault = got == 0 ? AE_FRAME_END : AE_FRAME_SHORT;
    if (got < AE_FRAME_HEADER)
        return AERO_OK;
    const ae_frame *frame = window_frame(reader, offset);
    reader->fault = ae_frame_check_header(frame, from->store, from->base + offset, previous);
    if (reader->fault != AE_FRAME_GOOD)
        return AERO_OK;
    const size_t length = frame->length;
    AE_ALWAYS(length > AE_FRAME_HEADER && length <= AE_FRAME_MAX);
    reader->fault = AE_FRAME_SHORT;
    if (length > from->size || offset > from->size - length)
        return AERO_OK;
    status = window_fill(reader, file, offset, length, &got, error);
    if (status != AERO_OK || got < length)
        return status;
    frame = window_frame(reader, offset);
    /* It may have been read anew, and be another one. */
    reader->fault = frame->length == length && ae_frame_check_sum(frame) ? AE_FRAME_GOOD
                                                                         : AE_FRAME_CHECKSUM_BAD;
    if (reader->fault == AE_FRAME_GOOD)
        reader->frame = frame;
    return AERO_OK;
}

/* ---- the stream ----------------------------------------------------------------------------- */

/* The file that holds an LSN, or begins after the place where the one before ended. */
static bool file_of(const ae_log_files *files, uint64_t lsn, uint32_t *index)
{
    for (*index = 0; *index < files->count; (*index)++) {
        const ae_log_file *file = &files->files[*index];
        if (lsn == file->head.after || (lsn >= file->base && lsn < file->end))
            if (file->end > file->base)
                return true;
    }
    return false;
}

aero_status ae_log_reader_start(ae_log_reader *reader, const ae_log_files *files, uint64_t lsn,
                                aero_error *error)
{
    memset(reader, 0, sizeof *reader);
    reader->files = files;
    reader->window_file = UINT32_MAX;
    reader->previous = UINT64_MAX;
    reader->framed = UINT64_MAX;
    for (uint32_t index = 0; index < files->count; index++) {
        const ae_log_file *file = &files->files[index];
        /* A file is begun when everything before it is durable. */
        const uint64_t known = file->durable > file->head.after ? file->durable : file->head.after;
        reader->durable = known > reader->durable ? known : reader->durable;
    }
    if (files->count == 0)
        return ae_fail(error, AERO_NOT_FOUND, "there is no log");
    reader->lsn = lsn;
    if (lsn == UINT64_MAX)
        reader->lsn = files->files[0].base;
    else if (!file_of(files, lsn, &reader->file))
        return ae_fail(error, AERO_NOT_FOUND,
                       "the log from position %llu on is missing: the files begin at %llu (%s)",
                       (unsigned long long)lsn, (unsigned long long)files->files[0].base,
                       files->files[0].path);
    AE_ALWAYS(reader->file < files->count);
    if (reader->lsn < files->files[reader->file].base)
        reader->lsn = files->files[reader->file].base;
    return AERO_OK;
}

/* Commits must follow on those before: a frame that a dead writer left behind the end may be whole,
 * but it does not fit what was written over its predecessor. */
static bool numbers_follow(ae_log_reader *reader)
{
    AE_ASSERT(reader->frame != NULL && reader->fault == AE_FRAME_GOOD);
    const uint8_t *payload = (const uint8_t *)(reader->frame + 1);
    uint64_t from = reader->framed;
    uint64_t upto = reader->framed;
    if (reader->frame->kind == AE_FRAME_FILE) {
        ae_file_head head;
        memcpy(&head, payload, sizeof head);
        from = upto = head.number;
        if (reader->frame->lsn != reader->files->files[reader->file].base)
            return false;
    }
    if (reader->frame->kind == AE_FRAME_COMMITS) {
        ae_commits_head head;
        memcpy(&head, payload, sizeof head);
        from = head.after;
        upto = head.upto;
        if (upto <= from)
            return false;
    }
    if (reader->framed != UINT64_MAX && reader->framed != from)
        return false;
    reader->framed = upto;
    return true;
}

aero_status ae_log_reader_next(ae_log_reader *reader, aero_error *error)
{
    AE_ALWAYS(reader->file < reader->files->count);
    const ae_log_file *file = &reader->files->files[reader->file];
    reader->frame = NULL;
    while (reader->lsn >= file->end) { /* the last one has no end */
        AE_ALWAYS(reader->file + 1 < reader->files->count);
        file = &reader->files->files[++reader->file];
        if (file->end > file->base)
            reader->lsn = file->base;
    }
    if (reader->lsn < file->base) { /* the files leave a gap, whatever their first frames say */
        reader->fault = AE_FRAME_PLACE_BAD;
        return AERO_OK;
    }
    const aero_status status = frame_load(reader, reader->file, reader->lsn - file->base,
                                          reader->previous, error);
    if (status != AERO_OK || reader->frame == NULL)
        return status;
    const uint64_t span = ae_frame_span(reader->frame->length);
    if (span > file->end - reader->lsn || !numbers_follow(reader)) {
        reader->frame = NULL;
        reader->fault = AE_FRAME_PLACE_BAD;
        return AERO_OK;
    }
    reader->previous = reader->lsn;
    reader->lsn += span;
    if (reader->frame->durable > reader->durable)
        reader->durable = reader->frame->durable;
    return AERO_OK;
}

aero_status ae_log_reader_beyond(ae_log_reader *reader, aero_error *error)
{
    AE_ALWAYS(reader->frame == NULL);
    const ae_log_file *file = &reader->files->files[reader->file];
    const enum ae_frame_fault fault = reader->fault;
    aero_status status = AERO_OK;
    uint64_t offset = reader->lsn > file->base ? reader->lsn - file->base : 0;
    while (status == AERO_OK) {
        size_t got = 0;
        offset += AE_FRAME_ALIGN;
        status = window_fill(reader, reader->file, offset, AE_FRAME_HEADER, &got, error);
        if (status != AERO_OK || got < AE_FRAME_HEADER)
            break;
        const ae_frame *frame = window_frame(reader, offset);
        if (frame->magic != AE_FRAME_MAGIC || frame->lsn != file->base + offset)
            continue;
        status = frame_load(reader, reader->file, offset, UINT64_MAX, error);
        if (reader->frame != NULL && reader->frame->durable > reader->durable)
            reader->durable = reader->frame->durable;
    }
    reader->fault = fault;
    reader->frame = NULL;
    return status;
}

void ae_log_reader_end(ae_log_reader *reader)
{
    free(reader->window);
    reader->window = NULL;
    reader->window_capacity = 0;
    reader->window_size = 0;
    reader->frame = NULL;
}

/* ---- commits and pieces --------------------------------------------------------------------- */

void ae_commits_start(ae_commits *commits, const ae_frame *frame)
{
    AE_ALWAYS(frame->kind == AE_FRAME_COMMITS);
    ae_commits_head head;
    const uint8_t *payload = (const uint8_t *)(frame + 1);
    memcpy(&head, payload, sizeof head);
    *commits = (ae_commits){.data = payload + sizeof head,
                            .left = frame->length - AE_FRAME_HEADER - sizeof head,
                            .number = head.after,
                            .upto = head.upto};
}

static bool take(ae_commits *commits, uint64_t *value)
{
    const size_t size = ae_varint_get(commits->data, commits->left, value);
    commits->data += size;
    commits->left -= size;
    return size != 0;
}

aero_status ae_commits_next(ae_commits *commits, ae_commit *commit, aero_error *error)
{
    uint64_t gap = 0;
    uint64_t pieces = 0;
    uint64_t size = 0;
    *commit = (ae_commit){0};
    if (commits->left == 0)
        return AERO_OK;
    if (!take(commits, &gap) || gap >> 1 == 0 || gap >> 1 > commits->upto - commits->number)
        return ae_fail(error, AERO_CORRUPT, "a frame of the log has a commit without a number");
    if ((gap & 1) != 0 && (!take(commits, &commit->last_piece) || !take(commits, &pieces) ||
                           pieces == 0 || pieces > UINT32_MAX))
        return ae_fail(error, AERO_CORRUPT, "a frame of the log has a commit without its pieces");
    if (!take(commits, &size) || size > commits->left)
        return ae_fail(error, AERO_CORRUPT, "a commit is longer than its frame of the log");
    commits->number += gap >> 1;
    AE_ASSERT(commits->number <= commits->upto);
    commit->number = commits->number;
    commit->pieces = (uint32_t)pieces;
    commit->data = commits->data;
    commit->size = (size_t)size;
    commits->data += size;
    commits->left -= (size_t)size;
    return AERO_OK;
}

static aero_status piece_load(ae_log_reader *reader, uint64_t lsn, uint32_t index,
                              ae_piece_head *head, aero_error *error)
{
    uint32_t file = 0;
    if (lsn % AE_FRAME_ALIGN != 0 || !file_of(reader->files, lsn, &file) ||
        lsn < reader->files->files[file].base ||
        lsn - reader->files->files[file].base >= reader->files->files[file].size)
        return ae_fail(error, AERO_CORRUPT,
                       "a transaction's piece at position %llu of the log is missing",
                       (unsigned long long)lsn);
    const ae_log_file *from = &reader->files->files[file];
    const aero_status status = frame_load(reader, file, lsn - from->base, UINT64_MAX, error);
    if (status != AERO_OK)
        return status;
    if (reader->frame != NULL && reader->frame->kind == AE_FRAME_PIECE) {
        memcpy(head, reader->frame + 1, sizeof *head);
        if (head->index == index && (index == 0 ? head->before == 0 : head->before < lsn))
            return AERO_OK;
    }
    return ae_fail(error, AERO_CORRUPT,
                   "%s: piece %u of a transaction is expected at offset %llu, but %s", from->path,
                   index, (unsigned long long)(lsn - from->base),
                   reader->frame == NULL ? ae_frame_fault_text(reader->fault) : "another frame is");
}

aero_status ae_pieces_read(const ae_log_files *files, uint64_t last_piece, uint32_t pieces,
                           ae_piece_visit visit, void *context, aero_error *error)
{
    AE_ALWAYS(pieces > 0 && visit != NULL);
    ae_log_reader reader = {.files = files, .window_file = UINT32_MAX};
    uint64_t bytes = 0;
    for (uint32_t index = 0; index < files->count; index++)
        bytes += files->files[index].size;
    if (pieces > bytes / AE_FRAME_HEADER)
        return ae_fail(error, AERO_CORRUPT, "a commit names more pieces than the log can hold");
    uint64_t *places = malloc((pieces + (size_t)1) * sizeof *places);
    if (places == NULL)
        return ae_fail(error, AERO_NO_MEMORY, "no memory to read the log");
    aero_status status = AERO_OK;
    ae_piece_head head = {.before = last_piece};
    for (uint32_t index = pieces; status == AERO_OK && index-- > 0;) {
        places[index] = head.before;
        status = piece_load(&reader, places[index], index, &head, error);
    }
    for (uint32_t index = 0; status == AERO_OK && index < pieces; index++) {
        status = piece_load(&reader, places[index], index, &head, error);
        if (status == AERO_OK)
            status = visit(context, (const uint8_t *)(reader.frame + 1) + sizeof head,
                           reader.frame->length - AE_FRAME_HEADER - sizeof head, error);
    }
    free(places);
    ae_log_reader_end(&reader);
    return status;
}
