/* A plain C program at either end of two DAO streams (depth 1), to put a compiled unit or Python between C and C.
 *
 *   dao ping sem|spin OUT_FILE IN_FILE TRIPS WARMUP GAP_NS CPU RESULT
 *       writes float32 frames into the stream OUT_FILE and waits for each to come back in IN_FILE; RESULT gets
 *       TRIPS int64 round-trip times (ns).
 *   dao echo sem|spin IN_FILE OUT_FILE TOTAL CPU
 *       the C counterpart of a unit `out[:] = in`: copies each frame out, copies it in again, publishes.
 *
 * It knows a stream by its published layout only (a header of 4304 bytes, pixels, named semaphores), writes frames in
 * the order of DAO's library, and waits on semaphore 0, as DAO's readers do unless told otherwise. It speaks the four
 * lines of pairs.py on standard input and output.
 */
#include "common.h"

#include <fcntl.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/stat.h>

enum { HEADER = 4304, SEMS = 10 };

typedef struct {
  uint8_t* base;
  float* pixels;
  size_t bytes;
  sem_t *sems[SEMS], *log;
} stream;

#define FIELD(s, type, offset) (*(type*)((s)->base + (offset)))
#define COUNT(s) FIELD(s, _Atomic uint64_t, 152)

static sem_t* semaphore(const char* local, const char* which) {
  char name[256];
  snprintf(name, sizeof name, "/%s_sem%s", local, which);
  sem_t* sem = sem_open(name, 0);
  if (sem == SEM_FAILED) die(name);
  return sem;
}

static stream attach(const char* path) {
  stream s = {0};
  struct stat st;
  int fd = open(path, O_RDWR);
  if (fd < 0 || fstat(fd, &st) != 0) die(path);
  s.base = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);
  if (s.base == MAP_FAILED) die("mmap");
  close(fd);
  errno = 0;
  if (FIELD(&s, uint32_t, 4296) != 1) die("not a DAO stream of depth 1");
  s.pixels = (float*)(s.base + HEADER);
  s.bytes = FIELD(&s, uint64_t, 96) * sizeof(float);
  char local[200] = "", digits[4];
  const char* slash = strrchr(path, '/');
  strncpy(local, slash ? slash + 1 : path, sizeof local - 1);
  *strchrnul(local, '.') = '\0';
  for (int i = 0; i < SEMS; i++) {
    snprintf(digits, sizeof digits, "%02d", i);
    s.sems[i] = semaphore(local, digits);
  }
  s.log = semaphore(local, "log");
  while (sem_trywait(s.sems[0]) == 0) {
  }
  errno = 0;
  return s;
}

static void publish(stream* s, const float* frame) {
  struct timespec now;
  FIELD(s, uint8_t, 176) = 1;
  /* release fence: 'being written' is visible before any new pixel is */
  atomic_thread_fence(memory_order_release);
  memcpy(s->pixels, frame, s->bytes);
  atomic_thread_fence(memory_order_release);
  FIELD(s, uint8_t, 176) = 0;
  FIELD(s, uint32_t, 4300) = 0;
  clock_gettime(CLOCK_REALTIME, &now);
  FIELD(s, int64_t, 136) = now.tv_sec * 1000000000LL + now.tv_nsec;
  /* release: pairs with the acquire in await() and in the other side's wait */
  atomic_fetch_add_explicit(&COUNT(s), 1, memory_order_release);
  for (int i = 0; i <= SEMS; i++) {
    sem_t* sem = i < SEMS ? s->sems[i] : s->log;
    int value = 0;
    sem_getvalue(sem, &value);
    if (value < 1) sem_post(sem);
  }
}

static void await(stream* s, uint64_t count, int spin) {
  while (atomic_load_explicit(&COUNT(s), memory_order_acquire) < count) {
    if (spin)
      cpu_relax();
    else
      while (sem_wait(s->sems[0]) != 0)
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
  say("made");
  expect("go");
  for (uint64_t k = 1; k <= total; k++) {
    await(&in, base + k, spin);
    memcpy(copy, in.pixels, in.bytes);
    publish(&out, copy);
  }
  say("done");
}

int main(int argc, char** argv) {
  say("loaded");
  if (argc == 10 && strcmp(argv[1], "ping") == 0)
    ping(argv + 2);
  else if (argc == 7 && strcmp(argv[1], "echo") == 0)
    echo(argv + 2);
  else
    return fprintf(stderr, "usage: see the head of dao.c\n"), 2;
  return 0;
}
