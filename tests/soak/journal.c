/* SPDX-License-Identifier: MIT */

/* The journal of the soak: takes entries in the native protocol, and counts those of connections.
 *
 *     soak-journal SOCKET MESSAGES
 *
 * It adds the message of every other entry to the file MESSAGES, a line each. For each line on
 * standard input it reads what is in the socket and writes its counts since the beginning: a line
 * "LISTENER RESULT REASON N" for each (- without a reason), and "done N". At the end of standard
 * input it exits. Only fields without newlines are understood, as greetd sends them.
 */

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define ENTRY_MAX  65536
#define COUNTS_MAX 256
#define KEY_MAX    64

struct journal {
    int fd;
    FILE *messages;
    struct {
        char key[KEY_MAX];
        unsigned long n;
    } counts[COUNTS_MAX];
    size_t n_counts;
    unsigned long n;
};

static _Noreturn void fail(const char *subject)
{
    perror(subject);
    exit(2);
}

/* Copies the value of the field NAME of ENTRY, or "-". */
static void copy_field(const char *entry, const char *name, char *ret, size_t size)
{
    size_t length = strlen(name);

    snprintf(ret, size, "-");
    for (const char *line = entry; line; line = strchr(line, '\n')) {
        line += *line == '\n';
        if (strncmp(line, name, length) == 0 && line[length] == '=') {
            snprintf(ret, size, "%.*s", (int)strcspn(line + length + 1, "\n"), line + length + 1);
            return;
        }
    }
}

static void count(struct journal *journal, const char *key)
{
    size_t i = 0;

    while (i < journal->n_counts && strcmp(journal->counts[i].key, key) != 0)
        i++;
    if (i == COUNTS_MAX)
        fail("too many kinds of entries");
    if (i == journal->n_counts) {
        snprintf(journal->counts[i].key, KEY_MAX, "%s", key);
        journal->n_counts++;
    }
    journal->counts[i].n++;
    journal->n++;
}

static void take(struct journal *journal, const char *entry)
{
    char listener[20], result[20], reason[20], message[512], key[KEY_MAX];

    copy_field(entry, "GREETD_RESULT", result, sizeof(result));
    if (result[0] == '-') {
        copy_field(entry, "MESSAGE", message, sizeof(message));
        fprintf(journal->messages, "%s\n", message);
        fflush(journal->messages);
        return;
    }
    copy_field(entry, "GREETD_LISTENER", listener, sizeof(listener));
    copy_field(entry, "GREETD_REASON", reason, sizeof(reason));
    snprintf(key, sizeof(key), "%s %s %s", listener, result, reason);
    count(journal, key);
}

/* Takes all entries that are in the socket. */
static void drain(struct journal *journal)
{
    static char entry[ENTRY_MAX];
    ssize_t n;

    while ((n = recv(journal->fd, entry, sizeof(entry) - 1, MSG_DONTWAIT)) >= 0) {
        entry[n] = '\0';
        take(journal, entry);
    }
}

static void print_counts(const struct journal *journal)
{
    for (size_t i = 0; i < journal->n_counts; i++)
        printf("%s %lu\n", journal->counts[i].key, journal->counts[i].n);
    printf("done %lu\n", journal->n);
    fflush(stdout);
}

static int open_socket(const char *path)
{
    static const int size = 8 << 20;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        fail(path);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
    return fd;
}

int main(int argc, char *argv[])
{
    static struct journal journal;
    char line[64];

    if (argc != 3) {
        fprintf(stderr, "soak-journal SOCKET MESSAGES\n");
        return 2;
    }
    journal.fd = open_socket(argv[1]);
    journal.messages = fopen(argv[2], "ae");
    if (!journal.messages)
        fail(argv[2]);
    printf("ready\n");
    fflush(stdout);

    struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN},
                           {.fd = journal.fd, .events = POLLIN}};
    while (poll(fds, 2, -1) > 0) {
        drain(&journal);
        if (fds[0].revents == 0)
            continue;
        if (read(STDIN_FILENO, line, sizeof(line)) <= 0)
            break;
        drain(&journal);
        print_counts(&journal);
    }
    fclose(journal.messages);
    close(journal.fd);
    return 0;
}
