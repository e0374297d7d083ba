# SPDX-License-Identifier: MIT
"""The mutants without a defect, and why the sources have the stronger order all the same; and the
sources that no scenario reaches."""

ONE_SUM = "no other counter is compared with it; one order for all sums is simpler"
AFTER_SUM = "the acquire of the sum that is read before orders it; one order for all sums is simpler"
OWN = "only the main thread writes it, and that thread reads it here"

KEPT = {
    "journal/logger.c: count_lost(): seq_cst load: relaxed":
        "the thread has ended; if it is blocked, the number is a lower bound",
    "journal/logger.c: count_lost() #2: seq_cst load: relaxed":
        "the thread has ended; if it is blocked, the number is a lower bound",
    "journal/writer.c: wait_for_entries(): seq_cst load: relaxed":
        "the fence of waker_prepare() orders it; it costs nothing",
    "metrics/metrics.c: metrics_free(): seq_cst load: relaxed": OWN,
    "metrics/metrics.c: find_listener(): acquire load: relaxed": OWN,
    "metrics/metrics.c: metrics_results(): acquire load: relaxed": ONE_SUM,
    "metrics/metrics.c: metrics_times(): acquire load: relaxed": AFTER_SUM,
    "metrics/metrics.c: metrics_log_dropped(): acquire load: relaxed": ONE_SUM,
    "metrics/metrics.c: metrics_log_dropped() #2: acquire load: relaxed": ONE_SUM,
    "worker/pool.c: pool_idle_since(): acquire load: relaxed":
        "idle exit looks again after pool_settled(), which orders it",
    "worker/worker.c: publish_round(): release store: relaxed":
        "idle exit looks again after pool_settled(), which orders it",
}

# Sources with an order of memory that are in no mutant.
NOT_MODELLED = {
    "base/refcount.h": "the usual count: README.md names it among what is not shown",
    "client/resolve.c": "greet's: its thread has one flag and a count of two references",
    "guard/sources.c": "a lock around each bucket: README.md names it among what is not shown",
    "metrics/prometheus.c": "it prints counters, which the scenarios of metrics.h and metrics.c count",
    "net/listener.c": "a count of users: README.md names it among what is not shown",
}
