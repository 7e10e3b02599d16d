/* A C program that fills a DAO stream of int64 with frames as fast as it can, in the order of DAO's library:
 *
 *   dao_flood PATH FRAMES
 *
 * Every pixel of a frame is the count that the frame gets. It says "ready", waits for a line, writes, says "done". It
 * knows a stream by its layout only, and is told nothing by framebus.
 */
#include <fcntl.h>
#include <semaphore.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEADER = 4304, ELEMENTS_AT = 96, ATIME_AT = 136, SEMAPHORES_AT = 148, COUNT_AT = 152, WRITE_AT = 176, MOST = 100 };
enum { DEPTH_AT = 4296, LAST_AT = 4300 };

#define FIELD(slot, type, at) (*(volatile type*)(base + (size_t)(slot) * HEADER + (at)))

static void post(sem_t* semaphore) {
  int value = 0;
  if (semaphore != SEM_FAILED && sem_getvalue(semaphore, &value) == 0 && value < 1) sem_post(semaphore);
}

static sem_t* find_semaphore(const char* path, const char* which) {
  char local[256], name[300];
  const char* slash = strrchr(path, '/');
  snprintf(local, sizeof local, "%s", slash ? slash + 1 : path);
  local[strcspn(local, ".")] = '\0';
  snprintf(name, sizeof name, "/%s_sem%s", local, which);
  return sem_open(name, 0);
}

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  const uint64_t frames = strtoull(argv[2], NULL, 10);
  struct stat status;
  const int file = open(argv[1], O_RDWR);
  if (file < 0 || fstat(file, &status) != 0) return 1;
  uint8_t* const base = mmap(NULL, (size_t)status.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  if (base == MAP_FAILED) return 1;
  const uint32_t depth = FIELD(0, uint32_t, DEPTH_AT);
  const size_t elements = FIELD(0, uint64_t, ELEMENTS_AT);
  const int semaphores = FIELD(0, uint16_t, SEMAPHORES_AT);
  sem_t* named[MOST];
  for (int i = 0; i < semaphores; i++) {
    char digits[16];
    snprintf(digits, sizeof digits, "%02d", i);
    named[i] = find_semaphore(argv[1], digits);
  }
  sem_t* const log = find_semaphore(argv[1], "log");
  int64_t* const pixels = malloc(elements * sizeof *pixels);
  if (pixels == NULL) return 1;
  puts("ready");
  fflush(stdout);
  if (getchar() == EOF) return 1;
  for (uint64_t n = 0; n < frames; n++) {
    const uint32_t last = FIELD(0, uint32_t, LAST_AT);
    const uint32_t next = (last + 1) % depth;
    const int64_t value = (int64_t)FIELD(last, uint64_t, COUNT_AT) + 1;
    for (size_t i = 0; i < elements; i++) pixels[i] = value;
    FIELD(next, uint8_t, WRITE_AT) = 1;
    __asm__ volatile("" ::: "memory");
    memcpy(base + (size_t)depth * HEADER + next * elements * sizeof *pixels, pixels, elements * sizeof *pixels);
    __asm__ volatile("" ::: "memory");
    FIELD(next, uint8_t, WRITE_AT) = 0;
    FIELD(0, uint32_t, LAST_AT) = next;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    FIELD(next, int64_t, ATIME_AT) = now.tv_sec * 1000000000LL + now.tv_nsec;
    FIELD(next, uint64_t, COUNT_AT) = FIELD((next + depth - 1) % depth, uint64_t, COUNT_AT) + 1;
    for (int i = 0; i < semaphores; i++) post(named[i]);
    post(log);
  }
  puts("done");
  return 0;
}
