/* SPDX-License-Identifier: MIT */
#include "load_input.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>

/* A PROXY header of version 2 for an IPv6 client. Its numbers are big-endian. */
struct header {
    char signature[12];
    uint8_t command, family;
    uint16_t length;                       /* of the rest */
    uint32_t prefix, number, interface[2]; /* the source */
    struct in6_addr destination;
    uint16_t source_port, destination_port;
};

_Noreturn void fail(const char *subject)
{
    perror(subject);
    exit(2);
}

struct bytes read_file(const char *path)
{
    FILE *file = fopen(path, "re");
    struct stat st;

    if (!file || fstat(fileno(file), &st) < 0 || (size_t)st.st_size > INPUT_FILE_MAX)
        fail(path);
    struct bytes bytes = {.size = (size_t)st.st_size};
    bytes.text = malloc(bytes.size + 1);
    if (!bytes.text || fread(bytes.text, 1, bytes.size, file) != bytes.size)
        fail(path);
    fclose(file);
    return bytes;
}

void input_use_header(struct input *input, unsigned long first_prefix)
{
    input->has_header = true;
    input->first_prefix = first_prefix;
    input->bytes.size = sizeof(struct header);
}

static struct header header_of(const struct input *input, unsigned long client)
{
    return (struct header){
        .signature = "\r\n\r\n\0\r\nQUIT\n",
        .command = 0x21, /* version 2, PROXY */
        .family = 0x21,  /* IPv6, stream */
        .length = htons(sizeof(struct header) - offsetof(struct header, prefix)),
        .prefix = htonl(0x20010db8),
        .number = htonl((uint32_t)(input->first_prefix + client)),
        .source_port = htons(4000),
    };
}

/* Sends what is left of the input, up to the end of the SIZE BYTES that it repeats. */
static ssize_t send_more(const struct input *input, int fd, const void *bytes, size_t size,
                         size_t offset)
{
    size_t begin = offset % size, left = input->bytes.size - offset;

    if (left > size - begin)
        left = size - begin;
    return send(fd, (const char *)bytes + begin, input->byte_by_byte ? 1 : left, MSG_NOSIGNAL);
}

ssize_t input_send(const struct input *input, int fd, unsigned long client, size_t offset)
{
    static const char zeros[16 * 1024];

    if (input->has_header) {
        struct header header = header_of(input, client);

        return send_more(input, fd, &header, sizeof(header), offset);
    }
    if (input->bytes.text)
        return send_more(input, fd, input->bytes.text, input->bytes.size, offset);
    return send_more(input, fd, zeros, sizeof(zeros), offset);
}
