/* A plain C program at either end of two ImageStreamIO streams, to put a compiled unit between C and C.
 *
 *   isio ping sem|spin OUT_FILE IN_FILE TRIPS WARMUP GAP_NS CPU RESULT
 *       writes float32 frames into the stream OUT_FILE and waits for each to come back in IN_FILE; RESULT gets
 *       TRIPS int64 round-trip times (ns).
 *   isio echo sem|spin IN_FILE OUT_FILE TOTAL CPU
 *       the C counterpart of a unit `out[:] = in`: copies each frame out, copies it in again, publishes.
 *
 * It knows a stream by its published layout only (header of version 2.00, blocks rounded up to 8 bytes), writes
 * frames in the order that C writers do, and waits on a semaphore that it claims. It speaks the four lines of
 * pairs.py on standard input and output.
 */
#include "common.h"

#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/stat.h>

typedef struct {
  uint8_t* base;
  float* pixels;
  size_t bytes;
  sem_t *sems, *log;
  int32_t *readers, *writers;
  uint16_t n_sems;
  int mine;
} stream;

#define FIELD(s, type, offset) (*(type*)((s)->base + (offset)))
#define COUNT(s) FIELD(s, _Atomic uint64_t, 264)

static size_t rounded(size_t bytes) { return (bytes + 7) / 8 * 8; }

static stream attach(const char* path) {
  stream s = {0};
  struct stat st;
  int fd = open(path, O_RDWR);
  if (fd < 0 || fstat(fd, &st) != 0) die(path);
  s.base = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (s.base == MAP_FAILED) die("mmap");
  close(fd);
  errno = 0;
  if (strcmp((char*)s.base, "2.00") != 0) die("not an ImageStreamIO 2.00 file");
  s.bytes = FIELD(&s, uint64_t, 312);
  s.n_sems = FIELD(&s, uint16_t, 258);
  uint8_t* p = s.base + 384;
  s.pixels = (float*)p;
  p += rounded(s.bytes) + 128u * FIELD(&s, uint16_t, 290);
  s.sems = (sem_t*)p;
  p += sizeof(sem_t) * s.n_sems;
  s.log = (sem_t*)p;
  p += sizeof(sem_t);
  s.readers = (int32_t*)p;
  p += rounded(4u * s.n_sems);
  s.writers = (int32_t*)p;
  return s;
}

/* The last free semaphore: simple readers take the first ones without asking. */
static void claim(stream* s) {
  for (s->mine = s->n_sems - 1; s->mine >= 0; s->mine--) {
    int32_t free_pid = 0;
    if (__atomic_compare_exchange_n(&s->readers[s->mine], &free_pid, getpid(), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
      break;
    free_pid = -1;
    if (__atomic_compare_exchange_n(&s->readers[s->mine], &free_pid, getpid(), 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
      break;
  }
  errno = 0;
  if (s->mine < 0) die("no free semaphore");
  while (sem_trywait(&s->sems[s->mine]) == 0) {
  }
  errno = 0;
}

static void publish(stream* s, const float* frame) {
  struct timespec now;
  FIELD(s, uint8_t, 288) = 1;
  /* release fence: 'being written' is visible before any new pixel is */
  atomic_thread_fence(memory_order_release);
  memcpy(s->pixels, frame, s->bytes);
  clock_gettime(CLOCK_REALTIME, &now);
  FIELD(s, struct timespec, 200) = now;
  FIELD(s, struct timespec, 184) = now;
  /* release: pairs with the acquire in await() and in the other side's wait */
  atomic_fetch_add_explicit(&COUNT(s), 1, memory_order_release);
  FIELD(s, uint8_t, 288) = 0;
  for (int i = 0; i <= s->n_sems; i++) {
    sem_t* sem = i < s->n_sems ? &s->sems[i] : s->log;
    int value = 0;
    sem_getvalue(sem, &value);
    if (value < 10) {
      sem_post(sem);
      if (i < s->n_sems) s->writers[i] = getpid();
    }
  }
}

static void await(stream* s, uint64_t count, int spin) {
  while (atomic_load_explicit(&COUNT(s), memory_order_acquire) < count) {
    if (spin)
      cpu_relax();
    else
      while (sem_wait(&s->sems[s->mine]) != 0)
        if (errno != EINTR) die("sem_wait");
  }
}

static void say(const char* word) {
  puts(word);
  fflush(stdout);
}

static void expect(const char* word) {
  char line[16] = "";
  if (!fgets(line, sizeof line, stdin) || strncmp(line, word, strlen(word)) != 0) die(word);
}

static void ping(char** a) {
  int spin = strcmp(a[0], "spin") == 0;
  expect("make");
  stream there = attach(a[1]), back = attach(a[2]);
  uint64_t trips = strtoull(a[3], NULL, 10), warmup = strtoull(a[4], NULL, 10), wrong = 0;
  int64_t gap = atoll(a[5]), *times = private_pages(trips * sizeof(int64_t)), last = 0;
  size_t n = there.bytes / sizeof(float);
  float *out = private_pages(there.bytes), *in = private_pages(there.bytes);
  pin(atoi(a[6]));
  claim(&back);
  say("made");
  expect("go");
  uint64_t base = atomic_load(&COUNT(&back));
  for (uint64_t k = 1; k <= trips + warmup; k++) {
    fill(out, n, (float)k);
    spin_until(last + gap);
    int64_t start = now_ns();
    publish(&there, out);
    await(&back, base + k, spin);
    memcpy(in, back.pixels, back.bytes);
    last = now_ns();
    if (k > warmup) times[k - warmup - 1] = last - start;
    wrong += count_wrong(in, n, (float)k);
  }
  back.readers[back.mine] = 0;
  save(a[7], times, trips);
  if (wrong)
    printf("wrong %lu elements\n", (unsigned long)wrong);
  else
    say("done");
}

static void echo(char** a) {
  int spin = strcmp(a[0], "spin") == 0;
  expect("make");
  stream in = attach(a[1]), out = attach(a[2]);
  uint64_t total = strtoull(a[3], NULL, 10), base = atomic_load(&COUNT(&in));
  float* copy = private_pages(in.bytes);
  pin(atoi(a[4]));
  claim(&in);
  say("made");
  expect("go");
  for (uint64_t k = 1; k <= total; k++) {
    await(&in, base + k, spin);
    memcpy(copy, in.pixels, in.bytes);
    publish(&out, copy);
  }
  in.readers[in.mine] = 0;
  say("done");
}

int main(int argc, char** argv) {
  say("loaded");
  if (argc == 10 && strcmp(argv[1], "ping") == 0)
    ping(argv + 2);
  else if (argc == 7 && strcmp(argv[1], "echo") == 0)
    echo(argv + 2);
  else
    return fprintf(stderr, "usage: see the head of isio.c\n"), 2;
  return 0;
}
