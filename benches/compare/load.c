/* The clients of the comparison: they ask, count and discard.
 *
 *   load get   [options] HOST PORT PATH[=FILE]...   download bodies, without copying them
 *   load stall [options] HOST PORT PATH             read the head of -n answers, then stop until standard input ends
 *   load probe [options] HOST PORT PATH             small requests at a fixed rate, with their latencies
 *   load hash  FILE                                 CPU seconds per GB of SHA-256 alone over the file's bytes
 *
 *   -c N  connections      -n N  requests in all      -s N  seconds, instead of -n      -r N  probes a second
 *   -w N  seconds after which -n is given up         -t    TLS              -1    a connection a request
 *
 * A body in plaintext is read by recv(MSG_TRUNC), which lets the kernel throw it away. Under TLS the handshake and the
 * answer's head are real, then the records are thrown away undecrypted, so that the client costs little and what is
 * measured is the server. A FILE is dropped from the page cache before each request for its PATH.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_BYTES = 16384, READ_BYTES = 4 << 20, HASH_BYTES = 512 << 10, MAX_PATHS = 64, MAX_SAMPLES = 4000000 };

static struct sockaddr_in server;
static const char *host;
static const char *paths[MAX_PATHS];
static const char *files[MAX_PATHS];
static int path_count, connections = 1, per_second = 1000, tls, one_each;
static long requests = 1;
static double seconds, give_up;
static double deadline; /* of downloads; 0 for none */
static SSL_CTX *context;

static atomic_long next_request, done, failed, body_bytes, sample_count;
static atomic_int stop;
static float *samples; /* milliseconds */
static double started;
static pthread_mutex_t worst_lock = PTHREAD_MUTEX_INITIALIZER;
static double worst_head, worst_body;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void die(const char *what) {
    perror(what);
    exit(1);
}

/* A connection, and how much of the answer's body came with its head. */
struct link {
    int fd;
    SSL *ssl;
    char head[HEAD_BYTES];
    long length, early;
};

static int dial(struct link *link) {
    int one = 1;
    link->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (link->fd < 0) die("socket");
    if (connect(link->fd, (struct sockaddr *)&server, sizeof server)) {
        close(link->fd);
        link->fd = -1;
        return 0;
    }
    setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (deadline > 0) {
        struct timeval often = {0, 100000};
        setsockopt(link->fd, SOL_SOCKET, SO_RCVTIMEO, &often, sizeof often);
    }
    link->ssl = NULL;
    if (!tls) return 1;
    link->ssl = SSL_new(context);
    SSL_set_fd(link->ssl, link->fd);
    return SSL_connect(link->ssl) == 1;
}

static void hang_up(struct link *link) {
    if (link->ssl) SSL_free(link->ssl);
    if (link->fd >= 0) close(link->fd);
    link->ssl = NULL;
    link->fd = -1;
}

static int ask(struct link *link, const char *path, int last) {
    char text[2048];
    int length = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: */*\r\n%s\r\n", path, host,
                          last ? "Connection: close\r\n" : "");
    return link->ssl ? SSL_write(link->ssl, text, length) == length : send(link->fd, text, length, MSG_NOSIGNAL) == length;
}

/* Like recv, until the time of downloads is over. */
static ssize_t receive(struct link *link, void *into, size_t count, int flags) {
    for (;;) {
        ssize_t got = recv(link->fd, into, count, flags);
        if (deadline > 0 && now() > deadline) atomic_store(&stop, 1);
        if (got >= 0 || errno != EAGAIN || atomic_load(&stop)) return got;
    }
}

/* Reads the head of an answer, at most `limit` bytes at a time; true for 200 with a Content-Length. */
static int read_head(struct link *link, int limit) {
    int have = 0;
    for (;;) {
        int room = HEAD_BYTES - 1 - have;
        if (room > limit) room = limit;
        int got = link->ssl ? SSL_read(link->ssl, link->head + have, room) : receive(link, link->head + have, room, 0);
        if (got <= 0) return 0;
        have += got;
        link->head[have] = 0;
        char *end = memmem(link->head, have, "\r\n\r\n", 4);
        if (!end) {
            if (have >= HEAD_BYTES - 1) return 0;
            continue;
        }
        link->early = link->head + have - (end + 4);
        end[2] = 0;
        char *length = strcasestr(link->head, "\r\ncontent-length:");
        if (!length || strncmp(link->head, "HTTP/1.1 200", 12)) {
            fprintf(stderr, "unexpected answer: %.200s\n", link->head);
            return 0;
        }
        link->length = atol(length + 17);
        return 1;
    }
}

static void drop_from_cache(const char *file) {
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    if (fd < 0) die(file);
    posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    close(fd);
}

/* One download; false when the answer was not whole. */
static int download(struct link *link, long index, double *head_after, double *body_after) {
    const char *file = files[index % path_count];
    if (file) drop_from_cache(file);
    double asked = now();
    if (link->fd < 0 && !dial(link)) return 0;
    if (!ask(link, paths[index % path_count], one_each) || !read_head(link, HEAD_BYTES)) return 0;
    *head_after = now() - asked;
    long rest = link->length - link->early;
    *body_after = link->early ? *head_after : 0;
    atomic_fetch_add(&body_bytes, link->early);
    /* Ciphertext is a little longer than the body, and ends with the connection. */
    long cipher = 0, high = rest + rest / 50 + 4096;
    while (link->ssl ? 1 : rest > 0) {
        long want = link->ssl || rest > READ_BYTES ? READ_BYTES : rest;
        ssize_t got = receive(link, NULL, want, MSG_TRUNC);
        if (got < 0) return 0;
        if (got == 0) break;
        if (*body_after == 0) *body_after = now() - asked;
        if (link->ssl) cipher += got;
        else rest -= got;
        atomic_fetch_add(&body_bytes, got);
        if (atomic_load_explicit(&stop, memory_order_relaxed)) return 1;
    }
    return link->ssl ? cipher >= rest && cipher <= high : rest == 0;
}

static void *download_all(void *unused) {
    struct link *link = calloc(1, sizeof *link);
    double head = 0, body = 0, most_head = 0, most_body = 0;
    link->fd = -1;
    while (!atomic_load(&stop)) {
        long index = atomic_fetch_add(&next_request, 1);
        if (seconds == 0 && index >= requests) break;
        int whole = download(link, index, &head, &body);
        if (whole) atomic_fetch_add(&done, 1);
        else if (!atomic_load(&stop)) atomic_fetch_add(&failed, 1), usleep(1000);
        if (head > most_head) most_head = head;
        if (body > most_body) most_body = body;
        if (!whole || one_each) hang_up(link);
    }
    hang_up(link);
    pthread_mutex_lock(&worst_lock);
    if (most_head > worst_head) worst_head = most_head;
    if (most_body > worst_body) worst_body = most_body;
    pthread_mutex_unlock(&worst_lock);
    free(link);
    return unused;
}

/* Latency counts from the moment at which the request was due, so that a stall is seen by every request it held up. */
static void *probe(void *argument) {
    struct link *link = calloc(1, sizeof *link);
    double step = (double)connections / per_second;
    double due = started + step * (long)argument / connections;
    link->fd = -1;
    if (!dial(link)) atomic_fetch_add(&failed, 1);
    while (due < started + seconds && link->fd >= 0) {
        double early = due - now();
        if (early > 0) {
            struct timespec wait = {0, early * 1e9};
            nanosleep(&wait, NULL);
        }
        double asked = now();
        if (early <= 0) asked = due;
        if (!ask(link, paths[0], 0) || !read_head(link, HEAD_BYTES)) {
            atomic_fetch_add(&failed, 1);
            break;
        }
        char rest[HEAD_BYTES];
        while (link->early < link->length) {
            ssize_t got = recv(link->fd, rest, sizeof rest, 0);
            if (got <= 0) die("recv");
            link->early += got;
        }
        long at = atomic_fetch_add(&sample_count, 1);
        if (at < MAX_SAMPLES) samples[at] = (now() - asked) * 1e3;
        due += step;
    }
    hang_up(link);
    free(link);
    return NULL;
}

static int by_size(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static void stall(void) {
    struct link *link = calloc(1, sizeof *link);
    char byte;
    for (long n = 0; n < requests; n++) {
        if (!dial(link) || !ask(link, paths[0], 0) || !read_head(link, 512)) {
            fprintf(stderr, "download %ld failed\n", n);
            exit(1);
        }
        /* The connection is left open, unread, on purpose. */
    }
    printf("{\"stalled\": %ld}\n", requests);
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
}

static void hash(const char *file) {
    struct stat about;
    int fd = open(file, O_RDONLY);
    if (fd < 0 || fstat(fd, &about)) die(file);
    unsigned char *bytes = malloc(about.st_size), digest[32];
    for (long at = 0, got; at < about.st_size; at += got)
        if ((got = read(fd, bytes + at, about.st_size - at)) <= 0) die(file);
    struct timespec before, after;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    EVP_MD_CTX *sum = EVP_MD_CTX_new();
    EVP_DigestInit_ex(sum, EVP_sha256(), NULL);
    for (long at = 0; at < about.st_size; at += HASH_BYTES)
        EVP_DigestUpdate(sum, bytes + at, about.st_size - at < HASH_BYTES ? about.st_size - at : HASH_BYTES);
    EVP_DigestFinal_ex(sum, digest, NULL);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    double cpu = after.tv_sec - before.tv_sec + (after.tv_nsec - before.tv_nsec) / 1e9;
    printf("{\"cpu_s\": %.6f, \"bytes\": %ld, \"digest\": \"", cpu, (long)about.st_size);
    for (int at = 0; at < 32; at++) printf("%02x", digest[at]);
    printf("\"}\n");
}

static double cpu_of_client(void) {
    struct rusage use;
    getrusage(RUSAGE_SELF, &use);
    return use.ru_utime.tv_sec + use.ru_stime.tv_sec + (use.ru_utime.tv_usec + use.ru_stime.tv_usec) / 1e6;
}

int main(int count, char **words) {
    if (count < 3) return fprintf(stderr, "usage: see the head of load.c\n"), 2;
    const char *mode = words[1];
    int option;
    signal(SIGPIPE, SIG_IGN);
    optind = 2;
    while ((option = getopt(count, words, "c:n:s:r:w:t1")) != -1) {
        if (option == 'c') connections = atoi(optarg);
        else if (option == 'n') requests = atol(optarg);
        else if (option == 's') seconds = atof(optarg);
        else if (option == 'w') give_up = atof(optarg);
        else if (option == 'r') per_second = atoi(optarg);
        else if (option == 't') tls = one_each = 1;
        else if (option == '1') one_each = 1;
        else return 2;
    }
    if (!strcmp(mode, "hash")) return hash(words[optind]), 0;
    if (count - optind < 3 || count - optind - 2 > MAX_PATHS) return 2;
    host = words[optind];
    server.sin_family = AF_INET;
    server.sin_port = htons(atoi(words[optind + 1]));
    if (inet_pton(AF_INET, host, &server.sin_addr) != 1) return 2;
    for (char **word = words + optind + 2; *word; word++) {
        char *file = strchr(*word, '=');
        if (file) *file++ = 0;
        files[path_count] = file;
        paths[path_count++] = *word;
    }
    if (tls) {
        context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_min_proto_version(context, TLS1_3_VERSION);
        SSL_CTX_set_ciphersuites(context, "TLS_AES_128_GCM_SHA256");
        SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    }
    if (!strcmp(mode, "stall")) return stall(), 0;
    int probing = !strcmp(mode, "probe");
    if (probing) samples = malloc(sizeof *samples * MAX_SAMPLES);

    pthread_t *threads = calloc(connections, sizeof *threads);
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 << 10);
    started = now();
    if (!probing && (seconds > 0 || give_up > 0)) deadline = started + (seconds > 0 ? seconds : give_up);
    for (long at = 0; at < connections; at++)
        if (pthread_create(&threads[at], &small, probing ? probe : download_all, (void *)at)) die("pthread_create");
    for (int at = 0; at < connections; at++) pthread_join(threads[at], NULL);
    double wall = now() - started;

    if (probing) {
        long n = sample_count;
        qsort(samples, n, sizeof *samples, by_size);
        if (n == 0) return fprintf(stderr, "no answer\n"), 1;
        printf("{\"requests\": %ld, \"failed\": %ld, \"p50_ms\": %.4f, \"p99_ms\": %.4f, \"p999_ms\": %.4f, \"worst_ms\": %.4f}\n", n,
               failed, samples[n / 2], samples[n * 99 / 100], samples[n * 999 / 1000], samples[n - 1]);
        return 0;
    }
    printf("{\"requests\": %ld, \"failed\": %ld, \"bytes\": %ld, \"wall_s\": %.6f, \"worst_head_s\": %.6f, \"worst_body_s\": %.6f, "
           "\"client_cpu_s\": %.3f}\n", done, failed, body_bytes, wall, worst_head, worst_body, cpu_of_client());
    return 0;
}
