/* SPDX-License-Identifier: MIT */
#include "reconcile/reconcile.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "client/json.h"
#include "client/output.h"
#include "client/receipt.h"
#include "greetd/base/buffer.h"
#include "reconcile/join.h"
#include "reconcile/log_entry.h"
#include "reconcile/report.h"
#include "reconcile/verdict.h"

/* What was read. */
struct input {
    struct buffer pairs;   /* of struct pair */
    struct buffer entries; /* of struct log_entry */
    struct log_summary log;
};

/* Reads a line without its newline into INPUT. Returns 0, -EINVAL with the reason in ERROR
 * (JSON_ERROR_MAX bytes), or -ENOMEM. */
typedef int read_line_t(struct input *input, const char *line, size_t size, char *error);

static void input_deinit(struct input *input)
{
    buffer_deinit(&input->pairs);
    buffer_deinit(&input->entries);
}

static int read_receipt(struct input *input, const char *line, size_t size, char *error)
{
    struct pair pair = {0};

    int r = receipt_parse(&pair.receipt, line, size, error);
    return r < 0 ? r : buffer_append(&input->pairs, &pair, sizeof(pair), SIZE_MAX);
}

static int read_entry(struct input *input, const char *line, size_t size, char *error)
{
    struct log_entry entry;

    int r = log_entry_parse(&entry, line, size, error);
    if (r < 0)
        return r;
    input->log.left_out += entry.left_out;
    if (entry.kind != LOG_ENTRY_CONNECTION)
        return 0;
    input->log.n_entries++;
    return buffer_append(&input->entries, &entry, sizeof(entry), SIZE_MAX);
}

/* Reads the lines of STREAM up to the first error, which is printed with NAME and the number of the
 * line. */
static int read_lines(struct input *input, FILE *stream, const char *name, read_line_t *read_line)
{
    _cleanup_free_ char *line = NULL;
    char error[JSON_ERROR_MAX];
    size_t capacity = 0, number = 0;
    ssize_t size;
    int r = 0;

    while (r >= 0 && (size = getline(&line, &capacity, stream)) > 0) {
        number++;
        size -= line[size - 1] == '\n' ? 1 : 0;
        line[size] = '\0';
        r = read_line(input, line, (size_t)size, error);
    }
    if (r == -EINVAL)
        output_error("%s:%zu: %s", name, number, error);
    else if (r < 0 || !feof(stream))
        output_error("%s: %s", name, strerror(r < 0 ? -r : errno));
    return r < 0 || feof(stream) ? r : -EIO;
}

static int read_receipts(struct input *input, const char *path)
{
    _cleanup_fclose_ FILE *file = fopen(path, "re");

    if (!file) {
        int r = -errno;

        output_error("%s: %s", path, strerror(-r));
        return r;
    }
    int r = read_lines(input, file, path, read_receipt);
    if (r >= 0 && input->pairs.size == 0) {
        output_error("%s: there are no receipts", path);
        r = -EINVAL;
    }
    return r;
}

enum exit_status reconcile_run(const char *path, bool json)
{
    _cleanup_(input_deinit) struct input input = {.pairs = BUFFER_NULL, .entries = BUFFER_NULL};

    if (read_receipts(&input, path) < 0 ||
        read_lines(&input, stdin, "standard input", read_entry) < 0)
        return EXIT_STATUS_UNABLE;

    struct pair *pairs = (struct pair *)input.pairs.bytes;
    size_t n = input.pairs.size / sizeof(*pairs);
    int64_t others =
        join(pairs, n, (const struct log_entry *)input.entries.bytes, input.log.n_entries);
    if (others < 0) {
        output_error("out of memory");
        return EXIT_STATUS_UNABLE;
    }
    input.log.n_others = (uint64_t)others;

    const struct report report = report_make(pairs, n, &input.log);
    if (json)
        report_print_json(stdout, &report);
    else
        report_print_text(stdout, &report);
    return output_flush() ? verdict_exit_status(report.counts, &report.log) : EXIT_STATUS_UNABLE;
}
