/* SPDX-License-Identifier: MIT */

/* Log entries of odd connections: each is one line that is safe to show, or fields of which each
 * has a name, and none is left out for want of room. */

#include "fuzz.h"
#include "fuzz_peer.h"
#include "fuzz_text.h"
#include "greetd/config/section.h"
#include "greetd/journal/entry.h"

#include <sys/uio.h>

/* What sd_journal_sendv() was given. */
static size_t n_fields;

/* Field names of sd_journal_sendv(3). */
static void check_field(const char *field, size_t size)
{
    _cleanup_free_ char *text = strndup(field, size);
    size_t name = strspn(field, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789");

    PROPERTY(text && strlen(text) == size);
    PROPERTY(name > 0 && text[0] != '_' && text[name] == '=' && text[name + 1] != '\0');
    PROPERTY(fuzz_is_printable(text));
}

int sd_journal_sendv(const struct iovec *vectors, int n);
int sd_journal_sendv(const struct iovec *vectors, int n)
{
    for (int i = 0; i < n; i++)
        check_field(vectors[i].iov_base, vectors[i].iov_len);
    n_fields += (size_t)n;
    return 0;
}

static struct connection_record take_record(struct fuzz_input *input, const char *listener)
{
    struct connection_record record = {.listener = listener};

    record.result = (enum result)(fuzz_take_number(input, 1) % RESULT_N);
    record.refusal = (enum refusal)(fuzz_take_number(input, 1) % REFUSAL_N);
    record.proxy_error = (enum proxy_error)(fuzz_take_number(input, 1) % PROXY_ERROR_N);
    record.number = fuzz_take_number(input, 8);
    record.ended_usec = fuzz_take_number(input, 5);
    record.duration_usec = fuzz_take_number(input, 8);
    record.bytes = fuzz_take_number(input, 8);
    record.bytes_acked = fuzz_take_number(input, 8);
    record.rtt_usec = (uint32_t)fuzz_take_number(input, 4);
    record.peer = fuzz_take_peer(input);
    record.proxy = fuzz_take_peer(input);
    return record;
}

/* Counts the fields that RECORD must have, with the four of each entry. */
static size_t count_fields(const struct connection_record *record)
{
    const struct peer *peer = &record->peer;
    size_t n = 4 + 8;

    n += peer_is_internet(peer) || peer->family == AF_VSOCK;
    n += peer->family == AF_UNIX && peer->un.pid > 0;
    n += peer->family == AF_UNIX && peer_has_uid(peer);
    n += record->proxy.family != AF_UNSPEC;
    n += record->refusal != REFUSAL_NONE;
    n += record->rtt_usec > 0;
    return n;
}

static void check_lines(struct sink *sink, const struct connection_record *record, int error)
{
    PROPERTY(entry_write_connection(sink, 1, record) == 0);
    PROPERTY(entry_write_accept_paused(sink, 1, error, record->ended_usec) == 0);
    PROPERTY(entry_write_dropped(sink, record->number) == 0);

    size_t n = 0;
    sink->buffer[sink->filled] = '\0';
    for (char *line = sink->buffer, *end; *line; line = end + 1, n++) {
        end = strchr(line, '\n');
        PROPERTY(end && end > line && (size_t)(end - line) < SINK_MESSAGE_MAX);
        *end = '\0';
        PROPERTY(fuzz_is_printable(line));
    }
    PROPERTY(n == 3);
}

static void check_journal(struct sink *sink, const struct connection_record *record)
{
    sink->journal = true;
    n_fields = 0;
    PROPERTY(entry_write_connection(sink, UINT16_MAX, record) == 0);
    PROPERTY(n_fields == count_fields(record));
}

/* The name of a listener is one that the configuration accepts. */
int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct fuzz_input input = {bytes, size};
    _cleanup_(diagnostics_deinit) struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    _cleanup_free_ char *header = fuzz_take_text(&input, '\n');
    struct sink sink;
    enum section_kind kind;
    const char *name = NULL;
    char shown[SECTION_TEXT_MAX];

    int r = section_parse(&kind, &name, header, "f:1", &diagnostics);
    PROPERTY((r < 0) == (diagnostics.n_errors > 0));
    fuzz_check_lines(&diagnostics, "f:1: ");
    if (r == 0) {
        section_format(kind, name, shown);
        PROPERTY(fuzz_is_printable(shown) && shown[0] == '[' && shown[strlen(shown) - 1] == ']');
    }
    struct connection_record record = take_record(&input, name ? name : "server");
    sink.journal = sink.time_stamps = false;
    sink.filled = 0;
    check_lines(&sink, &record, (int)fuzz_take_number(&input, 2));
    check_journal(&sink, &record);
    return 0;
}
