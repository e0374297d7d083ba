/* SPDX-License-Identifier: MIT */

/* What systemd's own tests read as times, booleans, sizes, addresses, networks and names of units,
 * and what greetd reads: tests/vectors. tests/integration/test_systemd_vectors.py asks both about
 * all but the units. */

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <inttypes.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/base/parse.h"
#include "greetd/base/unit_state.h"
#include "greetd/guard/network.h"
#include "greetd/net/address.h"
#include "support/vectors.h"

#define ROWS_MAX 256
#define ERROR    "-"

/* Criterion copies a row into the process of its test, and nothing that the row would point to. */
struct row {
    char text[264], systemd[128], greetd[128], why[128];
};

/* Removes blanks at both ends of TEXT, as the readers of both configurations do. */
static void strip(char *text)
{
    size_t leading = strspn(text, " \t");

    memmove(text, text + leading, strlen(text + leading) + 1);
    for (char *end = text + strlen(text); end > text && strchr(" \t", end[-1]); end--)
        end[-1] = '\0';
}

static struct criterion_test_params read_rows(const char *name)
{
    static struct row rows[ROWS_MAX];
    const char *columns[VECTOR_COLUMNS], *end;
    char line[1024];
    size_t n = 0;

    FILE *file = vectors_open(name);
    for (; vectors_next(file, line, sizeof(line), columns); n++) {
        struct row *row = &rows[n];

        cr_assert_lt(n, (size_t)ROWS_MAX);
        vectors_unquote(columns[0], row->text, sizeof(row->text), &end);
        strip(row->text);
        strcpy(row->systemd, columns[1]);
        strcpy(row->greetd, strcmp(columns[2], "=") == 0 ? columns[1] : columns[2]);
        strcpy(row->why, columns[3]);
    }
    fclose(file);
    return cr_make_param_array(struct row, rows, n);
}

/* Checks that greetd reads GREETD in the text of ROW, and that a difference has a reason. */
static void check(const struct row *row, const char *greetd)
{
    bool differs = strcmp(greetd, row->systemd) != 0;

    cr_expect_str_eq(greetd, row->greetd, "\"%s\" is %s", row->text, greetd);
    cr_expect_eq(differs, row->why[0] != '\0', "\"%s\" is %s", row->text, greetd);
}

static void check_number(const struct row *row, int r, uint64_t number)
{
    char text[24];

    if (number == UINT64_MAX)
        strcpy(text, "infinity");
    else
        sprintf(text, "%" PRIu64, number);
    check(row, r < 0 ? ERROR : text);
}

ParameterizedTestParameters(vectors, a_time)
{
    return read_rows("time");
}

ParameterizedTest(struct row *row, vectors, a_time)
{
    uint64_t usec = 0;
    int r = parse_timespan(&usec, row->text);

    check_number(row, r, usec);
}

ParameterizedTestParameters(vectors, a_boolean)
{
    return read_rows("boolean");
}

ParameterizedTest(struct row *row, vectors, a_boolean)
{
    bool value = false;
    int r = parse_boolean(&value, row->text);

    check(row, r < 0 ? ERROR : value ? "yes" : "no");
}

ParameterizedTestParameters(vectors, a_size)
{
    return read_rows("size");
}

ParameterizedTest(struct row *row, vectors, a_size)
{
    uint64_t size = 0;
    int r = parse_size(&size, row->text);

    check_number(row, r, size);
}

ParameterizedTestParameters(vectors, an_address)
{
    return read_rows("address");
}

/* The interface of an address is looked up only if there is one of this name. */
ParameterizedTest(struct row *row, vectors, an_address)
{
    struct address address;
    char text[ADDRESS_TEXT_MAX + sizeof(address.interface)] = ERROR;
    const char *why;

    if (address_parse(&address, row->text, &why) == 0) {
        bool has_no_interface = address_find_interface(&address) < 0;

        address_format(&address, text);
        if (has_no_interface)
            sprintf(strchr(text, ']'), "%%%s]:%d", address.interface, ntohs(address.in6.sin6_port));
    }
    check(row, text);
}

ParameterizedTestParameters(vectors, a_network)
{
    return read_rows("network");
}

ParameterizedTest(struct row *row, vectors, a_network)
{
    struct network networks[NETWORKS_OF_WORD];
    char text[NETWORKS_OF_WORD * NETWORK_TEXT_MAX] = ERROR, *p = text;
    int n = network_parse(networks, row->text, strlen(row->text));

    for (int i = 0; i < n; i++) {
        if (i > 0)
            *p++ = ' ';
        network_format(&networks[i], p);
        p += strlen(p);
    }
    check(row, text);
}

ParameterizedTestParameters(vectors, a_unit)
{
    return read_rows("unit");
}

/* A name that is empty is an error of the template, before it is checked. */
ParameterizedTest(struct row *row, vectors, a_unit)
{
    size_t offset;

    if (row->text[0] != '\0')
        check(row, unit_state_check_name(row->text, &offset) ? ERROR : "valid");
}

/* Criterion passes a parameterised test without rows. */
Test(vectors, every_table_has_rows)
{
    static const char *const names[] = {"time", "boolean", "size", "address", "network", "unit"};

    for (size_t i = 0; i < ELEMENTSOF(names); i++)
        cr_expect_gt(read_rows(names[i]).length, 10u, "%s", names[i]);
}

/* test_format_timespan_one() of systemd's test-time-util.c. */
Test(vectors, a_time_that_is_written_is_read_again)
{
    static const uint64_t usecs[] = {
        0,      1,      1000000,  999000,         1234567,      12,      123,     1234,
        12345,  123456, 1234567,  1200000,        1230000,      1234000, 1234500, 1234560,
        986087, 500000, 12345678, 56803679999977, USEC_INFINITY};

    for (size_t i = 0; i < ELEMENTSOF(usecs); i++) {
        char text[TIMESPAN_TEXT_MAX];
        uint64_t usec = 4711;

        cr_expect_eq(parse_timespan(&usec, format_timespan(usecs[i], text)), 0, "%s", text);
        cr_expect_eq(usec, usecs[i], "%s: %" PRIu64, text, usec);
    }
}
