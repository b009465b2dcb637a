/* Whole inputs: a block of memory, a file. */
#include <stdlib.h>

#include "base/os_input.h"
#include "ingest/ingest_private.h"

/* Read at once: large enough to make system calls cheap, small enough to stay in the cache. */
#define CHUNK_SIZE ((size_t)128 << 10)

aero_status ae_ingest_memory(aero_session *session, uint32_t table, const char *data, size_t length,
                             const aero_tsv_options *options, aero_ingest_report *report)
{
    AE_ASSERT(data != NULL);
    aero_ingest *ingest = NULL;
    if (report != NULL)
        *report = (aero_ingest_report){0};
    aero_status status = ae_ingest_new(session, table, options, &ingest);
    if (status != AERO_OK)
        return status;
    ingest->total_bytes = length;
    (void)ae_ingest_push(ingest, data, length, true); /* ae_ingest_end repeats its failure */
    status = ae_ingest_end(ingest, report);
    ae_ingest_release(ingest);
    return status;
}

/* Push the file piece by piece.  A failed push is kept by the ingest; a failed read is returned. */
static int push_file(aero_ingest *ingest, int fd, char *chunk)
{
    AE_ASSERT(fd >= 0);
    for (;;) {
        size_t done = 0;
        const int number = ae_os_input_read(fd, chunk, CHUNK_SIZE, &done);
        if (number != 0 || done == 0)
            return number;
        if (ae_ingest_push(ingest, chunk, done, false) != AERO_OK)
            return 0;
    }
}

aero_status ae_ingest_path(aero_session *session, uint32_t table, const char *path,
                           const aero_tsv_options *options, aero_ingest_report *report)
{
    aero_error *const error = ae_session_error_buffer(session);
    aero_ingest *ingest = NULL;
    if (report != NULL)
        *report = (aero_ingest_report){0};
    int fd = -1;
    uint64_t size = 0;
    int number = ae_os_input_open(path, &fd, &size);
    if (number != 0)
        return ae_fail_errno(error, AERO_IO, number, "cannot open \"%s\"", path);
    char *const chunk = malloc(CHUNK_SIZE);
    aero_status status = chunk == NULL ? ae_fail(error, AERO_NO_MEMORY, "no memory to read into")
                                       : ae_ingest_new(session, table, options, &ingest);
    if (status == AERO_OK) {
        ingest->total_bytes = size;
        number = push_file(ingest, fd, chunk);
        if (number != 0) { /* rows read but not written yet are dropped, as with any error */
            ingest->status = AERO_IO;
            ae_fail_errno(&ingest->error, AERO_IO, number, "cannot read \"%s\"", path);
        }
        status = ae_ingest_end(ingest, report);
    }
    ae_ingest_release(ingest);
    free(chunk);
    ae_os_input_close(fd);
    return status;
}
