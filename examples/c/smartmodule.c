/*
 * Reads a topic to its end through a SmartModule, a filter for instance, that lies in a file:
 *
 *     cc smartmodule.c -o smartmodule -I ../../include -L /path/to/library -lfluvio_cffi
 *     ./smartmodule 127.0.0.1:9003 topic contains.wasm needle=x
 *
 * Records keep the offset and the time that they have in the log. quickstart.c shows the rest of a program.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fluvio_cffi.h"

#define PARAMETERS 16
#define LARGEST (1 << 20)
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

/* Waits until `operation` completes. What it gives is ours. */
static void *finish(flv_queue_t *queue, uint64_t operation, const char *what) {
    for (;;) {
        struct pollfd waiting = {.fd = flv_queue_fd(queue), .events = POLLIN};
        if (poll(&waiting, 1, -1) < 0) {
            perror("poll");
            exit(EXIT_FAILURE);
        }
        flv_completion_t completion;
        size_t count;
        check(flv_queue_drain(queue, &completion, 1, &count), NULL, "draining the queue");
        if (count != 0 && completion.operation == operation) {
            check(completion.status, completion.result, what);
            return completion.result;
        }
    }
}

/* The whole file. */
static flv_slice_t code_of(const char *path) {
    static uint8_t code[LARGEST];
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    flv_slice_t all = {code, fread(code, 1, sizeof code, file)};
    fclose(file);
    return all;
}

static void consume(flv_client_t *client, flv_queue_t *queue, const char *topic, const flv_smartmodule_t *module) {
    flv_consumer_options_t options;
    flv_consumer_options_init(&options);
    options.start_kind = FLV_START_BEGINNING;
    options.stop_at_end = 1;
    options.smartmodules = module; /* an array: the chain */
    options.smartmodules_len = 1;
    uint64_t operation;
    flv_error_t *error = NULL;
    check(flv_consumer_open(client, slice(topic), &options, TIMEOUT_MS, queue, 0, &operation, &error), error,
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
        /* Among others: the module has failed on a record. flv_error_info says on which, flv_consumer_seek passes it. */
        check(status, error, "reading");
        for (uint32_t i = 0; i < chunk.count; i++) {
            const flv_record_t *record = &chunk.records[i];
            printf("offset %" PRId64 ": %.*s\n", record->offset, (int)record->value_len, (const char *)record->value);
        }
    }
    check(flv_consumer_close(consumer, TIMEOUT_MS, queue, 0, &operation, &error), error, "closing the consumer");
    finish(queue, operation, "closing the consumer");
    flv_consumer_free(consumer);
}

int main(int argc, char **argv) {
    if (argc < 4 || argc > 4 + PARAMETERS) {
        fprintf(stderr, "usage: %s HOST:PORT TOPIC MODULE.wasm [NAME=VALUE ...]\n", argv[0]);
        return EXIT_FAILURE;
    }
    flv_parameter_t parameters[PARAMETERS];
    for (int i = 4; i < argc; i++) {
        const char *equals = strchr(argv[i], '=');
        size_t length = equals != NULL ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        parameters[i - 4].name = (flv_slice_t){(const uint8_t *)argv[i], length};
        parameters[i - 4].value = slice(equals != NULL ? equals + 1 : "");
    }
    flv_smartmodule_t module;
    flv_smartmodule_init(&module);
    module.name = slice(argv[3]); /* with code of its own: what it is called in errors */
    module.wasm = code_of(argv[3]);
    module.parameters = parameters;
    module.parameters_len = (size_t)(argc - 4);

    flv_queue_t *queue = NULL;
    flv_error_t *error = NULL;
    check(flv_queue_new(&queue, &error), error, "making a queue");
    flv_client_options_t options;
    flv_client_options_init(&options);
    options.endpoint = slice(argv[1]);
    uint64_t operation;
    check(flv_client_connect(&options, TIMEOUT_MS, queue, 0, &operation, &error), error, "connecting");
    flv_client_t *client = finish(queue, operation, "connecting");

    consume(client, queue, argv[2], &module);

    check(flv_client_close(client, TIMEOUT_MS, queue, 0, &operation, &error), error, "closing the client");
    finish(queue, operation, "closing the client");
    flv_client_free(client);
    flv_queue_free(queue);
    return EXIT_SUCCESS;
}
