/* SPDX-License-Identifier: MIT */
#include "reconcile/verdict.h"

static const struct {
    const char *name, *text;
    enum exit_status status;
} verdicts[VERDICTS] = {
    [VERDICT_SERVED] = {"served", "served: the client has the whole greeting, and greetd says so",
                        EXIT_STATUS_OK},
    [VERDICT_UNCONFIRMED] = {"unconfirmed",
                             "served: the client has the whole greeting, which greetd has sent but "
                             "not seen acknowledged",
                             EXIT_STATUS_OK},
    [VERDICT_UNLOGGED] = {"unlogged",
                          "served: the client has the whole greeting, but greetd has no entry",
                          EXIT_STATUS_OK},
    [VERDICT_UNFINISHED] = {"unfinished", "unfinished: greet was interrupted", EXIT_STATUS_OK},
    [VERDICT_WRONG] = {"wrong", "wrong: both sides say the same, but the greeting is not expected",
                       EXIT_STATUS_WRONG},
    [VERDICT_CONTRADICTED] = {"contradicted",
                              "contradicted: what the two sides say can't both be true",
                              EXIT_STATUS_WRONG},
    [VERDICT_CLIENT] = {"client", "broken by the client: it gave up, or had no local port",
                        EXIT_STATUS_LOST},
    [VERDICT_NETWORK] = {"network",
                         "broken on the way: there was no route, or neither side has ended the "
                         "connection before all had arrived",
                         EXIT_STATUS_LOST},
    [VERDICT_GREETD] = {"greetd",
                        "broken by greetd: it ended the connection too early, or ended itself",
                        EXIT_STATUS_LOST},
    [VERDICT_REFUSED] = {"refused", "refused by greetd, for a reason", EXIT_STATUS_LOST},
    [VERDICT_UNACCEPTED] = {"unaccepted",
                            "broken before greetd: it has not accepted the client, or too late",
                            EXIT_STATUS_LOST},
    [VERDICT_UNKNOWN] = {"unknown",
                         "unknown: the client was not served, and the entry may have been left out",
                         EXIT_STATUS_LOST},
};

const char *verdict_name(enum verdict verdict)
{
    return verdicts[verdict].name;
}

const char *verdict_text(enum verdict verdict)
{
    return verdicts[verdict].text;
}

bool verdict_is_bad(enum verdict verdict)
{
    return verdicts[verdict].status != EXIT_STATUS_OK;
}

/* Of a client that is not served. Bytes and an end of stream show that greetd had accepted it: a
 * client in the queue of a socket that is closed sees a reset. */
static enum verdict judge_without_entry(const struct receipt *receipt,
                                        const struct log_summary *log)
{
    bool may_be_left_out = log->left_out > 0 || log->n_entries == 0;

    switch (receipt->end) {
    case OUTCOME_REFUSED:
        return VERDICT_UNACCEPTED;
    case OUTCOME_UNREACHABLE:
        return VERDICT_NETWORK;
    case OUTCOME_NO_PORT:
        return VERDICT_CLIENT;
    case OUTCOME_WRONG:
        return VERDICT_WRONG;
    default:
        if (may_be_left_out)
            return VERDICT_UNKNOWN;
        return receipt->bytes > 0 || receipt->end == OUTCOME_SHORT ? VERDICT_GREETD
                                                                   : VERDICT_UNACCEPTED;
    }
}

static enum verdict judge_served(const struct receipt *receipt, const struct log_entry *entry)
{
    if (!entry)
        return VERDICT_UNLOGGED;
    if (entry->result == RESULT_REFUSED || entry->bytes != receipt->bytes)
        return VERDICT_CONTRADICTED;
    return entry->result == RESULT_DELIVERED ? VERDICT_SERVED : VERDICT_UNCONFIRMED;
}

/* Whether the client has all that greetd has sent, or the beginning of what differs. */
static bool is_another_greeting(const struct receipt *receipt, const struct log_entry *entry)
{
    if (receipt->end == OUTCOME_WRONG)
        return receipt->bytes <= entry->bytes;
    return receipt->end == OUTCOME_SHORT && receipt->bytes == entry->bytes &&
           (entry->result == RESULT_DELIVERED || entry->result == RESULT_UNCONFIRMED);
}

/* Of a client without the whole greeting. */
static enum verdict judge_broken(const struct receipt *receipt, const struct log_entry *entry)
{
    bool gave_up = receipt->end == OUTCOME_TIMEOUT;
    bool gave_up_first = gave_up && entry->ended_usec >= receipt->end_usec;

    if (receipt->end == OUTCOME_REFUSED || receipt->bytes > entry->bytes)
        return VERDICT_CONTRADICTED;
    if (gave_up && entry->accepted_usec > receipt->end_usec)
        return VERDICT_UNACCEPTED;
    switch (entry->result) {
    case RESULT_DELIVERED:
        return receipt->bytes < entry->bytes ? VERDICT_CONTRADICTED : VERDICT_NETWORK;
    case RESULT_UNCONFIRMED:
        return VERDICT_NETWORK;
    case RESULT_RESET:
        return gave_up ? VERDICT_CLIENT : VERDICT_NETWORK;
    default:
        return gave_up_first ? VERDICT_CLIENT : VERDICT_GREETD;
    }
}

enum verdict verdict_of(const struct pair *pair, const struct log_summary *log)
{
    const struct receipt *receipt = &pair->receipt;
    const struct log_entry *entry = pair->entry;

    if (receipt->end == OUTCOME_OK)
        return judge_served(receipt, entry);
    if (receipt->end == RECEIPT_UNFINISHED)
        return VERDICT_UNFINISHED;
    if (!entry)
        return judge_without_entry(receipt, log);
    if (entry->result == RESULT_REFUSED)
        return VERDICT_REFUSED;
    return is_another_greeting(receipt, entry) ? VERDICT_WRONG : judge_broken(receipt, entry);
}

enum exit_status verdict_exit_status(const uint64_t counts[VERDICTS], const struct log_summary *log)
{
    enum exit_status status = EXIT_STATUS_OK;

    for (enum verdict i = 0; i < VERDICTS; i++)
        if (counts[i] > 0 && verdicts[i].status > status)
            status = verdicts[i].status;
    if (status == EXIT_STATUS_OK && counts[VERDICT_UNLOGGED] > log->left_out)
        status = EXIT_STATUS_WRONG;
    return status;
}
