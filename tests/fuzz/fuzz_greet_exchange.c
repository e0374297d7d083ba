/* SPDX-License-Identifier: MIT */

/* What a hostile server does to greet: a probe with --expect or --expect-config, and a load run.
 * The input decides what each system call returns. Greet says that all is well if, and only if, it
 * has received the greeting, byte for byte, and an end of stream. When the input ends, the server
 * is silent, and greet must end by its timeouts. */

#include <stdbool.h>

#include "client/generator.h"
#include "greet/probe.h"
#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/greeting/template.h"
#include "support/null_stderr.h"
#include "support/server.h"

#define TIMEOUT_USEC 1000000

/* A greeting of a configuration, and an example of it. */
#define TEMPLATE "Hello $connection from $remote_addr\\n"
#define EXAMPLE  "Hello 42 from 192.0.2.7\n"

static struct {
    struct greeting *plain, *variable;
} texts;

static void make_texts(void)
{
    struct diagnostics diagnostics = DIAGNOSTICS_NULL;
    const char *why;
    size_t offset;

    PROPERTY(template_compile_escapes(&texts.plain, "Hello from server!\\n", &why, &offset) == 0);
    PROPERTY(template_compile(&texts.variable, TEMPLATE, "fuzz", "Message", &diagnostics) == 0);
    diagnostics_deinit(&diagnostics);
}

void output_set_timeout(uint64_t timeout_usec)
{
    PROPERTY(timeout_usec == TIMEOUT_USEC || timeout_usec == USEC_INFINITY);
}

int output_write(int fd, const char *bytes, size_t size, uint64_t due_usec)
{
    PROPERTY(fd == STDOUT_FILENO && bytes && size > 0 && due_usec > 0);
    return 0;
}

/* Whether BYTES are a greeting of TEMPLATE. */
static bool is_variable_greeting(const char *bytes, size_t size)
{
    static const char begin[] = "Hello ", end[] = " from 192.0.2.7\n";
    size_t n_begin = sizeof(begin) - 1, n_end = sizeof(end) - 1;

    if (size <= n_begin + n_end || memcmp(bytes, begin, n_begin) != 0 ||
        memcmp(bytes + size - n_end, end, n_end) != 0)
        return false;
    for (size_t i = n_begin; i < size - n_end; i++)
        if (bytes[i] < '0' || bytes[i] > '9')
            return false;
    return true;
}

static bool is_right(const struct server_connection *connection)
{
    return server.has_variables
               ? is_variable_greeting(connection->bytes, connection->size)
               : connection->size == texts.plain->size &&
                     memcmp(connection->bytes, texts.plain->bytes, connection->size) == 0;
}

/* A number may be too long for a connection, so that only the other direction holds then. */
static void check_status(enum exit_status status)
{
    const struct server_connection *last = &server.connections[server.n > 0 ? server.n - 1 : 0];
    bool ended = server.n > 0 && last->ended && !last->reset;

    PROPERTY(status != EXIT_STATUS_OK || (ended && is_right(last)));
    PROPERTY(!ended || is_right(last) || status == EXIT_STATUS_WRONG);
    if (!server.has_variables)
        PROPERTY(!ended || !is_right(last) || status == EXIT_STATUS_OK);
}

static struct address make_address(unsigned kind, unsigned number)
{
    if (kind & 1)
        return (struct address){.un = {.sun_family = AF_UNIX, .sun_path = "/run/greetd"},
                                .length = sizeof(struct sockaddr_un)};
    return (struct address){.in = {.sin_family = AF_INET,
                                   .sin_port = htons(79),
                                   .sin_addr.s_addr = htonl(0xc0000201 + number)},
                            .length = sizeof(struct sockaddr_in)};
}

static struct exchange_proxy make_proxy(unsigned kind)
{
    return (struct exchange_proxy){
        .version = (enum proxy_version)(kind % 3),
        .source = {.family = AF_INET, .port = 1000, .in.s_addr = htonl(0xc0000207)}};
}

static void probe(unsigned flags)
{
    struct address addresses[3];
    struct resolve_list list = {.addresses = addresses, .n = 1 + (flags >> 6) % 3};
    struct config_listener listener = {.name = "fuzz", .greeting = texts.variable};
    const struct arguments arguments = {.timeout_usec = TIMEOUT_USEC,
                                        .quiet = flags & 4,
                                        .explain = flags & 8,
                                        .send = flags & 16 ? "GET / HTTP/1.0\\r\\n" : NULL,
                                        .proxy = make_proxy(flags & 32 ? server_take() : 0)};
    const struct probe_expected expected = {.greeting = server.has_variables ? NULL : texts.plain,
                                            .listener = server.has_variables ? &listener : NULL};

    for (unsigned i = 0; i < list.n; i++)
        addresses[i] = make_address(server.has_variables ? 0 : server_take(), i);
    FILE *before = null_stderr();
    enum exit_status status = probe_run(&arguments, &list, &expected);
    stderr = before;
    check_status(status);
}

static void check_result(const struct generator_options *options, const struct load_result *result,
                         int r)
{
    uint64_t n_outcomes = 0, n_right = 0;

    for (unsigned i = 0; i < OUTCOMES; i++)
        n_outcomes += result->outcomes[i];
    for (unsigned i = 0; i < server.n; i++)
        n_right += server.connections[i].ended && !server.connections[i].reset &&
                   is_right(&server.connections[i]);
    PROPERTY(n_outcomes == result->finished);
    PROPERTY(result->outcomes[OUTCOME_OK] == n_right);
    PROPERTY(result->finished + result->unfinished <= options->connections);
    PROPERTY(r < 0 || result->interrupted || result->finished == options->connections);
}

static void load(unsigned flags)
{
    struct generator_options options = {
        .request = {.to = make_address(flags >> 2, 0),
                    .proxy = make_proxy(flags >> 3 & 3),
                    .size = flags & 32 ? 40000 : 0},
        .expected = texts.plain,
        .connections = 1 + server_take() % 12,
        .concurrent = 1 + server_take() % 6,
        .rate = flags & 64 ? 100 : 0,
        .timeout_usec = TIMEOUT_USEC,
        .hold_usec = flags & 128 ? 50000 : 0,
    };
    struct load_result *result = calloc(1, sizeof(*result));

    PROPERTY(result);
    FILE *before = null_stderr();
    int r = generator_run(&options, result);
    stderr = before;
    check_result(&options, result, r);
    free(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    if (!texts.plain)
        make_texts();
    memset(&server, 0, sizeof(server));
    server.input = (struct fuzz_input){bytes, size};
    server.now_usec = 1000000000;
    unsigned flags = server_take();
    server.has_variables = (flags & 3) == 1;
    server.example = server.has_variables ? EXAMPLE : texts.plain->bytes;
    server.example_size = server.has_variables ? strlen(EXAMPLE) : texts.plain->size;
    server.active = true;
    if (flags & 2)
        load(flags);
    else
        probe(flags);
    server.active = false;
    for (unsigned i = 0; i < SERVER_FDS; i++)
        PROPERTY(!server.open[i]);
    PROPERTY(refcount_is_one(&texts.plain->references));
    PROPERTY(refcount_is_one(&texts.variable->references));
    return 0;
}
