/* What the probes and the reference programs share: clock, pinning, shared memory, percentiles. */
#ifndef FRAMEBENCH_COMMON_H
#define FRAMEBENCH_COMMON_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>
#define cpu_relax() _mm_pause()
#else
#define cpu_relax() __asm__ __volatile__("yield" ::: "memory")
#endif

static inline int64_t now_ns(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t); /* the clock behind Python's perf_counter_ns */
  return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static inline void spin_until(int64_t when_ns) {
  while (now_ns() < when_ns) cpu_relax();
}

static inline void die(const char* what) {
  fprintf(stderr, "%s: %s\n", what, errno ? strerror(errno) : "wrong answer");
  exit(1);
}

static inline void pin(int cpu) {
  cpu_set_t set;
  if (cpu < 0) return;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) die("sched_setaffinity");
}

/* Page-aligned memory that a forked child shares, touched so that no fault is timed. */
static inline void* shared_pages(size_t bytes) {
  void* p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) die("mmap");
  memset(p, 0, bytes);
  return p;
}

static inline void* private_pages(size_t bytes) {
  void* p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) die("mmap");
  memset(p, 0, bytes);
  return p;
}

static inline int compare_i64(const void* a, const void* b) {
  int64_t x = *(const int64_t*)a, y = *(const int64_t*)b;
  return (x > y) - (x < y);
}

/* Sorts in place; q in [0, 1]. */
static inline int64_t percentile(int64_t* values, size_t n, double q) {
  qsort(values, n, sizeof *values, compare_i64);
  return values[(size_t)(q * (double)(n - 1) + 0.5)];
}

static inline void fill(float* frame, size_t n, float value) {
  for (size_t i = 0; i < n; i++) frame[i] = value;
}

static inline size_t count_wrong(const float* frame, size_t n, float value) {
  size_t wrong = 0;
  for (size_t i = 0; i < n; i++) wrong += frame[i] != value;
  return wrong;
}

static inline void save(const char* path, const int64_t* values, size_t n) {
  FILE* f = fopen(path, "wb");
  if (!f || fwrite(values, sizeof *values, n, f) != n || fclose(f) != 0) die(path);
}

#endif
