/* What the C tests share. A failed CHECK ends the program with status 1 and says where. */
#ifndef CHECK_H
#define CHECK_H

#define _GNU_SOURCE

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "fluvio_cffi.h"

#define CHECK(condition)                                                            \
    do {                                                                            \
        if (!(condition)) {                                                         \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
            exit(1);                                                                \
        }                                                                           \
    } while (0)

/* As CHECK(actual == status), but prints the number and, if there is one, the error's message; frees the error. */
#define CHECK_STATUS(actual, wanted, error) check_status(__FILE__, __LINE__, #actual, (actual), (wanted), &(error))

static inline void check_status(const char *file, int line, const char *what, flv_status_t actual, flv_status_t wanted,
                                flv_error_t **error) {
    if (actual != wanted) {
        flv_error_info_t info = {.struct_size = sizeof info};
        const char *message = "";
        int length = 0;
        if (*error != NULL && flv_error_info(*error, &info) == FLV_STATUS_OK) {
            message = (const char *)info.message.data;
            length = (int)info.message.len;
        }
        fprintf(stderr, "%s:%d: %s is %" PRId32 ", not %" PRId32 ": %.*s\n", file, line, what, actual, wanted, length,
                message);
        exit(1);
    }
    flv_error_free(*error);
    *error = NULL;
}

static inline flv_slice_t slice(const char *text) {
    flv_slice_t slice = {(const uint8_t *)text, strlen(text)};
    return slice;
}

static const flv_slice_t nothing = {NULL, 0};

static inline flv_queue_t *new_queue(void) {
    flv_queue_t *queue = NULL;
    flv_error_t *error = NULL;
    CHECK_STATUS(flv_queue_new(&queue, &error), FLV_STATUS_OK, error);
    CHECK(queue != NULL && flv_queue_fd(queue) >= 0);
    return queue;
}

/* Whether the queue's descriptor becomes readable within so many milliseconds. */
static inline int readable(flv_queue_t *queue, int timeout_ms) {
    struct pollfd waiting = {.fd = flv_queue_fd(queue), .events = POLLIN};
    int ready = poll(&waiting, 1, timeout_ms);
    CHECK(ready >= 0 || errno == EINTR);
    return ready > 0;
}

/* The next completion; fails if none comes within a minute: valgrind on a busy machine. */
static inline flv_completion_t next(flv_queue_t *queue) {
    flv_completion_t completion;
    size_t count = 0;
    while (count == 0) {
        CHECK(readable(queue, 60000));
        CHECK(flv_queue_drain(queue, &completion, 1, &count) == FLV_STATUS_OK);
    }
    return completion;
}

/* Waits for `operation`, which is to succeed; passes over tickets. */
static inline void *finish(flv_queue_t *queue, uint64_t operation) {
    flv_completion_t completion = next(queue);
    while (completion.kind == FLV_COMPLETION_TICKET) {
        CHECK(completion.status == FLV_STATUS_OK);
        completion = next(queue);
    }
    flv_error_t *error = completion.status == FLV_STATUS_OK ? NULL : completion.result;
    CHECK_STATUS(completion.status, FLV_STATUS_OK, error);
    CHECK(completion.operation == operation && completion.kind == FLV_COMPLETION_OPERATION);
    return completion.result;
}

static inline flv_client_options_t client_options(const char *endpoint) {
    flv_client_options_t options;
    flv_client_options_init(&options);
    CHECK(options.struct_size == sizeof options);
    options.endpoint = slice(endpoint);
    return options;
}

static inline flv_client_t *connect_client(flv_queue_t *queue, const char *endpoint) {
    flv_client_options_t options = client_options(endpoint);
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    CHECK_STATUS(flv_client_connect(&options, 10000, queue, 1, &operation, &error), FLV_STATUS_OK, error);
    flv_client_t *client = finish(queue, operation);
    CHECK(client != NULL);
    return client;
}

static inline void create_topic(flv_queue_t *queue, flv_client_t *client, const char *name) {
    char document[128];
    snprintf(document, sizeof document, "{\"name\": \"%s\", \"exist_ok\": true}", name);
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    CHECK_STATUS(flv_admin_call(client, slice("topics.create"), slice(document), nothing, 10000, queue, 2, &operation,
                                &error),
                 FLV_STATUS_OK, error);
    flv_buffer_free(finish(queue, operation));
}

static inline flv_producer_t *open_producer(flv_queue_t *queue, flv_client_t *client, const char *topic) {
    flv_producer_options_t options;
    flv_producer_options_init(&options);
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    CHECK_STATUS(flv_producer_open(client, slice(topic), &options, 10000, queue, 3, &operation, &error), FLV_STATUS_OK,
                 error);
    return finish(queue, operation);
}

/* Submits one record. */
static inline flv_run_t submit(flv_producer_t *producer, const char *value) {
    uint32_t length = (uint32_t)strlen(value);
    flv_records_t records = {.struct_size = sizeof records,
                             .count = 1,
                             .data = (const uint8_t *)value,
                             .data_len = length,
                             .value_lengths = &length};
    flv_run_t run;
    flv_submission_t submission = {.struct_size = sizeof submission};
    flv_error_t *error = NULL;
    CHECK_STATUS(flv_producer_submit(producer, &records, &run, 1, &submission, &error), FLV_STATUS_OK, error);
    CHECK(submission.accepted == 1 && submission.runs == 1 && run.count == 1 && run.ticket != 0);
    return run;
}

static inline flv_counts_t counts(void) {
    flv_counts_t now = {.struct_size = sizeof now};
    CHECK(flv_debug_counts(&now) == FLV_STATUS_OK);
    return now;
}

static inline void sleep_ms(long milliseconds) {
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000};
    nanosleep(&time, NULL);
}

/* Nothing of the library's is left: no handle, operation, socket or descriptor. Closing goes on in the background. */
static inline void check_nothing_left(void) {
    flv_counts_t left = counts();
    for (int i = 0; i < 500 && (left.operations || left.inner_clients || left.descriptors); i++) {
        sleep_ms(10);
        left = counts();
    }
    CHECK(left.queues == 0 && left.operations == 0);
    CHECK(left.clients == 0 && left.producers == 0 && left.consumers == 0);
    CHECK(left.errors == 0 && left.buffers == 0 && left.watches == 0);
    CHECK(left.inner_clients == 0 && left.inner_producers == 0 && left.inner_consumers == 0);
    CHECK(left.connections == 0 && left.descriptors == 0);
}

#endif
