/* SPDX-License-Identifier: MIT */
#include "client/receipt.h"

#include <criterion/criterion.h>
#include <criterion/parameterized.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <string.h>

#include "greetd/base/clock.h"
#include "support/net.h"
#include "support/temp_dir.h"

#define NUMBERS "\"number\":7,\"bytes\":18,\"connect_usec\":1000,\"end_usec\":2000"

static char error[JSON_ERROR_MAX];

static struct receipt parse(const char *line)
{
    struct receipt receipt = {0};

    cr_assert_eq(receipt_parse(&receipt, line, strlen(line), error), 0, "%s: %s", line, error);
    return receipt;
}

static void refuse(const char *line, const char *why)
{
    struct receipt receipt;

    cr_expect_eq(receipt_parse(&receipt, line, strlen(line), error), -EINVAL, "%s", line);
    cr_expect_str_eq(error, why, "%s", line);
}

static void expect_peer(const struct peer *peer, const char *text)
{
    char buffer[ADDRESS_TEXT_MAX];

    cr_expect_str_eq(peer_format(peer, buffer), text);
}

Test(receipt, has_what_the_client_saw)
{
    struct receipt receipt =
        parse("{" NUMBERS ",\"end\":\"ok\",\"address\":\"192.0.2.1\",\"port\":4000,"
              "\"server\":\"192.0.2.2:79\",\"more\":[1]}");

    expect_peer(&receipt.client, "192.0.2.1:4000");
    cr_expect_eq(receipt.proxy.family, AF_UNSPEC);
    cr_expect_eq(receipt.number, 7);
    cr_expect_eq(receipt.bytes, 18);
    cr_expect_eq(receipt.connect_usec, 1000);
    cr_expect_eq(receipt.end_usec, 2000);
    cr_expect_eq(receipt.end, OUTCOME_OK);
}

Test(receipt, has_each_end)
{
    for (enum outcome end = 0; end <= RECEIPT_UNFINISHED; end++) {
        char line[256];

        snprintf(line, sizeof(line), "{" NUMBERS ",\"end\":\"%s\"}", receipt_end_name(end));
        cr_expect_eq(parse(line).end, end);
    }
    cr_expect_str_eq(receipt_end_name(RECEIPT_UNFINISHED), "unfinished");
}

/* Criterion copies a row into the process of its test, but not the memory a pointer points to. */
struct address_row {
    char members[128];
    char client[48], proxy[48]; /* as peer_format() writes it */
};

ParameterizedTestParameters(receipt, has_addresses)
{
    static struct address_row rows[] = {
        {"\"bytes\":0", "unknown", "unknown"},
        {"\"address\":\"2001:db8::1\",\"port\":1", "[2001:db8::1]:1", "unknown"},
        {"\"address\":\"fe80::1%eth0\",\"port\":2", "[fe80::1]:2", "unknown"},
        {"\"address\":\"unix\",\"pid\":12", "unix:pid=12", "unknown"},
        {"\"address\":\"unix\"", "unix", "unknown"},
        {"\"address\":\"vsock:3\",\"port\":70000", "vsock:3:70000", "unknown"},
        {"\"address\":\"vsock:\",\"port\":5", "vsock::5", "unknown"},
        {"\"address\":\"192.0.2.1\",\"port\":3,\"proxy_address\":\"::1\",\"proxy_port\":4",
         "192.0.2.1:3", "[::1]:4"},
        {"\"address\":\"unix\",\"proxy_address\":\"unix\",\"proxy_pid\":5", "unix", "unix:pid=5"},
    };

    return cr_make_param_array(struct address_row, rows, sizeof(rows) / sizeof(rows[0]));
}

ParameterizedTest(struct address_row *row, receipt, has_addresses)
{
    char line[512];

    snprintf(line, sizeof(line),
             "{\"number\":7,%s%s,\"connect_usec\":1,\"end_usec\":2,\"end\":\"ok\"}", row->members,
             strstr(row->members, "bytes") ? "" : ",\"bytes\":1");
    struct receipt receipt = parse(line);
    expect_peer(&receipt.client, row->client);
    expect_peer(&receipt.proxy, row->proxy);
}

Test(receipt, without_a_member_is_refused)
{
    refuse("{}", "number is not a number up to 18446744073709551615");
    refuse("{\"number\":1}", "bytes is not a number up to 18446744073709551615");
    refuse("{\"number\":1,\"bytes\":-1}", "bytes is not a number up to 18446744073709551615");
    refuse("{" NUMBERS "}", "end is none of those in greet(1)");
    refuse("{" NUMBERS ",\"end\":\"lost\"}", "end is none of those in greet(1)");
    refuse("{" NUMBERS, "byte 59: a comma or } is missing");
}

Test(receipt, with_a_wrong_address_is_refused)
{
    const char *addresses[] = {"",          "192.0.2", "192.0.2.1.1", "vsock:x",
                               "localhost", "[::1]",   "unknown",     "vsock:4294967296",
                               "%eth0",     "::1%",    NULL};
    char line[512];

    for (size_t i = 0; addresses[i]; i++) {
        struct receipt receipt;

        snprintf(line, sizeof(line), "{" NUMBERS ",\"end\":\"ok\",\"address\":\"%s\"}",
                 addresses[i]);
        int r = receipt_parse(&receipt, line, strlen(line), error);
        cr_expect_eq(r, strcmp(addresses[i], "::1%") == 0 ? 0 : -EINVAL, "%s", addresses[i]);
    }
    refuse("{" NUMBERS ",\"end\":\"ok\",\"address\":\"::1\",\"port\":65536}",
           "address is not an address");
    refuse("{" NUMBERS ",\"end\":\"ok\",\"address\":\"::1\",\"port\":\"x\"}",
           "port is not a number up to 4294967295");
    refuse("{" NUMBERS ",\"end\":\"ok\",\"address\":\"unix\",\"pid\":4294967296}",
           "pid is not a number up to 4294967295");
    refuse("{" NUMBERS ",\"end\":\"ok\",\"proxy_address\":\"x\"}",
           "proxy_address is not an address");
    refuse("{" NUMBERS ",\"end\":\"ok\",\"address\":\"1111:2222:3333:4444:5555:6666:7777:8888:9999:"
           "1\"}",
           "address is not an address");
}

/* Writes RECEIPT and reads it again. */
static void expect_same(const struct receipt *receipt)
{
    char line[RECEIPT_MAX];
    size_t size = receipt_format(line, receipt, "127.0.0.1:79");
    struct receipt again;
    char ours[ADDRESS_TEXT_MAX], theirs[ADDRESS_TEXT_MAX];

    cr_assert_lt(size, sizeof(line));
    cr_assert_eq(line[size - 1], '\n');
    again = parse(line);
    cr_expect_str_eq(peer_format(&again.client, theirs), peer_format(&receipt->client, ours));
    cr_expect_str_eq(peer_format(&again.proxy, theirs), peer_format(&receipt->proxy, ours));
    cr_expect_eq(again.number, receipt->number);
    cr_expect_eq(again.bytes, receipt->bytes);
    cr_expect_eq(again.connect_usec, receipt->connect_usec);
    cr_expect_eq(again.end_usec, receipt->end_usec);
    cr_expect_eq(again.end, receipt->end);
}

Test(receipt, is_read_as_it_was_written)
{
    const struct peer peers[] = {
        {.family = AF_UNSPEC},
        receipt_peer("255.255.255.255", 65535, 0),
        receipt_peer("1111:2222:3333:4444:5555:6666:7777:8888", 65535, 0),
        receipt_peer("unix", 0, UINT32_MAX),
        receipt_peer("unix", 0, 0),
        receipt_peer("vsock:4294967294", UINT32_MAX, 0),
        receipt_peer("vsock:", 1, 0),
    };
    const size_t n = sizeof(peers) / sizeof(peers[0]);

    for (size_t i = 0; i < n * n; i++)
        expect_same(&(struct receipt){.client = peers[i / n],
                                      .proxy = peers[i % n],
                                      .number = UINT64_MAX,
                                      .bytes = UINT64_MAX,
                                      .connect_usec = UINT64_MAX,
                                      .end_usec = UINT64_MAX,
                                      .end = RECEIPT_UNFINISHED});
}

Test(receipt, of_a_link_local_address_has_no_interface)
{
    struct receipt receipt = {.client = receipt_peer("fe80::1", 1, 0), .end = OUTCOME_OK};

    receipt.client.scope = 1;
    char line[RECEIPT_MAX];
    receipt_format(line, &receipt, "");
    cr_expect_not_null(strstr(line, "\"address\":\"fe80::1\""), "%s", line);
}

/* Reads the whole file at PATH as text. */
static void read_file(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");

    cr_assert_not_null(file);
    text[fread(text, 1, size - 1, file)] = '\0';
    fclose(file);
}

Test(receipts, are_lines_with_the_address_of_the_server)
{
    struct temp_dir dir;
    static struct receipts receipts;
    const struct exchange_request request = {.to = net_address("/a\"\\b")};
    const struct exchange exchange = {
        .number = 1, .received = 18, .own = receipt_peer("unix", 0, 9)};
    char text[1024];

    temp_dir_init(&dir);
    const char *path = temp_dir_path(&dir, "receipts");
    uint64_t before = clock_now_of(CLOCK_REALTIME);
    cr_assert_eq(receipts_open(&receipts, path, &request.to), 0);
    receipts_add(&receipts, &request, &exchange, OUTCOME_SHORT, 1000, 3500);
    receipts_add(NULL, &request, &exchange, OUTCOME_SHORT, 1000, 3500);
    cr_assert_eq(receipts_close(&receipts), 0);
    uint64_t after = clock_now_of(CLOCK_REALTIME);

    read_file(path, text, sizeof(text));
    cr_assert_eq(text[strlen(text) - 1], '\n');
    text[strlen(text) - 1] = '\0';
    struct receipt receipt = parse(text);
    cr_expect_not_null(strstr(text, ",\"server\":\"/a\\\"\\\\b\","), "%s", text);
    cr_expect_eq(receipt.number, 1);
    cr_expect_eq(receipt.bytes, 18);
    cr_expect_eq(receipt.end, OUTCOME_SHORT);
    cr_expect_eq(receipt.end_usec - receipt.connect_usec, 2500);
    cr_expect(before <= receipt.end_usec && receipt.end_usec <= after);
    expect_peer(&receipt.client, "unix:pid=9");
    temp_dir_deinit(&dir);
}

Test(receipts, name_the_source_in_the_header_and_its_sender)
{
    struct temp_dir dir;
    static struct receipts receipts;
    struct exchange_request request = {.to = net_address("127.0.0.1:79"),
                                       .proxy = {.version = PROXY_V2, .n_variable = 8}};
    const struct exchange exchange = {.number = 5, .own = receipt_peer("127.0.0.1", 4000, 0)};
    char text[1024];

    temp_dir_init(&dir);
    const char *path = temp_dir_path(&dir, "receipts");
    cr_assert_eq(receipts_open(&receipts, path, &request.to), 0);
    receipts_add(&receipts, &request, &exchange, OUTCOME_OK, 0, 0);
    request.proxy.source = receipt_peer("192.0.2.0", 49152, 0);
    receipts_add(&receipts, &request, &exchange, OUTCOME_OK, 0, 0);
    cr_assert_eq(receipts_close(&receipts), 0);

    read_file(path, text, sizeof(text));
    char *second = strchr(text, '\n') + 1;
    second[-1] = second[strlen(second) - 1] = '\0';
    struct receipt own = parse(text), proxied = parse(second);
    expect_peer(&own.client, "127.0.0.1:4000");
    expect_peer(&own.proxy, "unknown");
    expect_peer(&proxied.client, "192.0.2.5:49152");
    expect_peer(&proxied.proxy, "127.0.0.1:4000");
    temp_dir_deinit(&dir);
}

Test(receipts, that_cannot_be_written_are_an_error)
{
    static struct receipts receipts;
    const struct exchange_request request = {.to = net_address("127.0.0.1:79")};

    cr_expect_eq(receipts_open(&receipts, "/no/such/folder/file", &request.to), -ENOENT);
    cr_assert_eq(receipts_open(&receipts, "/dev/full", &request.to), 0);
    receipts_add(&receipts, &request, &(struct exchange){.number = 1}, OUTCOME_OK, 0, 0);
    cr_expect_eq(receipts.error, 0);
    cr_expect_eq(receipts_close(&receipts), -ENOSPC);

    cr_assert_eq(receipts_open(&receipts, "/dev/full", &request.to), 0);
    for (uint64_t i = 1; receipts.error == 0 && i < 10000; i++)
        receipts_add(&receipts, &request, &(struct exchange){.number = i}, OUTCOME_OK, 0, 0);
    cr_expect_eq(receipts.error, -ENOSPC);
    receipts_add(&receipts, &request, &(struct exchange){.number = 1}, OUTCOME_OK, 0, 0);
    cr_expect_eq(receipts_close(&receipts), -ENOSPC);
}
