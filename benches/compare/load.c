/* The client of the comparison: HTTP/1.1 requests whose bodies are thrown away inside the kernel.
 *
 * A client that copied or decrypted what it receives would take the processor from the servers that are measured. Bodies are
 * received with MSG_TRUNC, which hands out lengths and no bytes; with TLS the handshake, the request and the head of the
 * answer are real, and the rest is dropped as ciphertext up to the end of the connection. Whether bytes are right is tested
 * elsewhere, with clients that look at them. One thread a connection, blocking.
 *
 *     load fetch  HOST PORT PATH CONNECTIONS REQUESTS TLS(0|1)
 *     load stall  HOST PORT PATH CONNECTIONS            (holds them until standard input ends)
 *     load paced  HOST PORT PATH CONNECTIONS PER_SECOND SECONDS
 *
 * Prints one JSON object. Never: retries, redirects, chunked bodies.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_BYTES = 16384, DISCARD_BYTES = 1 << 20, MAX_CONNECTIONS = 4096, MAX_SAMPLES = 1 << 20 };

static struct sockaddr_in address;
static const char *host, *path;
static SSL_CTX *tls;
static atomic_long requests_left, bytes_received, complete, incomplete;
static atomic_long other_status;
static double per_second, run_seconds;
static int connections;
static double *samples;
static atomic_long sample_count;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void sample(double seconds) {
    long at = atomic_fetch_add(&sample_count, 1);
    if (at < MAX_SAMPLES) samples[at] = seconds;
}

static int dial(int receive_buffer) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (receive_buffer) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
    struct timeval limit = {.tv_sec = 300};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

static long take(int fd, SSL *ssl, char *into, long room) {
    return ssl ? SSL_read(ssl, into, (int)room) : recv(fd, into, (size_t)room, 0);
}

static int ask(int fd, SSL *ssl, int close_after) {
    char request[4096];
    int length = snprintf(request, sizeof request,
                          "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: application/vnd.oci.image.manifest.v1+json, */*\r\n%s\r\n",
                          path, host, close_after ? "Connection: close\r\n" : "");
    return ssl ? SSL_write(ssl, request, length) == length : send(fd, request, (size_t)length, MSG_NOSIGNAL) == length;
}

/* Reads the head. Gives the body's length, or -1; *early is how much of the body came along. */
static long head(int fd, SSL *ssl, long *early) {
    char buffer[HEAD_BYTES + 1];
    long filled = 0;
    for (;;) {
        long got = take(fd, ssl, buffer + filled, HEAD_BYTES - filled);
        if (got <= 0) return -1;
        filled += got;
        buffer[filled] = 0;
        char *end = strstr(buffer, "\r\n\r\n");
        if (!end) {
            if (filled == HEAD_BYTES) return -1;
            continue;
        }
        *early = filled - (end + 4 - buffer);
        if (strncmp(buffer, "HTTP/1.1 200", 12) != 0) {
            atomic_fetch_add(&other_status, 1);
            return -1;
        }
        char *field = strcasestr(buffer, "\r\ncontent-length:");
        return field && field < end ? atol(field + 17) : -1;
    }
}

/* One answer, thrown away. Gives whether it was whole; *first is when the first byte of the body was there. */
static int discard(int fd, SSL *ssl, double *first) {
    long early = 0, length = head(fd, ssl, &early);
    if (length < 0) return 0;
    long got = early;
    *first = early > 0 ? now() : 0;
    if (ssl) got += SSL_pending(ssl);
    while (ssl || got < length) {
        long room = ssl || length - got > DISCARD_BYTES ? DISCARD_BYTES : length - got;
        long part = recv(fd, NULL, (size_t)room, MSG_TRUNC);
        if (part < 0 && errno == EINTR) continue;
        if (part <= 0) break;
        if (*first == 0) *first = now();
        got += part;
    }
    int whole = got >= length;
    atomic_fetch_add(&bytes_received, whole ? length : got);
    return whole;
}

static void *fetch(void *unused) {
    (void)unused;
    int fd = -1;
    while (atomic_fetch_sub(&requests_left, 1) > 0) {
        double begun = now(), first = 0;
        SSL *ssl = NULL;
        if (fd < 0) fd = dial(0);
        int good = fd >= 0;
        if (good && tls) {
            ssl = SSL_new(tls);
            SSL_set_fd(ssl, fd);
            good = SSL_connect(ssl) == 1;
        }
        good = good && ask(fd, ssl, tls != NULL) && discard(fd, ssl, &first);
        atomic_fetch_add(good ? &complete : &incomplete, 1);
        if (first > 0) sample(first - begun);
        if (ssl) SSL_free(ssl);
        if (fd >= 0 && (ssl || !good)) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0) close(fd);
    return NULL;
}

/* Requests at set times, each measured from the time at which it was due: a server that stops is seen by all that were due. */
static void *paced(void *number) {
    double interval = connections / per_second, begun = now();
    double due = begun + interval * (double)(long)number / connections;
    int fd = dial(0);
    for (; fd >= 0 && due < begun + run_seconds; due += interval) {
        double wait = due - now(), first;
        if (wait > 0) {
            struct timespec t = {.tv_sec = (long)wait, .tv_nsec = (long)((wait - (long)wait) * 1e9)};
            nanosleep(&t, NULL);
        }
        if (!ask(fd, NULL, 0) || !discard(fd, NULL, &first)) {
            atomic_fetch_add(&incomplete, 1);
            close(fd);
            fd = dial(0);
            continue;
        }
        atomic_fetch_add(&complete, 1);
        sample(now() - due);
    }
    if (fd >= 0) close(fd);
    return NULL;
}

static void stall(void) {
    char byte;
    for (int i = 0; i < connections; i++) {
        long early;
        int fd = dial(65536);
        int good = fd >= 0 && ask(fd, NULL, 0) && head(fd, NULL, &early) >= 0;
        atomic_fetch_add(good ? &complete : &incomplete, 1);
    }
    printf("ready\n");
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {}
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(double seconds) {
    long count = atomic_load(&sample_count);
    if (count > MAX_SAMPLES) count = MAX_SAMPLES;
    qsort(samples, (size_t)count, sizeof *samples, ascending);
    double median = count ? samples[count / 2] : 0, p99 = count ? samples[(long)(count * 0.99)] : 0;
    double worst = count ? samples[count - 1] : 0;
    printf("{\"seconds\": %.6f, \"bytes\": %ld, \"complete\": %ld, \"incomplete\": %ld, \"other_status\": %ld, "
           "\"median\": %.6f, \"p99\": %.6f, \"worst\": %.6f}\n",
           seconds, atomic_load(&bytes_received), atomic_load(&complete), atomic_load(&incomplete),
           atomic_load(&other_status), median, p99, worst);
}

int main(int count, char **given) {
    if (count < 6) return 2;
    signal(SIGPIPE, SIG_IGN);
    host = given[2];
    path = given[4];
    connections = atoi(given[5]);
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(given[3]));
    samples = calloc(MAX_SAMPLES, sizeof *samples);
    if (!samples || connections < 1 || connections > MAX_CONNECTIONS || inet_pton(AF_INET, host, &address.sin_addr) != 1) return 2;
    if (strcmp(given[1], "stall") == 0) {
        stall();
        print(0);
        return 0;
    }
    if (count < 8) return 2;
    int is_paced = strcmp(given[1], "paced") == 0;
    if (is_paced) {
        per_second = atof(given[6]);
        run_seconds = atof(given[7]);
    } else {
        atomic_store(&requests_left, atol(given[6]));
        if (atoi(given[7])) {
            tls = SSL_CTX_new(TLS_client_method());
            SSL_CTX_set_min_proto_version(tls, TLS1_3_VERSION);
            SSL_CTX_set_ciphersuites(tls, "TLS_AES_128_GCM_SHA256");
        }
    }
    pthread_attr_t small;
    pthread_attr_init(&small);
    pthread_attr_setstacksize(&small, 256 << 10);
    pthread_t threads[MAX_CONNECTIONS];
    double begun = now();
    for (long i = 0; i < connections; i++)
        if (pthread_create(&threads[i], &small, is_paced ? paced : fetch, (void *)i) != 0) return 3;
    for (long i = 0; i < connections; i++) pthread_join(threads[i], NULL);
    print(now() - begun);
    return 0;
}
