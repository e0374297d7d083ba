/* SPDX-License-Identifier: MIT */
#include "memory.h"

#include <string.h>

#include "explore.h"
#include "races.h"

#define MESSAGES 32
/* The time between two messages; a message in between takes half of what is left. */
#define TIME_STEP (1U << 20)

struct message {
    uint32_t time;
    unsigned writer; /* a thread */
    bool released;
    bool taken; /* read by a read-modify-write, which is the next message */
    uint64_t value;
    struct view view; /* released with it */
};

struct location {
    volatile void *address;
    size_t size;
    unsigned n;
    struct message messages[MESSAGES];
};

struct thread_views {
    struct view now;
    struct view acquired; /* what an acquire fence would join */
    struct view released; /* at the last release fence */
};

/* The hooks that compilers call have no argument for it. */
static struct {
    unsigned n_locations;
    struct location locations[MEMORY_LOCATIONS];
    struct thread_views threads[MEMORY_THREADS];
    struct view sequential; /* shared by the fences with seq_cst */
} memory;

static bool acquires(memory_order order)
{
    return order != memory_order_relaxed && order != memory_order_release;
}

static bool releases(memory_order order)
{
    return order == memory_order_release || order == memory_order_acq_rel ||
           order == memory_order_seq_cst;
}

static void join_seen(struct view *view, const struct view *other)
{
    for (unsigned i = 0; i < memory.n_locations; i++)
        if (other->seen[i] > view->seen[i])
            view->seen[i] = other->seen[i];
}

static void join(struct view *view, const struct view *other)
{
    join_seen(view, other);
    for (unsigned i = 0; i < MEMORY_THREADS; i++)
        if (other->clock[i] > view->clock[i])
            view->clock[i] = other->clock[i];
}

static void tick(unsigned thread)
{
    memory.threads[thread].now.clock[thread]++;
}

void memory_reset(void)
{
    memset(memory.threads, 0, sizeof(memory.threads));
    memset(&memory.sequential, 0, sizeof(memory.sequential));
    memory.n_locations = 0;
    races_reset();
    tick(0);
}

void memory_start_thread(unsigned thread, unsigned parent)
{
    struct thread_views *views = &memory.threads[thread];

    *views = (struct thread_views){.now = memory.threads[parent].now};
    views->acquired = views->now;
    tick(thread);
    tick(parent);
}

/* Joins OTHER into what THREAD has seen. */
static void acquire(unsigned thread, const struct view *other)
{
    join(&memory.threads[thread].now, other);
    join(&memory.threads[thread].acquired, other);
}

void memory_join_thread(unsigned thread, unsigned ended)
{
    acquire(thread, &memory.threads[ended].now);
}

void memory_synchronise(unsigned thread, struct view *view)
{
    acquire(thread, view);
    join(view, &memory.threads[thread].now);
    tick(thread);
}

static uint64_t read_object(const volatile void *address, size_t size)
{
    uint64_t value = 0;

    memcpy(&value, (const void *)address, size);
    return value;
}

unsigned memory_location(const volatile void *address, size_t size)
{
    for (unsigned i = 0; i < memory.n_locations; i++)
        if (memory.locations[i].address == address)
            return i;
    if (memory.n_locations == MEMORY_LOCATIONS)
        explore_give_up("too many atomic objects");

    struct location *location = &memory.locations[memory.n_locations];
    location->address = (volatile void *)address;
    location->size = size;
    location->n = 1;
    location->messages[0] = (struct message){.value = read_object(address, size)};
    return memory.n_locations++;
}

/* Inserts a message behind that at INDEX. */
static struct message *insert(struct location *location, unsigned index)
{
    struct message *message = &location->messages[index + 1];
    uint32_t before = message[-1].time, time = before + TIME_STEP;

    if (index + 1 < location->n)
        time = before + (message->time - before) / 2;
    if (location->n == MESSAGES || time == before)
        explore_give_up("too many messages");
    memmove(message + 1, message, (location->n - index - 1) * sizeof(*message));
    location->n++;
    *message = (struct message){.time = time};
    return message;
}

static bool is_within(const struct view *view, const struct view *other)
{
    for (unsigned i = 0; i < memory.n_locations; i++)
        if (view->seen[i] > other->seen[i])
            return false;
    for (unsigned i = 0; i < MEMORY_THREADS; i++)
        if (view->clock[i] > other->clock[i])
            return false;
    return true;
}

/* Chooses the message that THREAD loads. A message is left out if an older one has the same value
 * and orders less: a thread that has read the older one can do all that it can do otherwise. */
static unsigned choose_load(unsigned thread, unsigned index)
{
    struct location *location = &memory.locations[index];
    unsigned good[MESSAGES], n = 0;

    for (unsigned i = 0; i < location->n; i++) {
        const struct message *message = &location->messages[i];
        bool is_new = message->time >= memory.threads[thread].now.seen[index];

        for (unsigned j = 0; is_new && j < n; j++)
            is_new = message->value != location->messages[good[j]].value ||
                     !is_within(&location->messages[good[j]].view, &message->view);
        if (is_new)
            good[n++] = i;
    }
    return good[n - 1 - explore_choose(n)];
}

/* Chooses one of the messages that the thread may still read, the newest first, for which IS_GOOD.
 */
static unsigned choose_message(unsigned thread, unsigned index,
                               bool (*is_good)(const struct message *, const uint64_t *),
                               const uint64_t *expected)
{
    struct location *location = &memory.locations[index];
    unsigned good[MESSAGES], n = 0;

    for (unsigned i = location->n; i-- > 0;) {
        const struct message *message = &location->messages[i];

        if (message->time >= memory.threads[thread].now.seen[index] && is_good(message, expected))
            good[n++] = i;
    }
    return good[explore_choose(n)];
}

static bool is_not_taken(const struct message *message, const uint64_t *expected)
{
    (void)expected;
    return !message->taken;
}

/* A failing one only loads. */
static bool is_for_compare_exchange(const struct message *message, const uint64_t *expected)
{
    return !message->taken || message->value != *expected;
}

static uint64_t read_message(unsigned thread, unsigned index, const struct message *message,
                             memory_order order)
{
    struct thread_views *views = &memory.threads[thread];

    views->now.seen[index] = message->time;
    if (views->acquired.seen[index] < message->time)
        views->acquired.seen[index] = message->time;
    join(acquires(order) ? &views->now : &views->acquired, &message->view);
    if (acquires(order))
        join(&views->acquired, &views->now);
    explore_trace("reads", message->value);
    return message->value;
}

/* Stores VALUE behind the message at PLACE. READ is the view of the message that a
 * read-modify-write has read, or NULL. */
static void write_message(unsigned thread, unsigned index, unsigned place, uint64_t value,
                          memory_order order, const struct view *read)
{
    struct thread_views *views = &memory.threads[thread];
    struct location *location = &memory.locations[index];
    struct message *message = insert(location, place);

    message->value = value;
    message->writer = thread;
    message->released = releases(order);
    views->now.seen[index] = views->acquired.seen[index] = message->time;
    message->view = releases(order) ? views->now : views->released;
    message->view.seen[index] = message->time;
    if (read)
        join(&message->view, read);
    /* For what reads the object in another way, after all threads. */
    memcpy((void *)location->address, &location->messages[location->n - 1].value, location->size);
    tick(thread);
    explore_trace("writes", value);
}

static void check_atomic(unsigned thread, unsigned index, bool write)
{
    const struct location *location = &memory.locations[index];

    memory_check(thread, location->address, location->size, write, true);
}

uint64_t memory_load(unsigned thread, unsigned location, memory_order order)
{
    unsigned i = choose_load(thread, location);

    check_atomic(thread, location, false);
    return read_message(thread, location, &memory.locations[location].messages[i], order);
}

void memory_store(unsigned thread, unsigned location, uint64_t value, memory_order order)
{
    unsigned i = choose_message(thread, location, is_not_taken, NULL);

    check_atomic(thread, location, true);
    write_message(thread, location, i, value, order, NULL);
}

bool memory_repeats(unsigned thread, unsigned location, uint64_t value, memory_order order)
{
    const struct location *l = &memory.locations[location];
    const struct message *newest = &l->messages[l->n - 1];

    return l->n > 1 && newest->value == value && newest->writer == thread &&
           newest->released <= releases(order);
}

void memory_settle(void)
{
    for (unsigned i = 0; i < memory.n_locations; i++) {
        const struct location *location = &memory.locations[i];

        for (unsigned j = 0; j < MEMORY_THREADS; j++) {
            struct thread_views *views = &memory.threads[j];
            views->now.seen[i] = views->acquired.seen[i] = location->messages[location->n - 1].time;
        }
    }
}

/* Reads the message at PLACE and stores VALUE right behind it. */
static void replace(unsigned thread, unsigned index, unsigned place, uint64_t value,
                    memory_order order)
{
    struct message *message = &memory.locations[index].messages[place];
    struct view read = message->view;

    check_atomic(thread, index, true);
    (void)read_message(thread, index, message, order);
    message->taken = true;
    write_message(thread, index, place, value, order, &read);
}

uint64_t memory_modify(unsigned thread, unsigned location, memory_update *update, uint64_t operand,
                       memory_order order)
{
    unsigned i = choose_message(thread, location, is_not_taken, NULL);
    uint64_t before = memory.locations[location].messages[i].value;

    replace(thread, location, i, update(before, operand), order);
    return before;
}

bool memory_compare_exchange(unsigned thread, unsigned location, uint64_t *expected,
                             uint64_t desired, memory_order order, memory_order failed)
{
    unsigned i = choose_message(thread, location, is_for_compare_exchange, expected);
    struct message *message = &memory.locations[location].messages[i];

    if (message->value == *expected) {
        replace(thread, location, i, desired, order);
        return true;
    }
    check_atomic(thread, location, false);
    *expected = read_message(thread, location, message, failed);
    return false;
}

void memory_fence(unsigned thread, memory_order order)
{
    struct thread_views *views = &memory.threads[thread];

    if (acquires(order))
        join(&views->now, &views->acquired);
    if (order == memory_order_seq_cst) {
        join_seen(&memory.sequential, &views->now);
        join_seen(&views->now, &memory.sequential);
        join_seen(&views->acquired, &views->now);
    }
    if (releases(order))
        views->released = views->now;
    tick(thread);
    explore_trace("fence", (uint64_t)order);
}

void memory_check(unsigned thread, const volatile void *address, size_t size, bool write,
                  bool atomic)
{
    races_check(thread, memory.threads[thread].now.clock, address, size, write, atomic);
}

void memory_free(unsigned thread, const void *block)
{
    races_free(thread, memory.threads[thread].now.clock, block);
}
