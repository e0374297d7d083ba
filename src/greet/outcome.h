/* SPDX-License-Identifier: MIT */
#pragma once

/* What can become of a connection, and what greet's exit status says of it. */

enum outcome {
    OUTCOME_OK,
    OUTCOME_REFUSED,     /* nobody listens there */
    OUTCOME_RESET,       /* the server, or someone between, broke it off */
    OUTCOME_SHORT,       /* the end of stream came before the end of the greeting */
    OUTCOME_WRONG,       /* another byte than expected, or more of them */
    OUTCOME_TIMEOUT,     /* no end of stream within --timeout */
    OUTCOME_UNREACHABLE, /* no way there, or no permission */
    OUTCOME_NO_PORT,     /* this machine had no local port left: no fault of the server's */
    OUTCOMES,
};

/* The exit status, for monitoring. The greater one is the worse, but for EXIT_STATUS_UNABLE, where
 * greet has found out nothing about the server. */
enum exit_status {
    EXIT_STATUS_OK = 0,
    EXIT_STATUS_WRONG = 1,  /* another greeting than expected */
    EXIT_STATUS_LOST = 2,   /* refused, unreachable, timed out or reset */
    EXIT_STATUS_UNABLE = 3, /* a bad command line, or greet itself failed */
};

/* Sorts an errno (positive) of connect(2), send(2) or recv(2): see tcp(7), ip(7) and unix(7). */
enum outcome outcome_from_errno(int error);

/* Its name, for a person or as a key: `ok`, `refused`, `no_port`. Static text. */
const char *outcome_name(enum outcome outcome);

enum exit_status outcome_exit_status(enum outcome outcome);
