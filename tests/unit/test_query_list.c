/* The parser of Tcl lists: shapes, escapes, positions of errors, Tcl itself as the judge, bounds.
 *
 * links: base shm row index/key.c !row/version* query api/api_query.c generated/market
 */
#include "harness.h"

#include <unistd.h>

#include "query/list.h"
#include "query_fake.h"

/* Everything a list holds, as "<item><item>…", or "error: …". */
static void show(const char *text, size_t length, char *out, size_t room)
{
    aei_pool pool = {0};
    aei_list list;
    aei_item item;
    aero_error error;
    int more;
    size_t used = 0;
    out[0] = '\0';
    aei_list_start(&list, &(aei_item){.data = text, .length = length}, &pool);
    while ((more = aei_list_next(&list, &item, &error)) > 0)
        used += (size_t)snprintf(out + used, room - used, "<%.*s>", (int)item.length, item.data);
    if (more < 0)
        snprintf(out, room, "error: %.500s", error.text);
    aei_pool_free(&pool);
}

static void check(const char *text, const char *wanted)
{
    char out[2 * AERO_ERROR_TEXT_MAX];
    show(text, strlen(text), out, sizeof out);
    assert_string_equal(out, wanted);
}

/* Goal: every shape of an item is taken apart as in Tcl; method: examples with their answers. */
static void list_items(void **state)
{
    (void)state;
    check("", "");
    check(" \t\n\v\f\r ", "");
    check("a", "<a>");
    check("  a  b\tc\n", "<a><b><c>");
    check("{a b} c", "<a b><c>");
    check("{a {b c} d}", "<a {b c} d>");
    check("{} {}", "<><>");
    check("\"a b\" \"\"", "<a b><>");
    check("a{b c}d", "<a{b><c}d>");
    check("a\"b c\"d", "<a\"b><c\"d>");
    check("{a\\}b}", "<a\\}b>");
    check("{a\\{b} c", "<a\\{b><c>");
    check("\"a\\\"b\"", "<a\"b>");
    check("a\\ b", "<a b>");
    check("\\{ \\} \\\"", "<{><}><\">");
    check("\\a\\b\\f\\n\\r\\t\\v", "<\a\b\f\n\r\t\v>");
    check("\\x41\\x4a\\xe9 \\u00e9 \\U0001F600", "<AJ\xc3\xa9><\xc3\xa9><\xf0\x9f\x98\x80>");
    check("\\x \\u \\q \\xzz", "<x><u><q><xzz>");
    check("\\101\\7 \\1234", "<A\a><S4>");
    check("a\\\n   b", "<a b>");
    check("\\", "<\\>");
    check("\xc3\xa9\\\xc3\xa9", "<\xc3\xa9\xc3\xa9>");
    check("$x [exec touch /tmp/x] ;", "<$x><[exec><touch></tmp/x]><;>");
}

/* Goal: a broken list is an error that names the byte; method: examples. */
static void list_errors(void **state)
{
    (void)state;
    check("a {b", "error: parse error: unmatched open brace in list (at byte 2)");
    check("{a}b c", "error: parse error: list element in braces followed by \"b\" instead of space "
                    "(at byte 3)");
    check("x \"a", "error: parse error: unmatched open quote in list (at byte 2)");
    check("\"a\"b", "error: parse error: list element in quotes followed by \"b\" instead of space "
                    "(at byte 3)");
    check("{a\\}", "error: parse error: unmatched open brace in list (at byte 0)");
    check("ab\\ud800", "error: parse error: the escape \\uD800 is half of a character (at byte 2)");
}

/* Goal: positions hold inside nested items; method: a list in a list in a list. */
static void list_positions(void **state)
{
    (void)state;
    aei_pool pool = {0};
    aei_list outer;
    aei_list inner;
    aei_item item;
    aero_error error;
    aei_list_start(&outer, &(aei_item){.data = "a {bb {cc dd}} e\\ f", .length = 20}, &pool);
    assert_int_equal(aei_list_next(&outer, &item, &error), 1);
    assert_int_equal(item.position, 0);
    assert_int_equal(aei_list_next(&outer, &item, &error), 1);
    assert_int_equal(item.position, 3);
    aei_list_start(&inner, &item, &pool);
    assert_int_equal(aei_list_next(&inner, &item, &error), 1);
    assert_int_equal(aei_list_next(&inner, &item, &error), 1);
    assert_int_equal(item.position, 7);
    aei_list_start(&inner, &item, &pool);
    assert_int_equal(aei_list_next(&inner, &item, &error), 1);
    assert_int_equal(aei_list_next(&inner, &item, &error), 1);
    assert_int_equal(item.position, 10);
    assert_int_equal(aei_list_next(&outer, &item, &error), 1);
    assert_int_equal(item.position, 15);
    assert_true(item.copied);
    aei_pool_free(&pool);
}

/* What Tcl says of each line of hexadecimal: "E", or a dot and the hexadecimal of each item. */
static const char judge[] =
    "fconfigure stdout -translation lf\n"
    "while {[gets stdin line] >= 0} {\n"
    "    set text [encoding convertfrom utf-8 [binary decode hex $line]]\n"
    "    if {[catch {llength $text}]} { puts E; continue }\n"
    "    set out {}\n"
    "    foreach item $text {\n"
    "        append out . [binary encode hex [encoding convertto utf-8 $item]]\n"
    "    }\n"
    "    puts $out\n"
    "}\n";

static void our_answer(const char *text, size_t length, char *out)
{
    aei_pool pool = {0};
    aei_list list;
    aei_item item;
    aero_error error;
    int more;
    char *at = out;
    aei_list_start(&list, &(aei_item){.data = text, .length = length}, &pool);
    while ((more = aei_list_next(&list, &item, &error)) > 0) {
        *at++ = '.';
        for (size_t i = 0; i < item.length; i++)
            at += snprintf(at, 3, "%02x", (unsigned char)item.data[i]);
    }
    *at = '\0';
    if (more < 0)
        memcpy(out, "E", 2);
    aei_pool_free(&pool);
}

/* Goal: random texts fall apart as in Tcl; method: feed the same to tclsh and compare. */
static void list_agrees_with_tcl(void **state)
{
    (void)state;
    static const char *const pieces[] = {"{", "}",  "\"", "\\", " ", "\t", "\n", "a",
                                         "x", "u4", "1",  "0",  "é", "$",  "[",  "\\x4"};
    enum { ROUNDS = 20000, LONGEST = 14 };
    char folder[] = "/tmp/aerostore-list-XXXXXX";
    char path[64];
    char command[160];
    uint64_t random = new_seed();
    if (system("command -v tclsh >/dev/null 2>&1") != 0)
        skip();
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/judge.tcl", folder);
    FILE *script = fopen(path, "w");
    assert_non_null(script);
    fputs(judge, script);
    fclose(script);
    char(*texts)[LONGEST * 3 + 1] = calloc(ROUNDS, sizeof *texts);
    snprintf(command, sizeof command, "tclsh %s/judge.tcl >%s/out", folder, folder);
    FILE *tclsh = popen(command, "w");
    assert_non_null(tclsh);
    for (int round = 0; round < ROUNDS; round++) {
        const size_t count = random_word(&random) % LONGEST + 1;
        for (size_t i = 0; i < count; i++)
            strcat(texts[round], pieces[random_word(&random) % 16]);
        for (const char *c = texts[round]; *c != '\0'; c++)
            fprintf(tclsh, "%02x", (unsigned char)*c);
        fputc('\n', tclsh);
    }
    assert_int_equal(pclose(tclsh), 0);
    snprintf(path, sizeof path, "%s/out", folder);
    FILE *answers = fopen(path, "r");
    assert_non_null(answers);
    for (int round = 0; round < ROUNDS; round++) {
        char theirs[512];
        char ours[512];
        assert_non_null(fgets(theirs, sizeof theirs, answers));
        theirs[strcspn(theirs, "\n")] = '\0';
        our_answer(texts[round], strlen(texts[round]), ours);
        if (strcmp(theirs, ours) != 0)
            fail_msg("text \"%s\": Tcl %s, we %s", texts[round], theirs, ours);
    }
    fclose(answers);
    free(texts);
    unlink(path);
    snprintf(path, sizeof path, "%s/judge.tcl", folder);
    unlink(path);
    rmdir(folder);
}

/* Goal: a million levels of braces cost no stack and little time; method: nest, balanced or not. */
static void list_deep_nesting_is_iterative(void **state)
{
    (void)state;
    enum { DEPTH = 1000000 };
    aei_pool pool = {0};
    aei_list list;
    aei_item item;
    aero_error error;
    char *text = malloc(2 * DEPTH);
    memset(text, '{', DEPTH);
    memset(text + DEPTH, '}', DEPTH);
    aei_list_start(&list, &(aei_item){.data = text, .length = 2 * DEPTH}, &pool);
    assert_int_equal(aei_list_next(&list, &item, &error), 1);
    assert_int_equal(item.length, 2 * DEPTH - 2);
    assert_int_equal(aei_list_next(&list, &item, &error), 0);
    aei_list_start(&list, &(aei_item){.data = text, .length = 2 * DEPTH - 1}, &pool);
    assert_int_equal(aei_list_next(&list, &item, &error), -1);
    assert_int_equal(error.code, AERO_PARSE);
    assert_int_equal(error.line, 0);
    free(text);
    aei_pool_free(&pool);
}

static const struct CMUnitTest tests[] = {
    cmocka_unit_test(list_items),
    cmocka_unit_test(list_errors),
    cmocka_unit_test(list_positions),
    cmocka_unit_test(list_agrees_with_tcl),
    cmocka_unit_test(list_deep_nesting_is_iterative),
};

AE_TEST_MAIN(tests)
