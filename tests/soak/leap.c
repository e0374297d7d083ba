/* SPDX-License-Identifier: MIT */

/* Makes the clocks of a program leap, and all that waits by them: for LD_PRELOAD. The file
 * $LEAP_FILE has struct leap, which the test changes while the program runs. A wait for a time
 * looks at it every few milliseconds, as if the time had passed. CLOCK_MONOTONIC, CLOCK_BOOTTIME
 * and CLOCK_REALTIME leap apart from each other: a suspended machine's CLOCK_MONOTONIC stands
 * still, and an administrator changes CLOCK_REALTIME alone. Naps of clock_nanosleep(2) and the
 * kernel's own timers, those of TCP and file times, do not leap. */

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NSEC_PER_SEC INT64_C(1000000000)
#define SLICE_MSEC   5
#define TIMERS_MAX   64
#define THREADS_MAX  60

struct leap {
    _Atomic int64_t realtime, monotonic, boottime; /* nanoseconds, added to each clock */
    _Atomic int64_t request;
    _Atomic int64_t idle[THREADS_MAX]; /* by thread: the last request after which it was idle; -1:
                                          it is not */
};

/* A timer with a time that was set: absolute, and of a clock that leaps. */
struct timer {
    int fd; /* 0: none */
    clockid_t clock;
    struct itimerspec set; /* it_value 0: off */
    int64_t armed_with;    /* what was subtracted from SET */
};

static struct leap *leap;
static atomic_uint n_threads;
static _Thread_local unsigned thread; /* from 1 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct timer timers[TIMERS_MAX];

__attribute__((constructor)) static void map_leap(void)
{
    static struct leap none;
    const char *path = getenv("LEAP_FILE");
    int fd = path ? open(path, O_RDWR | O_CLOEXEC) : -1;
    void *map =
        fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*leap), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    leap = map == MAP_FAILED ? &none : map;
    if (fd >= 0)
        close(fd);
}

static int64_t offset_of(clockid_t clock)
{
    switch (clock) {
    case CLOCK_REALTIME:
    case CLOCK_REALTIME_COARSE:
        return leap ? atomic_load(&leap->realtime) : 0;
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_COARSE:
        return leap ? atomic_load(&leap->monotonic) : 0;
    case CLOCK_BOOTTIME:
        return leap ? atomic_load(&leap->boottime) : 0;
    default:
        return 0;
    }
}

static int64_t to_nsec(const struct timespec *t)
{
    return (int64_t)t->tv_sec * NSEC_PER_SEC + t->tv_nsec;
}

static struct timespec to_timespec(int64_t nsec)
{
    return (struct timespec){.tv_sec = (time_t)(nsec / NSEC_PER_SEC),
                             .tv_nsec = (long)(nsec % NSEC_PER_SEC)};
}

int clock_gettime(clockid_t clock, struct timespec *ret)
{
    long r = syscall(SYS_clock_gettime, clock, ret);

    if (r == 0)
        *ret = to_timespec(to_nsec(ret) + offset_of(clock));
    return (int)r;
}

static int64_t now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return to_nsec(&t);
}

/* Sets the kernel's timer to the time that TIMER has on the clock that does not leap. */
static int arm(struct timer *timer, int flags, struct itimerspec *old)
{
    struct itimerspec real = timer->set;
    int64_t nsec = to_nsec(&real.it_value);

    timer->armed_with = offset_of(timer->clock);
    if (nsec > 0)
        real.it_value = to_timespec(nsec > timer->armed_with ? nsec - timer->armed_with : 1);
    return (int)syscall(SYS_timerfd_settime, timer->fd, flags, &real, old);
}

static void arm_after_leap(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < TIMERS_MAX; i++)
        if (timers[i].fd > 0 && to_nsec(&timers[i].set.it_value) > 0 &&
            timers[i].armed_with != offset_of(timers[i].clock))
            (void)arm(&timers[i], TFD_TIMER_ABSTIME, NULL);
    pthread_mutex_unlock(&lock);
}

int timerfd_create(clockid_t clock, int flags)
{
    int fd = (int)syscall(SYS_timerfd_create, clock, flags);
    size_t i = 0;

    pthread_mutex_lock(&lock);
    while (i < TIMERS_MAX - 1 && timers[i].fd > 0 && timers[i].fd != fd)
        i++;
    timers[i] = (struct timer){.fd = fd, .clock = clock};
    pthread_mutex_unlock(&lock);
    return fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *set, struct itimerspec *old)
{
    int r = -2;

    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < TIMERS_MAX && flags & TFD_TIMER_ABSTIME; i++)
        if (timers[i].fd == fd) {
            timers[i].set = *set;
            r = arm(&timers[i], flags, old);
        }
    pthread_mutex_unlock(&lock);
    return r == -2 ? (int)syscall(SYS_timerfd_settime, fd, flags, set, old) : r;
}

/* How long the next slice of a wait until DEADLINE (-1: for ever) takes. */
static int slice_msec(int64_t deadline)
{
    int64_t left = deadline < 0 ? INT64_MAX : deadline - now();

    arm_after_leap();
    if (left <= 0)
        return 0;
    return left / 1000000 >= SLICE_MSEC ? SLICE_MSEC : (int)(left / 1000000) + 1;
}

static int64_t deadline_of(int64_t timeout_nsec)
{
    return timeout_nsec < 0 ? -1 : now() + timeout_nsec;
}

static void set_idle(int64_t request)
{
    if (thread == 0)
        thread = atomic_fetch_add(&n_threads, 1) + 1;
    if (thread <= THREADS_MAX)
        atomic_store(&leap->idle[thread - 1], request);
}

/* Calls WAIT, which waits for the milliseconds in MSEC, until it returns something or the deadline
 * is over. */
#define WAIT_IN_SLICES(timeout_nsec, msec, wait)                                                   \
    ({                                                                                             \
        int64_t deadline = deadline_of(timeout_nsec);                                              \
        int msec, n;                                                                               \
        do {                                                                                       \
            int64_t request = atomic_load(&leap->request);                                         \
            msec = slice_msec(deadline);                                                           \
            n = (int)(wait);                                                                       \
            if (n < 0 && errno == EINTR && msec > 0) /* the test has stopped the process */        \
                n = 0;                                                                             \
            else if (n == 0 && msec > 0)                                                           \
                set_idle(request);                                                                 \
        } while (n == 0 && msec > 0);                                                              \
        set_idle(-1);                                                                              \
        n;                                                                                         \
    })

int epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    return WAIT_IN_SLICES((int64_t)timeout * 1000000, msec,
                          syscall(SYS_epoll_pwait, fd, events, max, msec, NULL, 0));
}

int epoll_pwait2(int fd, struct epoll_event *events, int max, const struct timespec *timeout,
                 const sigset_t *mask)
{
    return WAIT_IN_SLICES(timeout ? to_nsec(timeout) : -1, msec,
                          syscall(SYS_epoll_pwait, fd, events, max, msec, mask, _NSIG / 8));
}

int ppoll(struct pollfd *fds, nfds_t n_fds, const struct timespec *timeout, const sigset_t *mask)
{
    return WAIT_IN_SLICES(timeout ? to_nsec(timeout) : -1, msec, ({
                              struct timespec slice = to_timespec((int64_t)msec * 1000000);
                              syscall(SYS_ppoll, fds, n_fds, &slice, mask, _NSIG / 8);
                          }));
}

int poll(struct pollfd *fds, nfds_t n_fds, int timeout)
{
    struct timespec spec = to_timespec((int64_t)timeout * 1000000);

    return ppoll(fds, n_fds, timeout < 0 ? NULL : &spec, NULL);
}
