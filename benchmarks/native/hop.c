/* The reference of `hop`: one frame from one process to another, in plain C.
 *
 *   hop pingpong sem|spin BYTES TRIPS WARMUP GAP_NS CPU_A CPU_B OUT
 *       A copies a frame into shared memory and signals; B wakes, copies it out, copies its copy back in and
 *       signals; A wakes and copies it out. OUT gets TRIPS int64 round-trip times (ns); one way is half.
 *   hop fanout sem|spin BYTES TRIPS WARMUP GAP_NS CPU_A CPU_B READERS OUT
 *       A copies a frame in and signals READERS processes on CPU_B. OUT gets, per frame, the time from A's start
 *       to the moment when the last reader has its copy.
 *
 * Every element of frame k is k. A checks what came back whole, outside the timed part; readers of a fan-out, which
 * share a CPU, check 16 elements of each frame and all of every 16th, whose time is that of the frame before. A leaves
 * GAP_NS between two trips, so that the other side really sleeps before the next one.
 */
#include "common.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <sys/wait.h>

#define MAX_READERS 64
#define WHOLE 16

typedef struct {
  _Alignas(64) sem_t sem[MAX_READERS]; /* one per reader, as in a stream */
  _Alignas(64) _Atomic uint64_t count;
  _Alignas(64) float* frame;
} channel;

typedef struct {
  _Alignas(64) _Atomic uint64_t done;
  int64_t when_ns;
  uint64_t wrong;
} score;

static channel* new_channel(size_t bytes) {
  channel* c = shared_pages(sizeof *c);
  for (int i = 0; i < MAX_READERS; i++)
    if (sem_init(&c->sem[i], 1, 0) != 0) die("sem_init");
  c->frame = shared_pages(bytes);
  return c;
}

static void publish(channel* c, const float* frame, size_t bytes, int spin, int readers) {
  memcpy(c->frame, frame, bytes);
  /* release: pairs with the acquire in await(), so a reader that sees the count sees the pixels */
  atomic_fetch_add_explicit(&c->count, 1, memory_order_release);
  if (!spin)
    for (int i = 0; i < readers; i++) sem_post(&c->sem[i]);
}

static void await(channel* c, uint64_t count, int spin, int reader) {
  if (spin) {
    while (atomic_load_explicit(&c->count, memory_order_acquire) < count) cpu_relax();
    return;
  }
  while (atomic_load_explicit(&c->count, memory_order_acquire) < count)
    while (sem_wait(&c->sem[reader]) != 0)
      if (errno != EINTR) die("sem_wait");
}

static void echo(channel* there, channel* back, size_t bytes, uint64_t total, int spin, int cpu) {
  float* copy = private_pages(bytes);
  pin(cpu);
  for (uint64_t k = 1; k <= total; k++) {
    await(there, k, spin, 0);
    memcpy(copy, there->frame, bytes);
    publish(back, copy, bytes, spin, 1);
  }
  exit(0);
}

static void join(int children) {
  for (int i = 0; i < children; i++) {
    int status = 0;
    if (wait(&status) < 0 || status != 0) die("the other process");
  }
}

static void pingpong(char** a) {
  int spin = strcmp(a[0], "spin") == 0;
  size_t bytes = strtoull(a[1], NULL, 10), n = bytes / sizeof(float);
  uint64_t trips = strtoull(a[2], NULL, 10), warmup = strtoull(a[3], NULL, 10), wrong = 0;
  int64_t gap = atoll(a[4]), *times = private_pages(trips * sizeof(int64_t)), last = 0;
  channel *there = new_channel(bytes), *back = new_channel(bytes);
  float *out = private_pages(bytes), *in = private_pages(bytes);
  if (fork() == 0) echo(there, back, bytes, trips + warmup, spin, atoi(a[6]));
  pin(atoi(a[5]));
  for (uint64_t k = 1; k <= trips + warmup; k++) {
    fill(out, n, (float)k);
    spin_until(last + gap);
    int64_t start = now_ns();
    publish(there, out, bytes, spin, 1);
    await(back, k, spin, 0);
    memcpy(in, back->frame, bytes);
    last = now_ns();
    if (k > warmup) times[k - warmup - 1] = last - start;
    wrong += count_wrong(in, n, (float)k);
  }
  join(1);
  errno = 0;
  if (wrong) die("pingpong");
  save(a[7], times, trips);
}

static void reader(channel* c, score* mine, size_t bytes, uint64_t total, int spin, int id, int cpu) {
  float* copy = private_pages(bytes);
  pin(cpu);
  for (uint64_t k = 1; k <= total; k++) {
    await(c, k, spin, id);
    memcpy(copy, c->frame, bytes);
    mine->when_ns = now_ns();
    for (size_t i = 0, n = bytes / sizeof(float), stride = k % WHOLE ? n / 16 : 1; i < n; i += stride)
      mine->wrong += copy[i] != (float)k;
    atomic_store_explicit(&mine->done, k, memory_order_release); /* publishes when_ns and wrong to A */
  }
  exit(0);
}

static void fanout(char** a) {
  int spin = strcmp(a[0], "spin") == 0, readers = atoi(a[7]);
  size_t bytes = strtoull(a[1], NULL, 10);
  uint64_t trips = strtoull(a[2], NULL, 10), warmup = strtoull(a[3], NULL, 10);
  int64_t gap = atoll(a[4]), *times = private_pages(trips * sizeof(int64_t)), last = 0, before = 0;
  channel* c = new_channel(bytes);
  score* board = shared_pages(sizeof(score) * MAX_READERS);
  float* out = private_pages(bytes);
  errno = 0;
  if (readers < 1 || readers > MAX_READERS) die("READERS must be 1 to 64");
  for (int i = 0; i < readers; i++)
    if (fork() == 0) reader(c, &board[i], bytes, trips + warmup, spin, i, atoi(a[6]));
  pin(atoi(a[5]));
  for (uint64_t k = 1; k <= trips + warmup; k++) {
    fill(out, bytes / sizeof(float), (float)k);
    spin_until(last + gap);
    int64_t start = now_ns(), latest = start;
    publish(c, out, bytes, spin, readers);
    for (int i = 0; i < readers; i++) {
      while (atomic_load_explicit(&board[i].done, memory_order_acquire) < k) cpu_relax();
      if (board[i].when_ns > latest) latest = board[i].when_ns;
    }
    last = now_ns();
    before = k % WHOLE ? latest - start : before;
    if (k > warmup) times[k - warmup - 1] = before;
  }
  join(readers);
  errno = 0;
  for (int i = 0; i < readers; i++)
    if (board[i].wrong) die("fanout");
  save(a[8], times, trips);
}

int main(int argc, char** argv) {
  if (argc == 10 && strcmp(argv[1], "pingpong") == 0)
    pingpong(argv + 2);
  else if (argc == 11 && strcmp(argv[1], "fanout") == 0)
    fanout(argv + 2);
  else
    return fprintf(stderr, "usage: see the head of hop.c\n"), 2;
  return 0;
}
