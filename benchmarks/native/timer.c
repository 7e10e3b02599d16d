/* Calls compiled units as the loop does, without a loop, and stamps each call. A shared library for ctypes.
 *
 * A unit is `int32_t kernel(void **arrays, const int64_t *dims, const int64_t *params)`.
 *
 * The feeder is a second thread that rewrites the first input before each trip, so that the units meet a frame
 * that another core has just written, as in a real loop, and not one that sits in their own cache.
 */
#include "common.h"

#include <stdatomic.h>

typedef int32_t (*kernel)(void**, const int64_t*, const int64_t*);

typedef struct {
  kernel function;
  void** arrays;
  const int64_t* dims;
  const int64_t* params;
} step;

typedef struct {
  _Alignas(64) _Atomic uint64_t wanted;
  _Alignas(64) _Atomic uint64_t made;
} feed;

#define END UINT64_MAX
#define SKIP (1 << 30) /* framebus.unit.SKIP: nothing to publish, no error */

/* The feeder's thread stays here until stop_feeding(). */
void keep_feeding(feed* f, void* shared_frame, const void* frame, size_t bytes, int cpu) {
  pin(cpu);
  for (uint64_t k = 1;; k++) {
    uint64_t wanted;
    while ((wanted = atomic_load_explicit(&f->wanted, memory_order_acquire)) < k) cpu_relax();
    if (wanted == END) return;
    memcpy(shared_frame, frame, bytes);
    atomic_store_explicit(&f->made, k, memory_order_release); /* the frame is there before the count */
  }
}

void stop_feeding(feed* f) { atomic_store(&f->wanted, END); }

/* `trips` times: wait GAP_NS, get a fresh frame (if f), call all steps `repeat` times. total[trips] gets the time
 * per repetition, each[trips][n_steps] (may be NULL) that of every step. Returns the first code that is an error. */
int time_steps(const step* steps, int n_steps, int64_t trips, int64_t repeat, int64_t gap_ns, feed* f, int64_t* total,
               int64_t* each) {
  int64_t last = 0;
  uint64_t made = f ? atomic_load(&f->made) : 0;
  for (int64_t t = 0; t < trips; t++) {
    if (f) {
      atomic_store_explicit(&f->wanted, ++made, memory_order_release);
      while (atomic_load_explicit(&f->made, memory_order_acquire) < made) cpu_relax();
    }
    spin_until(last + gap_ns);
    int64_t start = now_ns(), before = start;
    for (int64_t r = 0; r < repeat; r++) {
      for (int s = 0; s < n_steps; s++) {
        int32_t code = steps[s].function(steps[s].arrays, steps[s].dims, steps[s].params);
        if (code && code != SKIP) return code;
        if (each) {
          int64_t now = now_ns();
          each[t * n_steps + s] = now - before;
          before = now;
        }
      }
    }
    last = now_ns();
    total[t] = (last - start) / repeat;
  }
  return 0;
}
