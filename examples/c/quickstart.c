/*
 * Creates a topic, produces records and reads them back, with poll(2), one header and one library:
 *
 *     cc quickstart.c -o quickstart -I ../../include -L /path/to/library -lfluvio_cffi
 *     ./quickstart 127.0.0.1:9003
 *
 * Everything that takes time is an operation: it is started by a call, which never waits, and it completes on a queue.
 * This program starts one at a time and waits for it. The conventions are in docs/c-abi.md.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fluvio_cffi.h"

#define TOPIC "quickstart"
#define RECORDS 5
#define TIMEOUT_MS 10000

static flv_slice_t slice(const char *text) {
    flv_slice_t slice = {(const uint8_t *)text, strlen(text)};
    return slice;
}

/* Ends the program if something failed; says what, and why. */
static void check(flv_status_t status, flv_error_t *error, const char *what) {
    if (status == FLV_STATUS_OK) {
        return;
    }
    fprintf(stderr, "%s failed with status %" PRId32, what, status);
    flv_error_info_t info = {.struct_size = sizeof info};
    if (error != NULL && flv_error_info(error, &info) == FLV_STATUS_OK) {
        fprintf(stderr, ": %.*s", (int)info.message.len, (const char *)info.message.data);
    }
    fputc('\n', stderr);
    flv_error_free(error);
    exit(EXIT_FAILURE);
}

/* A ticket is a batch of records. The offset of a record is the batch's first offset plus its index in the batch. */
static void settled(const flv_completion_t *ticket) {
    check(ticket->status, ticket->result, "delivering a batch");
    printf("%" PRId64 " records written to partition %" PRIu32 " from offset %" PRId64 " on\n", ticket->extra,
           ticket->partition, ticket->value);
}

/* Waits until `operation` completes. What it gives is ours. */
static void *finish(flv_queue_t *queue, uint64_t operation, const char *what) {
    for (;;) {
        struct pollfd waiting = {.fd = flv_queue_fd(queue), .events = POLLIN};
        if (poll(&waiting, 1, -1) < 0) {
            perror("poll");
            exit(EXIT_FAILURE);
        }
        /* One by one: what stays in the queue keeps its descriptor readable. */
        flv_completion_t completion;
        size_t count;
        check(flv_queue_drain(queue, &completion, 1, &count), NULL, "draining the queue");
        if (count == 0) {
            continue;
        }
        if (completion.kind == FLV_COMPLETION_TICKET) {
            settled(&completion);
        } else if (completion.operation == operation) {
            check(completion.status, completion.result, what);
            return completion.result;
        } else {
            flv_completion_dispose(&completion);
        }
    }
}

static void create_topic(flv_client_t *client, flv_queue_t *queue) {
    flv_slice_t document = slice("{\"name\": \"" TOPIC "\", \"exist_ok\": true}");
    flv_slice_t nothing = {NULL, 0};
    uint64_t operation;
    flv_error_t *error = NULL;
    check(flv_admin_call(client, slice("topics.create"), document, nothing, TIMEOUT_MS, queue, 0, &operation, &error),
          error, "creating the topic");
    flv_buffer_free(finish(queue, operation, "creating the topic"));
}

static void produce(flv_client_t *client, flv_queue_t *queue) {
    flv_producer_options_t options;
    flv_producer_options_init(&options);
    uint64_t operation;
    flv_error_t *error = NULL;
    check(flv_producer_open(client, slice(TOPIC), &options, TIMEOUT_MS, queue, 0, &operation, &error), error,
          "opening the producer");
    flv_producer_t *producer = finish(queue, operation, "opening the producer");

    /* Many records go in one call: their bytes one after the other, and how long each is. */
    char data[RECORDS * 32] = "";
    uint32_t lengths[RECORDS];
    size_t used = 0;
    for (int i = 0; i < RECORDS; i++) {
        lengths[i] = (uint32_t)snprintf(data + used, sizeof data - used, "hello number %d", i);
        used += lengths[i];
    }
    /* All of these fit into the producer's buffer. With more, fewer may be accepted: flv_producer_wait_room, go on. */
    flv_records_t records = {.struct_size = sizeof records, .count = RECORDS, .data = (const uint8_t *)data,
                             .data_len = used, .value_lengths = lengths};
    flv_run_t runs[RECORDS];
    flv_submission_t submission = {.struct_size = sizeof submission};
    check(flv_producer_submit(producer, &records, runs, RECORDS, &submission, &error), error, "submitting");
    printf("%zu records submitted\n", submission.accepted);

    /* Closing waits for what is under way; the tickets arrive before the close completes. */
    check(flv_producer_close(producer, 1, TIMEOUT_MS, queue, 0, &operation, &error), error, "closing the producer");
    finish(queue, operation, "closing the producer");
    flv_producer_free(producer);
}

static void consume(flv_client_t *client, flv_queue_t *queue) {
    flv_consumer_options_t options;
    flv_consumer_options_init(&options);
    options.start_kind = FLV_START_END; /* so many records before the end */
    options.start_value = RECORDS;
    options.stop_at_end = 1;
    uint64_t operation;
    flv_error_t *error = NULL;
    check(flv_consumer_open(client, slice(TOPIC), &options, TIMEOUT_MS, queue, 0, &operation, &error), error,
          "opening the consumer");
    flv_consumer_t *consumer = finish(queue, operation, "opening the consumer");

    for (;;) {
        flv_chunk_t chunk = {.struct_size = sizeof chunk};
        flv_status_t status = flv_consumer_take(consumer, &chunk, &error);
        if (status == FLV_STATUS_END) {
            break;
        }
        if (status == FLV_STATUS_EMPTY) {
            check(flv_consumer_wait(consumer, TIMEOUT_MS, queue, 0, &operation, &error), error, "waiting");
            finish(queue, operation, "waiting for records");
            continue;
        }
        check(status, error, "reading");
        for (uint32_t i = 0; i < chunk.count; i++) { /* lent to us until the next take */
            const flv_record_t *record = &chunk.records[i];
            printf("offset %" PRId64 ": %.*s\n", record->offset, (int)record->value_len, (const char *)record->value);
        }
    }
    check(flv_consumer_close(consumer, TIMEOUT_MS, queue, 0, &operation, &error), error, "closing the consumer");
    finish(queue, operation, "closing the consumer");
    flv_consumer_free(consumer);
}

int main(int argc, char **argv) {
    if (flv_abi_version() >> 16 != 0) {
        fprintf(stderr, "the library has another ABI than this program was written for\n");
        return EXIT_FAILURE;
    }
    flv_queue_t *queue = NULL;
    flv_error_t *error = NULL;
    check(flv_queue_new(&queue, &error), error, "making a queue");

    flv_client_options_t options;
    flv_client_options_init(&options);
    options.endpoint = slice(argc > 1 ? argv[1] : "127.0.0.1:9003");
    uint64_t operation;
    check(flv_client_connect(&options, TIMEOUT_MS, queue, 0, &operation, &error), error, "connecting");
    flv_client_t *client = finish(queue, operation, "connecting");

    create_topic(client, queue);
    produce(client, queue);
    consume(client, queue);

    check(flv_client_close(client, TIMEOUT_MS, queue, 0, &operation, &error), error, "closing the client");
    finish(queue, operation, "closing the client");
    flv_client_free(client);
    flv_queue_free(queue);
    return EXIT_SUCCESS;
}
