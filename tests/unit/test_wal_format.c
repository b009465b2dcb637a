/* The log's bytes: numbers, checksums, frames, operations of both stacks, and the worked example of
 * wal/FORMAT.md.
 *
 * variants: plain asan
 */
#include "base/crc.h"
#include "flights.h"
#include "wal/codec.h"
#include "wal/frame.h"
#include "wal/reader.h"

#define TABLE (&aero_schema()->tables[FLIGHTS])

/* ---- numbers and checksums ------------------------------------------------------------------ */

static void test_checksum_is_crc32c_by_instruction_and_by_table(void **state)
{
    (void)state;
    uint8_t bytes[300];
    for (size_t at = 0; at < sizeof bytes; at++)
        bytes[at] = (uint8_t)(at * 7 + 3);
    assert_int_equal(ae_crc32c(0, "123456789", 9), 0xe3069283u);
    assert_int_equal(ae_crc32c(0, "", 0), 0);
    for (size_t from = 0; from < 9; from++)
        for (size_t size = 0; size + from <= sizeof bytes; size++)
            assert_int_equal(ae_crc32c(0, bytes + from, size),
                             ae_crc32c_table(0, bytes + from, size));
    /* In two pieces, as in one. */
    assert_int_equal(ae_crc32c(ae_crc32c(0, bytes, 100), bytes + 100, 200),
                     ae_crc32c(0, bytes, 300));
}

static void test_varints_read_back_and_have_one_form(void **state)
{
    (void)state;
    const uint64_t values[] = {
        0, 1, 127, 128, 16383, 16384, UINT32_MAX, UINT64_MAX, UINT64_MAX / 2, (uint64_t)1 << 63};
    uint8_t bytes[AE_VARINT_MAX + 1];
    uint64_t back = 0;
    for (size_t index = 0; index < sizeof values / sizeof values[0]; index++) {
        const size_t size = ae_varint_put(bytes, values[index]);
        assert_int_equal(size, ae_varint_size(values[index]));
        assert_int_equal(ae_varint_get(bytes, size, &back), size);
        assert_true(back == values[index]);
        for (size_t cut = 0; cut < size; cut++)
            assert_int_equal(ae_varint_get(bytes, cut, &back), 0);
    }
    const uint8_t padded[] = {0x81, 0x00};
    const uint8_t too_wide[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02};
    const uint8_t endless[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    assert_int_equal(ae_varint_get(padded, sizeof padded, &back), 0);
    assert_int_equal(ae_varint_get(too_wide, sizeof too_wide, &back), 0);
    assert_int_equal(ae_varint_get(endless, sizeof endless, &back), 0);
    uint8_t empty[AE_VARINT_MAX + 1];
    memset(empty, 0x80, sizeof empty);
    assert_int_equal(ae_varint_get(empty, sizeof empty, &back), 0);
}

/* ---- frames --------------------------------------------------------------------------------- */

typedef union framed {
    ae_frame frame;
    uint8_t bytes[4096];
} framed;

static const uint8_t store_identity[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};

static void frame_make(framed *of, enum ae_frame_kind kind, uint64_t lsn, uint64_t previous,
                       const void *payload, size_t size)
{
    memset(of, 0, sizeof *of);
    of->frame = (ae_frame){.length = (uint32_t)(AE_FRAME_HEADER + size),
                           .kind = (uint32_t)kind,
                           .lsn = lsn,
                           .previous = previous,
                           .durable = previous,
                           .time_us = 1700000000000000};
    memcpy(of->frame.store, store_identity, sizeof store_identity);
    memcpy(of->bytes + AE_FRAME_HEADER, payload, size);
    ae_frame_seal(&of->frame);
}

static bool frame_good(const framed *of, uint64_t lsn, uint64_t previous)
{
    return ae_frame_check_header(&of->frame, store_identity, lsn, previous) == AE_FRAME_GOOD &&
           of->frame.length <= sizeof of->bytes && ae_frame_check_sum(&of->frame);
}

static void test_every_flipped_bit_of_a_frame_is_found(void **state)
{
    (void)state;
    framed of;
    char payload[100];
    memset(payload, 'x', sizeof payload);
    frame_make(&of, AE_FRAME_COMMITS, 4096, 4000, payload, sizeof payload);
    assert_true(frame_good(&of, 4096, 4000));
    assert_true(frame_good(&of, 4096, UINT64_MAX));
    assert_false(frame_good(&of, 4104, 4000));
    assert_false(frame_good(&of, 4096, 3992));
    for (uint32_t bit = 0; bit < of.frame.length * 8; bit++) {
        framed flipped = of;
        flipped.bytes[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_false(frame_good(&flipped, 4096, 4000));
    }
}

static void test_a_header_out_of_bounds_is_refused_before_its_length_is_used(void **state)
{
    (void)state;
    framed of;
    char payload[100] = {0};
    const uint32_t lengths[] = {0, 8, 63, 64, 80, AE_FRAME_MAX + 1, UINT32_MAX, UINT32_MAX - 7};
    for (size_t index = 0; index < sizeof lengths / sizeof lengths[0]; index++) {
        frame_make(&of, AE_FRAME_COMMITS, 4096, 4000, payload, sizeof payload);
        of.frame.length = lengths[index];
        assert_int_equal(ae_frame_check_header(&of.frame, store_identity, 4096, 4000),
                         AE_FRAME_LENGTH_BAD);
    }
    frame_make(&of, AE_FRAME_COMMITS, 4096, 4000, payload, sizeof payload);
    of.frame.kind = 4;
    assert_int_equal(ae_frame_check_header(&of.frame, store_identity, 4096, 4000),
                     AE_FRAME_KIND_BAD);
    of.frame.kind = AE_FRAME_COMMITS;
    of.frame.store[3] ^= 1;
    assert_int_equal(ae_frame_check_header(&of.frame, store_identity, 4096, 4000),
                     AE_FRAME_STORE_BAD);
    of.frame.store[3] ^= 1;
    of.frame.durable = 4097;
    assert_int_equal(ae_frame_check_header(&of.frame, store_identity, 4096, 4000),
                     AE_FRAME_PLACE_BAD);
    memset(&of, 0, sizeof of);
    assert_int_equal(ae_frame_check_header(&of.frame, store_identity, 0, 0), AE_FRAME_END);
}

/* ---- operations ----------------------------------------------------------------------------- */

typedef struct flight_row {
    _Alignas(16) char bytes[512];
} flight_row;

static void flight_fill(flight_row *row, const char *key, int64_t altitude, const char *dest)
{
    const aero_column *columns = TABLE->columns;
    const aero_value values[] = {v_text(key), v_real(1.5), v_real(-2.25), v_int(altitude)};
    const aero_value updated = {.type = AERO_TYPE_TIME, .u = {.integer = 1700000000000000}};
    const aero_value to = v_text(dest);
    TABLE->clear(row->bytes);
    for (uint32_t column = 0; column < 4; column++)
        columns[column].set(row->bytes, &values[column]);
    columns[FLIGHT_UPDATED].set(row->bytes, &updated);
    columns[FLIGHT_DEST].set(row->bytes, &to);
}

static bool rows_equal(const flight_row *left, const flight_row *right)
{
    uint64_t mask[1] = {0};
    return TABLE->dirty(left->bytes, NULL, right->bytes, NULL, mask) == 0;
}

static size_t encode(enum ae_stack stack, enum ae_op_kind kind, const flight_row *before,
                     const flight_row *after, uint8_t *out, size_t capacity)
{
    const ae_image from = {before, NULL};
    const ae_image to = {after, NULL};
    return ae_codec_encode(stack, TABLE, FLIGHTS, kind, &from, &to, out, capacity);
}

static ae_op decode(enum ae_stack stack, const uint8_t *data, size_t size)
{
    ae_ops ops = {stack, aero_schema(), data, size};
    ae_op op;
    ae_op end;
    aero_error error;
    assert_int_equal(ae_ops_next(&ops, &op, &error), AERO_OK);
    assert_non_null(op.data);
    assert_int_equal(ae_ops_next(&ops, &end, &error), AERO_OK);
    assert_null(end.data);
    return op;
}

static void operations_read_back(enum ae_stack stack)
{
    static const char *const dests[] = {"KSEA", "a text that does not lie in the cell itself", ""};
    uint8_t bytes[512];
    aero_error error;
    for (size_t index = 0; index < 3; index++) {
        flight_row before;
        flight_row after;
        flight_row now;
        flight_fill(&before, "UAL1", 35000, dests[index]);
        flight_fill(&after, "UAL1", -200, dests[index]);

        size_t size = encode(stack, AE_OP_INSERT, NULL, &after, bytes, sizeof bytes);
        assert_in_range(size, 1, sizeof bytes);
        ae_op op = decode(stack, bytes, size);
        assert_int_equal(op.kind, AE_OP_INSERT);
        TABLE->clear(now.bytes);
        assert_int_equal(ae_op_apply(aero_schema(), &op, now.bytes, &error), AERO_OK);
        assert_true(rows_equal(&now, &after));

        const size_t whole = size;
        size = encode(stack, AE_OP_UPDATE, &before, &after, bytes, sizeof bytes);
        assert_true(size < whole);
        op = decode(stack, bytes, size);
        assert_int_equal(op.kind, AE_OP_UPDATE);
        now = before;
        assert_int_equal(ae_op_apply(aero_schema(), &op, now.bytes, &error), AERO_OK);
        assert_true(rows_equal(&now, &after));

        size = encode(stack, AE_OP_DELETE, &before, NULL, bytes, sizeof bytes);
        op = decode(stack, bytes, size);
        assert_int_equal(op.kind, AE_OP_DELETE);
        TABLE->clear(now.bytes);
        assert_int_equal(ae_op_apply(aero_schema(), &op, now.bytes, &error), AERO_OK);
        assert_true(TABLE->key_equal(now.bytes, NULL, before.bytes, NULL));
    }
}

static void test_operations_of_the_row_stack_read_back(void **state)
{
    (void)state;
    operations_read_back(AE_STACK_ROW);
}

static void test_operations_of_the_logical_stack_read_back(void **state)
{
    (void)state;
    operations_read_back(AE_STACK_LOGICAL);
}

static void test_an_encoder_without_room_says_how_much_it_needs(void **state)
{
    (void)state;
    for (enum ae_stack stack = AE_STACK_ROW; stack <= AE_STACK_LOGICAL; stack++) {
        flight_row row;
        uint8_t bytes[512];
        flight_fill(&row, "UAL1", 1, "another text that does not lie in the cell itself");
        const size_t size = encode(stack, AE_OP_INSERT, NULL, &row, bytes, sizeof bytes);
        for (size_t room = 0; room < size; room++) {
            memset(bytes, 0xee, sizeof bytes);
            assert_int_equal(encode(stack, AE_OP_INSERT, NULL, &row, bytes, room), size);
            for (size_t at = room; at < sizeof bytes; at++)
                assert_int_equal(bytes[at], 0xee);
        }
        assert_int_equal(encode(stack, AE_OP_INSERT, NULL, &row, bytes, size), size);
    }
}

static void test_damaged_operations_are_refused_or_mean_something_and_never_read_outside(
    void **state)
{
    (void)state;
    uint64_t random = test_seed("damaged operations");
    for (enum ae_stack stack = AE_STACK_ROW; stack <= AE_STACK_LOGICAL; stack++) {
        flight_row row;
        uint8_t bytes[512];
        flight_fill(&row, "UAL1", 1, "another text that does not lie in the cell itself");
        const size_t size = encode(stack, AE_OP_INSERT, NULL, &row, bytes, sizeof bytes);
        for (uint32_t round = 0; round < 20000; round++) {
            /* In memory of its own, so that the sanitizer sees a byte too many. */
            const size_t cut = round % 3 == 0 ? (size_t)(next_random(&random) % (size + 1)) : size;
            uint8_t *copy = malloc(cut + 1);
            uint8_t *exact = realloc(copy, cut == 0 ? 1 : cut);
            memcpy(exact, bytes, cut);
            for (uint32_t change = 0; cut > 0 && change < round % 4; change++)
                exact[next_random(&random) % cut] = (uint8_t)next_random(&random);
            ae_ops ops = {stack, aero_schema(), exact, cut};
            ae_op op = {.data = NULL};
            aero_error error;
            flight_row into;
            for (;;) {
                const aero_status status = ae_ops_next(&ops, &op, &error);
                assert_true(status == AERO_OK || status == AERO_CORRUPT || status == AERO_SCHEMA);
                if (status != AERO_OK || op.data == NULL)
                    break;
                TABLE->clear(into.bytes);
                (void)ae_op_apply(aero_schema(), &op, into.bytes, &error);
            }
            free(exact);
        }
    }
}

static void test_a_commit_frame_whose_numbers_contradict_each_other_is_refused(void **state)
{
    (void)state;
    /* after 10, upto 12; gap 1; size 1, one byte */
    const uint8_t good[] = {10, 0, 0, 0, 0, 0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 4, 1, 7};
    ae_commits commits;
    ae_commit commit;
    aero_error error;
    framed of;
    frame_make(&of, AE_FRAME_COMMITS, 0, 0, good, sizeof good);
    ae_commits_start(&commits, &of.frame);
    assert_int_equal(ae_commits_next(&commits, &commit, &error), AERO_OK);
    assert_int_equal(commit.number, 12);
    assert_int_equal(commit.size, 1);
    assert_int_equal(ae_commits_next(&commits, &commit, &error), AERO_OK);
    assert_null(commit.data);
    const struct {
        size_t place;
        uint8_t value;
    } changes[] = {{16, 0}, /* no gap */
                   {16, 6}, /* beyond `upto` */
                   {16, 5}, /* pieces that are not there */
                   {17, 2}, /* longer than the frame */
                   {17, 0x80} /* cut off */};
    for (size_t index = 0; index < sizeof changes / sizeof changes[0]; index++) {
        uint8_t bad[sizeof good];
        memcpy(bad, good, sizeof good);
        bad[changes[index].place] = changes[index].value;
        frame_make(&of, AE_FRAME_COMMITS, 0, 0, bad, sizeof bad);
        ae_commits_start(&commits, &of.frame);
        assert_int_equal(ae_commits_next(&commits, &commit, &error), AERO_CORRUPT);
    }
}

/* ---- the worked example --------------------------------------------------------------------- */

/* The hexadecimal bytes of the fenced block after a line. */
static size_t example_read(const char *heading, uint8_t *out, size_t capacity)
{
    char path[512];
    char line[256];
    size_t size = 0;
    bool inside = false;
    snprintf(path, sizeof path, "%s", __FILE__);
    *strrchr(path, '/') = '\0';
    strncat(path, "/../../codegen/engine/wal/FORMAT.md", sizeof path - strlen(path) - 1);
    FILE *file = fopen(path, "r");
    if (file == NULL)
        fail_msg("%s is not there", path);
    bool found = false;
    while (fgets(line, sizeof line, file) != NULL) {
        found = found || strncmp(line, heading, strlen(heading)) == 0;
        if (found && strncmp(line, "```", 3) == 0) {
            if (inside)
                break;
            inside = true;
        } else if (inside) {
            const char *at = strchr(line, ':');
            unsigned byte = 0;
            int used = 0;
            for (at = at == NULL ? line : at + 1;
                 sscanf(at, " %2x%n", &byte, &used) == 1 && *at != '|'; at += used) {
                assert_in_range(size, 0, capacity - 1);
                out[size++] = (uint8_t)byte;
                if (at[used] == ' ' && at[used + 1] == ' ')
                    break; /* what follows explains */
            }
        }
    }
    fclose(file);
    return size;
}

static size_t example_make(enum ae_stack stack, uint8_t *out)
{
    framed file;
    framed commits;
    uint8_t operations[512];
    uint8_t payload[600];
    flight_row before;
    flight_row after;
    flight_fill(&before, "UAL1", 35000, "KSEA");
    flight_fill(&after, "UAL1", 34000, "KSEA");
    const size_t inserted = encode(stack, AE_OP_INSERT, NULL, &before, operations, 512);
    const size_t updated = encode(stack, AE_OP_UPDATE, &before, &after, operations + inserted,
                                  512 - inserted);
    const size_t deleted = encode(stack, AE_OP_DELETE, &after, NULL,
                                  operations + inserted + updated, 512 - inserted - updated);
    ae_file_head head = {.format = AE_LOG_FORMAT,
                         .stack = (uint32_t)stack,
                         .schema = 0x1122334455667788u,
                         .number = 1};
    memcpy(head.package, "aerostore", 9);
    frame_make(&file, AE_FRAME_FILE, 0, 0, &head, sizeof head);
    const ae_commits_head numbers = {.after = 1, .upto = 4};
    size_t size = sizeof numbers;
    memcpy(payload, &numbers, sizeof numbers);
    /* Commit 2 inserts and updates, 3 was rolled back, 4 deletes. */
    size += ae_varint_put(payload + size, 1 << 1);
    size += ae_varint_put(payload + size, inserted + updated);
    memcpy(payload + size, operations, inserted + updated);
    size += inserted + updated;
    size += ae_varint_put(payload + size, 2 << 1);
    size += ae_varint_put(payload + size, deleted);
    memcpy(payload + size, operations + inserted + updated, deleted);
    size += deleted;
    frame_make(&commits, AE_FRAME_COMMITS, 128, 0, payload, size);
    memcpy(out, file.bytes, 128);
    memcpy(out + 128, commits.bytes, ae_frame_span(commits.frame.length));
    return 128 + (size_t)ae_frame_span(commits.frame.length);
}

static void example_compare(enum ae_stack stack, const char *heading)
{
    uint8_t made[2048];
    uint8_t told[2048];
    const size_t size = example_make(stack, made);
    const size_t there = example_read(heading, told, sizeof told);
    if (getenv("AE_FORMAT_PRINT") != NULL) /* to write the document anew */
        for (size_t at = 0; at < size; at++)
            printf("%s%02x%s", at % 16 == 0 ? "\n" : " ", made[at], at + 1 == size ? "\n" : "");
    assert_int_equal(there, size);
    assert_memory_equal(told, made, size);
}

static void test_the_worked_example_of_the_row_stack_is_what_is_written(void **state)
{
    (void)state;
    example_compare(AE_STACK_ROW, "### The row stack");
}

static void test_the_worked_example_of_the_logical_stack_is_what_is_written(void **state)
{
    (void)state;
    example_compare(AE_STACK_LOGICAL, "### The logical stack");
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(test_checksum_is_crc32c_by_instruction_and_by_table),
    cmocka_unit_test(test_varints_read_back_and_have_one_form),
    cmocka_unit_test(test_every_flipped_bit_of_a_frame_is_found),
    cmocka_unit_test(test_a_header_out_of_bounds_is_refused_before_its_length_is_used),
    cmocka_unit_test(test_operations_of_the_row_stack_read_back),
    cmocka_unit_test(test_operations_of_the_logical_stack_read_back),
    cmocka_unit_test(test_an_encoder_without_room_says_how_much_it_needs),
    cmocka_unit_test(test_damaged_operations_are_refused_or_mean_something_and_never_read_outside),
    cmocka_unit_test(test_a_commit_frame_whose_numbers_contradict_each_other_is_refused),
    cmocka_unit_test(test_the_worked_example_of_the_row_stack_is_what_is_written),
    cmocka_unit_test(test_the_worked_example_of_the_logical_stack_is_what_is_written),
};

AE_TEST_MAIN(tests)
