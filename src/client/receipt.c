/* SPDX-License-Identifier: MIT */
#include "client/receipt.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/vm_sockets.h>
#include <string.h>

#include "greetd/base/cleanup.h"
#include "greetd/base/clock.h"
#include "greetd/base/parse.h"
#include "greetd/base/text.h"

#define VSOCK "vsock:"

enum member {
    MEMBER_NUMBER,
    MEMBER_ADDRESS,
    MEMBER_PORT,
    MEMBER_PID,
    MEMBER_PROXY_ADDRESS,
    MEMBER_PROXY_PORT,
    MEMBER_PROXY_PID,
    MEMBER_BYTES,
    MEMBER_END,
    MEMBER_CONNECT_USEC,
    MEMBER_END_USEC,
    MEMBERS,
};

static const char *const member_names[MEMBERS] = {
    [MEMBER_NUMBER] = "number",
    [MEMBER_ADDRESS] = "address",
    [MEMBER_PORT] = "port",
    [MEMBER_PID] = "pid",
    [MEMBER_PROXY_ADDRESS] = "proxy_address",
    [MEMBER_PROXY_PORT] = "proxy_port",
    [MEMBER_PROXY_PID] = "proxy_pid",
    [MEMBER_BYTES] = "bytes",
    [MEMBER_END] = "end",
    [MEMBER_CONNECT_USEC] = "connect_usec",
    [MEMBER_END_USEC] = "end_usec",
};

const char *receipt_end_name(enum outcome end)
{
    return end == RECEIPT_UNFINISHED ? "unfinished" : outcome_name(end);
}

struct peer receipt_peer(const char *host, uint32_t port, uint32_t pid)
{
    struct peer peer = {.family = AF_UNSPEC};
    char address[INET6_ADDRSTRLEN];
    size_t length = strcspn(host, "%");
    uint64_t cid = (uint32_t)VMADDR_CID_ANY;

    if (strcmp(host, "unix") == 0) {
        peer =
            peer_from_sockaddr(&(struct sockaddr){.sa_family = AF_UNIX}, sizeof(struct sockaddr));
        peer.un.pid = pid;
    } else if (strncmp(host, VSOCK, strlen(VSOCK)) == 0) {
        const char *text = host + strlen(VSOCK);

        if (text[0] == '\0' || parse_unsigned(&cid, text, 0, UINT32_MAX) >= 0)
            peer = (struct peer){.family = AF_VSOCK, .vm = {.cid = (uint32_t)cid, .port = port}};
    } else if (port <= UINT16_MAX && length < sizeof(address)) {
        *(char *)mempcpy(address, host, length) = '\0';
        peer.port = (uint16_t)port;
        if (inet_pton(AF_INET, address, &peer.in) == 1)
            peer.family = AF_INET;
        else if (inet_pton(AF_INET6, address, &peer.in6) == 1)
            peer.family = AF_INET6;
    }
    return peer;
}

uint32_t receipt_port(const struct peer *peer)
{
    if (peer_is_internet(peer))
        return peer->port;
    return peer->family == AF_VSOCK ? peer->vm.port : 0;
}

int receipt_read_number(uint64_t *ret, const struct json_member *member, uint64_t max, char *error)
{
    if (member->taken && parse_unsigned(ret, member->text, 0, max) >= 0)
        return 0;
    snprintf(error, JSON_ERROR_MAX, "%s is not a number up to %" PRIu64, member->name, max);
    return -EINVAL;
}

int receipt_read_peer(struct peer *ret, const struct json_member *host,
                      const struct json_member *port, const struct json_member *pid, char *error)
{
    uint64_t port_number = 0, pid_number = 0;

    if ((port->taken && receipt_read_number(&port_number, port, UINT32_MAX, error) < 0) ||
        (pid->taken && receipt_read_number(&pid_number, pid, UINT32_MAX, error) < 0))
        return -EINVAL;
    *ret = receipt_peer(host->taken ? host->text : "", (uint32_t)port_number, (uint32_t)pid_number);
    return 0;
}

/* Reads the three members of an address, if they are there. */
static int read_peer(struct peer *ret, const struct json_member *members, char *error)
{
    const struct json_member *host = &members[0];

    int r = receipt_read_peer(ret, host, &members[1], &members[2], error);
    if (r < 0 || !host->taken || ret->family != AF_UNSPEC)
        return r;
    snprintf(error, JSON_ERROR_MAX, "%s is not an address", host->name);
    return -EINVAL;
}

static int read_end(enum outcome *ret, const struct json_member *member, char *error)
{
    for (enum outcome end = 0; end <= RECEIPT_UNFINISHED; end++)
        if (member->taken && strcmp(member->text, receipt_end_name(end)) == 0) {
            *ret = end;
            return 0;
        }
    snprintf(error, JSON_ERROR_MAX, "%s is none of those in greet(1)", member->name);
    return -EINVAL;
}

int receipt_parse(struct receipt *ret, const char *line, size_t size, char *error)
{
    struct json_member members[MEMBERS];
    struct receipt receipt = {.client.family = AF_UNSPEC, .proxy.family = AF_UNSPEC};
    const struct {
        uint64_t *to;
        enum member member;
    } numbers[] = {
        {&receipt.number, MEMBER_NUMBER},
        {&receipt.bytes, MEMBER_BYTES},
        {&receipt.connect_usec, MEMBER_CONNECT_USEC},
        {&receipt.end_usec, MEMBER_END_USEC},
    };

    for (enum member i = 0; i < MEMBERS; i++)
        members[i].name = member_names[i];
    int r = json_read_object(members, MEMBERS, line, size, error);
    for (size_t i = 0; i < ELEMENTSOF(numbers) && r >= 0; i++)
        r = receipt_read_number(numbers[i].to, &members[numbers[i].member], UINT64_MAX, error);
    if (r >= 0)
        r = read_peer(&receipt.client, &members[MEMBER_ADDRESS], error);
    if (r >= 0)
        r = read_peer(&receipt.proxy, &members[MEMBER_PROXY_ADDRESS], error);
    if (r >= 0)
        r = read_end(&receipt.end, &members[MEMBER_END], error);
    if (r >= 0)
        *ret = receipt;
    return r;
}

static char *write_number(char *to, const char *name, uint64_t number)
{
    return text_write_decimal(stpcpy(stpcpy(stpcpy(to, ",\""), name), "\":"), number);
}

static char *write_text(char *to, const char *name, const char *text)
{
    return stpcpy(stpcpy(stpcpy(stpcpy(stpcpy(to, ",\""), name), "\":\""), text), "\"");
}

/* Writes the members of PEER, of which FIRST is that of the address. */
static char *write_peer(char *to, const struct peer *peer, enum member first)
{
    struct peer named = *peer;
    char host[ADDRESS_TEXT_MAX];

    if (peer->family == AF_UNSPEC)
        return to;
    named.scope = 0; /* an interface may have any name, and another one on the other side */
    to = write_text(to, member_names[first], peer_format_host(&named, host));
    if (peer->family != AF_UNIX)
        return write_number(to, member_names[first + 1], receipt_port(peer));
    return peer->un.pid > 0 ? write_number(to, member_names[first + 2], peer->un.pid) : to;
}

/* Writes TEXT, which address_format() has made of printable ASCII, as a JSON string. */
static char *write_quoted(char *to, const char *text)
{
    *to++ = '"';
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            *to++ = '\\';
        *to++ = *text;
    }
    return stpcpy(to, "\"");
}

size_t receipt_format(char *buffer, const struct receipt *receipt, const char *server)
{
    char *to = text_write_decimal(stpcpy(buffer, "{\"number\":"), receipt->number);

    to = write_quoted(stpcpy(to, ",\"server\":"), server);
    to = write_peer(to, &receipt->client, MEMBER_ADDRESS);
    to = write_peer(to, &receipt->proxy, MEMBER_PROXY_ADDRESS);
    to = write_number(to, member_names[MEMBER_BYTES], receipt->bytes);
    to = write_text(to, member_names[MEMBER_END], receipt_end_name(receipt->end));
    to = write_number(to, member_names[MEMBER_CONNECT_USEC], receipt->connect_usec);
    to = write_number(to, member_names[MEMBER_END_USEC], receipt->end_usec);
    return (size_t)(stpcpy(to, "}\n") - buffer);
}

int receipts_open(struct receipts *ret, const char *path, const struct address *server)
{
    FILE *file = fopen(path, "we");

    if (!file)
        return -errno;
    *ret = (struct receipts){.file = file};
    address_format(server, ret->server);
    setvbuf(file, ret->buffer, _IOFBF, sizeof(ret->buffer));
    return 0;
}

void receipts_add(struct receipts *receipts, const struct exchange_request *request,
                  const struct exchange *exchange, enum outcome end, uint64_t start_usec,
                  uint64_t now_usec)
{
    struct receipt receipt = {.number = exchange->number, .bytes = exchange->received, .end = end};
    char line[RECEIPT_MAX];

    if (!receipts)
        return;
    receipt.end_usec = clock_now_of(CLOCK_REALTIME);
    receipt.connect_usec = receipt.end_usec - (now_usec - start_usec);
    receipt.client = exchange_client(exchange, request);
    if (exchange_has_source(request))
        receipt.proxy = exchange->own;
    size_t size = receipt_format(line, &receipt, receipts->server);
    if (fwrite(line, 1, size, receipts->file) < size)
        receipts->error = -errno;
}

int receipts_close(struct receipts *receipts)
{
    if (fclose(receipts->file) != 0)
        receipts->error = -errno;
    return receipts->error;
}
