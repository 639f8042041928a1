/*
 * Reads a topic together with all other processes that run this program: each has a share of the partitions.
 *
 *     cc group.c -o group -I ../../include -L /path/to/library -lfluvio_cffi
 *     ./group 127.0.0.1:9003 orders billing [records]
 *
 * It commits after each chunk, so that whoever takes its place goes on there, and ends after so many records; without a
 * number it goes on for ever.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fluvio_cffi.h"

#define TIMEOUT_MS 30000

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

/* Waits until the operation completes. What it gives is ours; `value` may be NULL. */
static void *finish(flv_queue_t *queue, uint64_t operation, const char *what, int64_t *value) {
    for (;;) {
        struct pollfd waiting = {.fd = flv_queue_fd(queue), .events = POLLIN};
        if (poll(&waiting, 1, -1) < 0) {
            perror("poll");
            exit(EXIT_FAILURE);
        }
        flv_completion_t completion;
        size_t count;
        check(flv_queue_drain(queue, &completion, 1, &count), NULL, "draining the queue");
        if (count == 0) {
            continue;
        }
        if (completion.operation != operation) {
            flv_completion_dispose(&completion);
            continue;
        }
        check(completion.status, completion.result, what);
        if (value != NULL) {
            *value = completion.value;
        }
        return completion.result;
    }
}

/* What is read has changed. Nothing of assigned partitions was handed over before; revoked ones are given up here. */
static void tell(flv_consumer_t *consumer) {
    static const char *const KINDS[] = {"", "assigned", "revoked", "lost"};
    flv_error_t *error = NULL;
    for (;;) {
        flv_group_change_t change = {.struct_size = sizeof change};
        flv_status_t status = flv_consumer_change(consumer, &change, &error);
        if (status == FLV_STATUS_EMPTY) {
            return;
        }
        check(status, error, "looking at a change");
        printf("%s:", KINDS[change.kind]);
        for (size_t i = 0; i < change.count; i++) {
            printf(" %" PRIu32, change.partitions[i]);
        }
        printf("\n");
        check(flv_consumer_change_done(consumer, change.number, &error), error, "acknowledging a change");
    }
}

/* Whether the chunk may still be worked on: the partition may have gone to another process meanwhile. */
static int is_ours(flv_consumer_t *consumer, const flv_group_slots_t *slots, const flv_chunk_t *chunk) {
    const int64_t *epoch;
    flv_error_t *error = NULL;
    check(flv_consumer_epoch(consumer, chunk->partition, &epoch, &error), error, "looking for an epoch");
    return *(const volatile int64_t *)slots->lease > flv_boottime() && *(const volatile int64_t *)epoch == chunk->epoch;
}

static void commit(flv_consumer_t *consumer, flv_queue_t *queue, const flv_chunk_t *chunk, int64_t offset) {
    flv_epoch_offset_t processed = {.partition = chunk->partition, .offset = offset, .epoch = chunk->epoch};
    uint64_t operation;
    int64_t fenced = 0;
    flv_error_t *error = NULL;
    check(flv_consumer_commit_epochs(consumer, &processed, 1, TIMEOUT_MS, queue, 0, &operation, &error), error,
          "committing");
    flv_buffer_free(finish(queue, operation, "committing", &fenced));
    if (fenced > 0) {
        printf("partition %" PRIu32 " is another process's by now\n", chunk->partition);
    }
}

static void consume(flv_client_t *client, flv_queue_t *queue, const char *topic, const char *group, long records) {
    flv_consumer_options_t options;
    flv_consumer_options_init(&options);
    options.group = slice(group);
    uint64_t operation;
    flv_error_t *error = NULL;
    check(flv_consumer_open(client, slice(topic), &options, TIMEOUT_MS, queue, 0, &operation, &error), error,
          "joining");
    flv_consumer_t *consumer = finish(queue, operation, "joining", NULL);
    flv_group_slots_t slots = {.struct_size = sizeof slots};
    check(flv_consumer_group_slots(consumer, &slots, &error), error, "looking for the slots");
    flv_group_member_t member = {.struct_size = sizeof member};
    check(flv_consumer_member(consumer, &member, &error), error, "asking who it is");
    printf("member %s\n", (const char *)member.id);

    while (records != 0) {
        flv_chunk_t chunk = {.struct_size = sizeof chunk};
        flv_status_t status = flv_consumer_take(consumer, &chunk, &error);
        if (status == FLV_STATUS_CHANGED) {
            tell(consumer);
            continue;
        }
        if (status == FLV_STATUS_EMPTY) {
            check(flv_consumer_wait(consumer, -1, queue, 0, &operation, &error), error, "waiting");
            finish(queue, operation, "waiting for records", NULL);
            continue;
        }
        check(status, error, "reading");
        int64_t last = -1;
        for (uint32_t i = 0; i < chunk.count && records != 0 && is_ours(consumer, &slots, &chunk); i++) {
            const flv_record_t *record = &chunk.records[i];
            printf("partition %" PRIu32 " offset %" PRId64 ": %.*s\n", chunk.partition, record->offset,
                   (int)record->value_len, (const char *)record->value);
            records -= records > 0;
            last = record->offset;
        }
        if (last >= 0) {
            commit(consumer, queue, &chunk, last);
        }
    }
    check(flv_consumer_close(consumer, TIMEOUT_MS, queue, 0, &operation, &error), error, "leaving");
    finish(queue, operation, "leaving", NULL);
    flv_consumer_free(consumer);
}

int main(int argc, char **argv) {
    if (argc < 4) {
        fprintf(stderr, "usage: %s endpoint topic group [records]\n", argv[0]);
        return EXIT_FAILURE;
    }
    flv_queue_t *queue = NULL;
    flv_error_t *error = NULL;
    check(flv_queue_new(&queue, &error), error, "making a queue");
    flv_client_options_t options;
    flv_client_options_init(&options);
    options.endpoint = slice(argv[1]);
    uint64_t operation;
    check(flv_client_connect(&options, TIMEOUT_MS, queue, 0, &operation, &error), error, "connecting");
    flv_client_t *client = finish(queue, operation, "connecting", NULL);

    consume(client, queue, argv[2], argv[3], argc > 4 ? strtol(argv[4], NULL, 10) : -1);

    check(flv_client_close(client, TIMEOUT_MS, queue, 0, &operation, &error), error, "closing the client");
    finish(queue, operation, "closing the client", NULL);
    flv_client_free(client);
    flv_queue_free(queue);
    return EXIT_SUCCESS;
}
