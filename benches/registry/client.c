/* The client of the registry's measurements: pushes blobs, and asks for many paths.
 *
 * A client that made or hashed bytes while the clock runs would take the processor from the server. All blobs are one block of
 * random bytes over and over, with a stamp at the beginning of each block, so that every block of every blob is different and none
 * takes memory; their digests are computed before the clock starts. One thread a connection, blocking, kept alive.
 *
 *     client push HOST PORT REPOSITORY CONNECTIONS BLOBS BYTES SEED whole|streamed
 *     client ask  HOST PORT CONNECTIONS HEAD|GET       (paths on standard input, one a line; each is asked once)
 *
 * `whole` is POST and PUT with the blob; `streamed` is POST, PATCH in chunks of 32 KiB without a length, as Docker sends them, and
 * PUT with the digest. Prints one JSON object. Never: retries, redirects, TLS, chunked answers.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { HEAD_BYTES = 16384, BLOCK = 1 << 20, STAMP = 32, CHUNK = 32 << 10, MAX_CONNECTIONS = 256, HEX = 64 };

typedef struct {
    char stamp[STAMP];
    char digest[HEX + 1];
} Blob;

/* What was answered. */
typedef struct {
    int status;
    long length;
    char location[4096];
} Answer;

static struct sockaddr_in address;
static const char *host, *repository, *method;
static unsigned char block[BLOCK];
static Blob *blobs;
static char **paths;
static long count, bytes_each;
static int connections, streamed;
static double *samples;
static atomic_long next_one, next_digest, sample_count, bytes_moved, complete, incomplete;
static char complaint[512];
static pthread_mutex_t complaint_lock = PTHREAD_MUTEX_INITIALIZER;

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

/* The first one is told; it must be fit for a JSON text. */
static void complain(const char *what, const char *answered) {
    pthread_mutex_lock(&complaint_lock);
    if (!complaint[0]) {
        snprintf(complaint, sizeof complaint, "%s: %.400s", what, answered);
        for (char *at = complaint; *at; at++)
            if ((unsigned char)*at < ' ' || *at == '"' || *at == '\\') *at = ' ';
    }
    pthread_mutex_unlock(&complaint_lock);
}

static int dial(void) {
    int fd = socket(AF_INET, SOCK_STREAM, 0), on = 1;
    if (fd < 0) return -1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct timeval limit = {.tv_sec = 300};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0) return fd;
    close(fd);
    return -1;
}

/* Sends all of it. The vectors are used up. */
static int send_all(int fd, struct iovec *part, int parts) {
    while (parts > 0) {
        struct msghdr message = {.msg_iov = part, .msg_iovlen = (size_t)(parts > IOV_MAX ? IOV_MAX : parts)};
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return 0;
        while (parts > 0 && (size_t)sent >= part->iov_len) {
            sent -= (ssize_t)part->iov_len;
            part++;
            parts--;
        }
        if (parts > 0) {
            part->iov_base = (char *)part->iov_base + sent;
            part->iov_len -= (size_t)sent;
        }
    }
    return 1;
}

static int send_text(int fd, const char *text, int length) {
    struct iovec part = {.iov_base = (void *)text, .iov_len = (size_t)length};
    return length > 0 && send_all(fd, &part, 1);
}

/* Reads one answer and throws its body away. */
static int receive(int fd, int has_body, Answer *answer) {
    char buffer[HEAD_BYTES + 1], *end = NULL;
    long filled = 0;
    while (!end) {
        ssize_t got = filled < HEAD_BYTES ? recv(fd, buffer + filled, (size_t)(HEAD_BYTES - filled), 0) : 0;
        if (got <= 0) {
            complain("no answer", got < 0 ? strerror(errno) : "closed");
            return 0;
        }
        filled += got;
        buffer[filled] = 0;
        end = strstr(buffer, "\r\n\r\n");
    }
    answer->status = atoi(buffer + 9);
    char *length = strcasestr(buffer, "\r\ncontent-length:"), *place = strcasestr(buffer, "\r\nlocation:");
    answer->length = length && length < end ? atol(length + 17) : 0;
    answer->location[0] = 0;
    if (place && place < end) {
        place += strlen("\r\nlocation:");
        place += strspn(place, " ");
        char *absolute = strncmp(place, "http://", 7) == 0 ? strchr(place + 7, '/') : place;
        snprintf(answer->location, sizeof answer->location, "%.*s", (int)strcspn(absolute, "\r"), absolute);
    }
    if (answer->status >= 300) complain("refused", buffer);
    long left = has_body ? answer->length - (filled - (end + 4 - buffer)) : 0;
    while (left > 0) {
        ssize_t got = recv(fd, NULL, (size_t)(left < BLOCK ? left : BLOCK), MSG_TRUNC);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return 0;
        left -= got;
    }
    return 1;
}

/* --- blobs --- */

static void stamp(const Blob *blob, long at, char *into) {
    memcpy(into, blob->stamp, STAMP);
    memcpy(into, &at, sizeof at);
}

static void *digests(void *unused) {
    (void)unused;
    static const char hex[] = "0123456789abcdef";
    unsigned char sum[EVP_MAX_MD_SIZE];
    for (long i; (i = atomic_fetch_add(&next_digest, 1)) < count;) {
        EVP_MD_CTX *hash = EVP_MD_CTX_new();
        EVP_DigestInit_ex(hash, EVP_sha256(), NULL);
        for (long at = 0; at < bytes_each; at += BLOCK) {
            char first[STAMP];
            long part = bytes_each - at < BLOCK ? bytes_each - at : BLOCK;
            stamp(&blobs[i], at, first);
            EVP_DigestUpdate(hash, first, STAMP);
            EVP_DigestUpdate(hash, block + STAMP, (size_t)part - STAMP);
        }
        EVP_DigestFinal_ex(hash, sum, NULL);
        EVP_MD_CTX_free(hash);
        for (int k = 0; k < HEX / 2; k++) {
            blobs[i].digest[2 * k] = hex[sum[k] >> 4];
            blobs[i].digest[2 * k + 1] = hex[sum[k] & 15];
        }
    }
    return NULL;
}

/* The blob's bytes as they are, or in chunks. */
static int send_blob(int fd, const Blob *blob, int chunked) {
    for (long at = 0; at < bytes_each; at += BLOCK) {
        static const char line[] = "\r\n";
        struct iovec parts[4 * (BLOCK / CHUNK)];
        char first[STAMP], heads[BLOCK / CHUNK][16];
        long size = bytes_each - at < BLOCK ? bytes_each - at : BLOCK;
        int used = 0;
        stamp(blob, at, first);
        for (long from = 0, piece = 0; from < size; from += piece) {
            piece = chunked && size - from > CHUNK ? CHUNK : size - from;
            if (chunked) {
                char *head = heads[from / CHUNK];
                parts[used++] = (struct iovec){head, (size_t)snprintf(head, sizeof heads[0], "%lx\r\n", piece)};
            }
            long stamped = from == 0 ? STAMP : 0;
            if (stamped) parts[used++] = (struct iovec){first, STAMP};
            parts[used++] = (struct iovec){block + from + stamped, (size_t)(piece - stamped)};
            if (chunked) parts[used++] = (struct iovec){(void *)line, 2};
        }
        if (!send_all(fd, parts, used)) {
            complain("broken off", strerror(errno));
            return 0;
        }
    }
    return !chunked || send_text(fd, "0\r\n\r\n", 5);
}

static int head(int fd, const char *verb, const char *path, const char *digest, const char *fields) {
    char text[8192];
    int length = snprintf(text, sizeof text, "%s %s%s%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/octet-stream\r\n%s\r\n", verb,
                          path, !digest ? "" : strchr(path, '?') ? "&digest=sha256:" : "?digest=sha256:", digest ? digest : "", host,
                          fields);
    return length < (int)sizeof text && send_text(fd, text, length);
}

static int push(int fd, const Blob *blob) {
    Answer answer;
    char path[1024], length[64];
    snprintf(path, sizeof path, "/v2/%s/blobs/uploads/", repository);
    if (!head(fd, "POST", path, NULL, "Content-Length: 0\r\n") || !receive(fd, 1, &answer) || answer.status != 202) return 0;
    if (!streamed) {
        snprintf(length, sizeof length, "Content-Length: %ld\r\n", bytes_each);
        if (!head(fd, "PUT", answer.location, blob->digest, length) || !send_blob(fd, blob, 0)) return 0;
        return receive(fd, 1, &answer) && answer.status == 201;
    }
    if (!head(fd, "PATCH", answer.location, NULL, "Transfer-Encoding: chunked\r\n") || !send_blob(fd, blob, 1)) return 0;
    if (!receive(fd, 1, &answer) || answer.status != 202) return 0;
    if (!head(fd, "PUT", answer.location, blob->digest, "Content-Length: 0\r\n")) return 0;
    return receive(fd, 1, &answer) && answer.status == 201;
}

static int ask(int fd, const char *path) {
    char text[4096];
    Answer answer;
    int length = snprintf(text, sizeof text, "%s %s HTTP/1.1\r\nHost: %s\r\n"
                          "Accept: application/vnd.oci.image.manifest.v1+json, */*\r\n\r\n", method, path, host);
    if (!send_text(fd, text, length) || !receive(fd, strcmp(method, "HEAD") != 0, &answer)) return 0;
    atomic_fetch_add(&bytes_moved, answer.length);
    return answer.status == 200;
}

/* --- both --- */

static void *work(void *unused) {
    (void)unused;
    int fd = dial();
    for (long i; (i = atomic_fetch_add(&next_one, 1)) < count;) {
        double begun = now();
        if (fd < 0) fd = dial();
        int good = fd >= 0 && (blobs ? push(fd, &blobs[i]) : ask(fd, paths[i]));
        atomic_fetch_add(good ? &complete : &incomplete, 1);
        if (good) {
            samples[atomic_fetch_add(&sample_count, 1)] = now() - begun;
            if (blobs) atomic_fetch_add(&bytes_moved, bytes_each);
        } else if (fd >= 0) {
            close(fd);
            fd = -1;
        }
    }
    if (fd >= 0) close(fd);
    return NULL;
}

static int each(int threads, void *(*what)(void *)) {
    pthread_t running[MAX_CONNECTIONS];
    for (int i = 0; i < threads; i++)
        if (pthread_create(&running[i], NULL, what, NULL) != 0) return 0;
    for (int i = 0; i < threads; i++) pthread_join(running[i], NULL);
    return 1;
}

static int make_blobs(unsigned long seed) {
    blobs = calloc((size_t)count, sizeof *blobs);
    if (!blobs || RAND_bytes(block, BLOCK) != 1) return 0;
    for (long i = 0; i < count; i++) {
        /* The first eight bytes are the place in the blob. */
        memcpy(blobs[i].stamp + 8, &seed, sizeof seed);
        memcpy(blobs[i].stamp + 16, &i, sizeof i);
    }
    return each((int)sysconf(_SC_NPROCESSORS_ONLN) < MAX_CONNECTIONS ? (int)sysconf(_SC_NPROCESSORS_ONLN) : 1, digests);
}

static int read_paths(void) {
    size_t room = 0, line_room = 0;
    char *line = NULL;
    ssize_t length;
    while ((length = getline(&line, &line_room, stdin)) > 0) {
        if (line[length - 1] == '\n') line[length - 1] = 0;
        if ((size_t)count == room) {
            room = room ? 2 * room : 1024;
            char **more = realloc(paths, room * sizeof *paths);
            if (!more) return 0;
            paths = more;
        }
        paths[count++] = strdup(line);
    }
    free(line);
    return count > 0;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void print(double seconds) {
    long done = atomic_load(&sample_count);
    qsort(samples, (size_t)done, sizeof *samples, ascending);
    printf("{\"seconds\": %.6f, \"bytes\": %ld, \"complete\": %ld, \"incomplete\": %ld, \"complaint\": \"%s\", \"median\": %.6f, "
           "\"p99\": %.6f, \"worst\": %.6f, \"digests\": [",
           seconds, atomic_load(&bytes_moved), atomic_load(&complete), atomic_load(&incomplete), complaint,
           done ? samples[done / 2] : 0, done ? samples[(long)(done * 0.99)] : 0, done ? samples[done - 1] : 0);
    for (long i = 0; blobs && i < count; i++) printf("%s\"sha256:%s\"", i ? ", " : "", blobs[i].digest);
    printf("]}\n");
}

int main(int arguments, char **given) {
    if (arguments < 6) return 2;
    int pushes = strcmp(given[1], "push") == 0;
    signal(SIGPIPE, SIG_IGN);
    host = given[2];
    address.sin_family = AF_INET;
    address.sin_port = htons((uint16_t)atoi(given[3]));
    if (inet_pton(AF_INET, host, &address.sin_addr) != 1) return 2;
    if (pushes) {
        if (arguments < 10) return 2;
        repository = given[4];
        connections = atoi(given[5]);
        count = atol(given[6]);
        bytes_each = atol(given[7]);
        streamed = strcmp(given[9], "streamed") == 0;
        /* A stamp is in every block, the last one too. */
        if (count < 1 || bytes_each < 2 * STAMP || (bytes_each % BLOCK && bytes_each % BLOCK < 2 * STAMP)) return 2;
        if (!make_blobs(strtoul(given[8], NULL, 10))) return 3;
    } else {
        connections = atoi(given[4]);
        method = given[5];
        if (!read_paths()) return 2;
    }
    if (connections < 1 || connections > MAX_CONNECTIONS) return 2;
    samples = calloc((size_t)count, sizeof *samples);
    if (!samples) return 3;
    double begun = now();
    if (!each(connections, work)) return 3;
    print(now() - begun);
    return 0;
}
