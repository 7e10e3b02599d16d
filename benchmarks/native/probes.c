/* The machine's own limits, each printed as one JSON line. CPU_B is the second of the two CPUs in use.
 *
 *   probes cacheline CPU_A CPU_B SECONDS      one cache line from core to core and back, half of it
 *   probes semwake CPU_A CPU_B TRIPS GAP_NS   sem_post to a process that sleeps, and back, half of it
 *   probes copy|read|handover CPU_A CPU_B CORES SECONDS BYTES...   bandwidth by size of the data, in bytes/s
 *       copy: memcpy between two private buffers of BYTES; read: sum of one; handover: copy of data that the
 *       other core wrote just before. CORES 1 or 2 at once (the sum of both).
 *   probes tcp CPU_A CPU_B TRIPS BYTES        loopback round trip, half of it
 *   probes disk FILE BYTES                    sequential write with fdatasync
 */
#include "common.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void print_times(int64_t* t, size_t n, double divide) {
  double p50 = (double)percentile(t, n, 0.5) / divide, p99 = (double)percentile(t, n, 0.99) / divide;
  double p999 = (double)percentile(t, n, 0.999) / divide;
  printf("{\"p50_ns\": %.1f, \"p99_ns\": %.1f, \"p999_ns\": %.1f, \"max_ns\": %.1f, \"n\": %zu}\n", p50, p99, p999,
         (double)t[n - 1] / divide, n);
}

static void cacheline(char** a) {
  enum { PER_BATCH = 100, MAX_BATCHES = 100000 };
  _Atomic uint64_t* word = shared_pages(4096);
  int64_t *t = private_pages(MAX_BATCHES * sizeof *t), stop = (int64_t)(atof(a[2]) * 1e9);
  pid_t child = fork();
  if (child == 0) {
    pin(atoi(a[1]));
    for (uint64_t k = 1;; k += 2) {
      uint64_t seen;
      while ((seen = atomic_load_explicit(word, memory_order_acquire)) < k) cpu_relax();
      if (seen == UINT64_MAX) exit(0);
      atomic_store_explicit(word, k + 1, memory_order_release);
    }
  }
  pin(atoi(a[0]));
  size_t n = 0;
  uint64_t k = 1;
  stop += now_ns();
  while (n < MAX_BATCHES && now_ns() < stop) {
    int64_t start = now_ns();
    for (int i = 0; i < PER_BATCH; i++, k += 2) {
      atomic_store_explicit(word, k, memory_order_release);
      while (atomic_load_explicit(word, memory_order_acquire) <= k) cpu_relax();
    }
    t[n++] = now_ns() - start;
  }
  atomic_store(word, UINT64_MAX);
  waitpid(child, NULL, 0);
  print_times(t, n, 2.0 * PER_BATCH);
}

static void semwake(char** a) {
  sem_t* sems = shared_pages(4096);
  size_t trips = strtoull(a[2], NULL, 10);
  int64_t gap = atoll(a[3]), *t = private_pages(trips * sizeof *t), last = 0;
  if (sem_init(&sems[0], 1, 0) || sem_init(&sems[1], 1, 0)) die("sem_init");
  if (fork() == 0) {
    pin(atoi(a[1]));
    for (size_t k = 0; k < trips; k++) {
      while (sem_wait(&sems[0]) != 0) {
      }
      sem_post(&sems[1]);
    }
    exit(0);
  }
  pin(atoi(a[0]));
  for (size_t k = 0; k < trips; k++) {
    spin_until(last + gap);
    int64_t start = now_ns();
    sem_post(&sems[0]);
    while (sem_wait(&sems[1]) != 0) {
    }
    last = now_ns();
    t[k] = last - start;
  }
  wait(NULL);
  print_times(t, trips, 2.0);
}

/* Eight accumulators: one chain of additions would measure the adder, not the memory. */
static float sum(const float* p, size_t n) {
  float s[128] = {0}, total = 0;
  for (size_t i = 0; i + 128 <= n; i += 128)
    for (int j = 0; j < 128; j++) s[j] += p[i + j];
  for (int j = 0; j < 128; j++) total += s[j];
  return total;
}

static volatile float keep;

/* Bytes per second of the median pass over the buffer. */
static double bandwidth(int copy, size_t bytes, double seconds) {
  enum { MAX_PASSES = 20000 };
  float *from = private_pages(bytes), *to = copy ? private_pages(bytes) : NULL;
  int64_t *t = private_pages(MAX_PASSES * sizeof *t), stop;
  size_t n = 0, repeat = bytes < (1u << 18) ? (1u << 18) / bytes : 1; /* short passes drown in the clock */
  for (size_t i = 0; i < bytes / 4; i++) from[i] = (float)(i & 7);
  stop = now_ns() + (int64_t)(seconds * 1e9);
  do {
    int64_t start = now_ns();
    for (size_t r = 0; r < repeat; r++) {
      if (copy)
        memcpy(to, from, bytes);
      else
        keep = sum(from, bytes / 4);
      __asm__ __volatile__("" ::: "memory");
    }
    t[n++] = now_ns() - start;
  } while (n < MAX_PASSES && (now_ns() < stop || n < 3));
  double result = (double)(bytes * repeat) / ((double)percentile(t, n, 0.5) * 1e-9);
  munmap(from, bytes);
  if (to) munmap(to, bytes);
  munmap(t, MAX_PASSES * sizeof *t);
  return result;
}

static double on_cores(int copy, int cores, const int* cpus, size_t bytes, double seconds) {
  double *result = shared_pages(4096), total = 0;
  _Atomic int* waiting = (_Atomic int*)(result + 16);
  for (int i = 0; i < cores; i++) {
    if (fork() == 0) {
      pin(cpus[i]);
      atomic_fetch_add(waiting, 1);
      while (atomic_load(waiting) < cores) cpu_relax();
      result[i] = bandwidth(copy, bytes, seconds);
      exit(0);
    }
  }
  for (int i = 0; i < cores; i++) wait(NULL);
  for (int i = 0; i < cores; i++) total += result[i];
  munmap(result, 4096);
  return total;
}

/* CPU_B rewrites the source before each copy by CPU_A: what a hop's second copy meets. */
static double handover(const int* cpus, size_t bytes, double seconds) {
  enum { MAX_PASSES = 20000 };
  _Atomic uint64_t* turn = shared_pages(4096);
  float *from = shared_pages(bytes), *to = private_pages(bytes);
  int64_t *t = private_pages(MAX_PASSES * sizeof *t), stop = now_ns() + (int64_t)(seconds * 1e9);
  size_t n = 0;
  pid_t child = fork();
  if (child == 0) {
    pin(cpus[1]);
    for (uint64_t k = 1;; k += 2) {
      uint64_t seen;
      while ((seen = atomic_load_explicit(turn, memory_order_acquire)) < k) cpu_relax();
      if (seen == UINT64_MAX) exit(0);
      fill(from, bytes / 4, (float)k);
      atomic_store_explicit(turn, k + 1, memory_order_release);
    }
  }
  pin(cpus[0]);
  for (uint64_t k = 1; n < MAX_PASSES && (now_ns() < stop || n < 3); k += 2) {
    atomic_store_explicit(turn, k, memory_order_release);
    while (atomic_load_explicit(turn, memory_order_acquire) <= k) cpu_relax();
    int64_t start = now_ns();
    memcpy(to, from, bytes);
    t[n++] = now_ns() - start;
  }
  atomic_store(turn, UINT64_MAX);
  waitpid(child, NULL, 0);
  return (double)bytes / ((double)percentile(t, n, 0.5) * 1e-9);
}

static void bandwidths(const char* what, int argc, char** a) {
  int cpus[2] = {atoi(a[0]), atoi(a[1])}, cores = atoi(a[2]);
  double seconds = atof(a[3]);
  printf("{");
  fflush(stdout); /* what stays in the buffer, each forked child would print again */
  for (int i = 4; i < argc; i++) {
    size_t bytes = strtoull(a[i], NULL, 10);
    double b = strcmp(what, "handover") == 0 ? handover(cpus, bytes, seconds)
                                             : on_cores(strcmp(what, "copy") == 0, cores, cpus, bytes, seconds);
    printf("%s\"%zu\": %.4g", i > 4 ? ", " : "", bytes, b);
    fflush(stdout);
  }
  printf("}\n");
}

static void transfer(int fd, char* data, size_t bytes, int send_it) {
  for (size_t done = 0; done < bytes;) {
    ssize_t n = send_it ? send(fd, data + done, bytes - done, 0) : recv(fd, data + done, bytes - done, 0);
    if (n <= 0) die("tcp");
    done += (size_t)n;
  }
}

static void tcp(char** a) {
  size_t trips = strtoull(a[2], NULL, 10), bytes = strtoull(a[3], NULL, 10);
  int64_t* t = private_pages(trips * sizeof *t);
  char* data = private_pages(bytes);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  socklen_t length = sizeof address;
  int server = socket(AF_INET, SOCK_STREAM, 0), one = 1, fd;
  if (bind(server, (struct sockaddr*)&address, sizeof address) || listen(server, 1)) die("listen");
  getsockname(server, (struct sockaddr*)&address, &length);
  if (fork() == 0) {
    fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr*)&address, sizeof address)) die("connect");
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    pin(atoi(a[1]));
    for (size_t k = 0; k < trips; k++) {
      transfer(fd, data, bytes, 0);
      transfer(fd, data, bytes, 1);
    }
    exit(0);
  }
  if ((fd = accept(server, NULL, NULL)) < 0) die("accept");
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  pin(atoi(a[0]));
  for (size_t k = 0; k < trips; k++) {
    int64_t start = now_ns();
    transfer(fd, data, bytes, 1);
    transfer(fd, data, bytes, 0);
    t[k] = now_ns() - start;
  }
  wait(NULL);
  print_times(t, trips, 2.0);
}

static void disk(char** a) {
  size_t bytes = strtoull(a[1], NULL, 10), chunk = 1 << 20;
  char* data = private_pages(chunk);
  for (size_t i = 0; i < chunk; i++) data[i] = (char)(i * 2654435761u >> 13);
  int fd = open(a[0], O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) die(a[0]);
  int64_t start = now_ns();
  for (size_t done = 0; done < bytes; done += chunk)
    if (write(fd, data, chunk) != (ssize_t)chunk) die("write");
  if (fdatasync(fd)) die("fdatasync");
  printf("{\"bytes_per_s\": %.4g}\n", (double)bytes / ((double)(now_ns() - start) * 1e-9));
  close(fd);
  unlink(a[0]);
}

int main(int argc, char** argv) {
  const char* what = argc > 1 ? argv[1] : "";
  if (strcmp(what, "cacheline") == 0 && argc == 5)
    cacheline(argv + 2);
  else if (strcmp(what, "semwake") == 0 && argc == 6)
    semwake(argv + 2);
  else if ((!strcmp(what, "copy") || !strcmp(what, "read") || !strcmp(what, "handover")) && argc > 6)
    bandwidths(what, argc - 2, argv + 2);
  else if (strcmp(what, "tcp") == 0 && argc == 6)
    tcp(argv + 2);
  else if (strcmp(what, "disk") == 0 && argc == 4)
    disk(argv + 2);
  else
    return fprintf(stderr, "usage: see the head of probes.c\n"), 2;
  return 0;
}
