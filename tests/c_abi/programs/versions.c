/* A program that was built against another version of the header than its library's. It is compiled with TODAY, LATER, which
   has a field and a function more, or EARLIER, which has a field less in each structure that can grow. */
#include "check.h"

/* Nothing beyond the structure is touched. */
#define GUARDED(type, name)          \
    struct {                         \
        type it;                     \
        uint64_t guard[8];           \
    } name;                          \
    memset(&name, 0xa5, sizeof name)
#define CHECK_GUARD(name)                                   \
    for (size_t at = 0; at < 8; at++) {                     \
        CHECK((name).guard[at] == 0xa5a5a5a5a5a5a5a5u);     \
    }

static void set_later(flv_client_options_t *options) {
#ifdef LATER
    CHECK(options->later == 0);
    options->later = 1;
#else
    (void)options;
#endif
}

static flv_client_t *connect_here(flv_queue_t *queue, const char *endpoint) {
    GUARDED(flv_client_options_t, options);
    flv_client_options_init(&options.it);
    CHECK_GUARD(options);
    CHECK(options.it.struct_size == sizeof options.it && options.it.admin_timeout_ms == 30000);
    options.it.endpoint = slice(endpoint);
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    CHECK_STATUS(flv_client_connect(&options.it, 10000, queue, 1, &operation, &error), FLV_STATUS_OK, error);
    flv_client_t *client = finish(queue, operation);
    set_later(&options.it);
#ifdef LATER
    /* To ask an old library for something new is an error, never ignored. */
    CHECK_STATUS(flv_client_connect(&options.it, 10000, queue, 1, &operation, &error), FLV_STATUS_INVALID_ARGUMENT,
                 error);
#endif
    return client;
}

static void look(flv_client_t *client) {
    GUARDED(flv_metrics_t, metrics);
    metrics.it.struct_size = sizeof metrics.it;
    CHECK(flv_client_metrics(client, &metrics.it, NULL) == FLV_STATUS_OK);
    CHECK_GUARD(metrics);
    GUARDED(flv_counts_t, now);
    now.it.struct_size = sizeof now.it;
    CHECK(flv_debug_counts(&now.it) == FLV_STATUS_OK && now.it.clients == 1);
    CHECK_GUARD(now);
}

static void produce(flv_queue_t *queue, flv_client_t *client, const char *topic) {
    GUARDED(flv_producer_options_t, options);
    flv_producer_options_init(&options.it);
    CHECK_GUARD(options);
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    CHECK_STATUS(flv_producer_open(client, slice(topic), &options.it, 10000, queue, 3, &operation, &error),
                 FLV_STATUS_OK, error);
    flv_producer_t *producer = finish(queue, operation);
    submit(producer, "of another version");
    CHECK_STATUS(flv_producer_flush(producer, 10000, queue, 4, &operation, &error), FLV_STATUS_OK, error);
    finish(queue, operation);
    flv_producer_free(producer);
}

static void consume(flv_queue_t *queue, flv_client_t *client, const char *topic) {
    GUARDED(flv_consumer_options_t, options);
    flv_consumer_options_init(&options.it);
    CHECK_GUARD(options);
    options.it.start_kind = FLV_START_BEGINNING;
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    CHECK_STATUS(flv_consumer_open(client, slice(topic), &options.it, 10000, queue, 5, &operation, &error),
                 FLV_STATUS_OK, error);
    flv_consumer_t *consumer = finish(queue, operation);
    GUARDED(flv_chunk_t, chunk);
    chunk.it.struct_size = sizeof chunk.it;
    flv_status_t status;
    while ((status = flv_consumer_take(consumer, &chunk.it, &error)) == FLV_STATUS_EMPTY) {
        CHECK_STATUS(flv_consumer_wait(consumer, 10000, queue, 6, &operation, &error), FLV_STATUS_OK, error);
        finish(queue, operation);
    }
    CHECK_STATUS(status, FLV_STATUS_OK, error);
    CHECK_GUARD(chunk);
    CHECK(chunk.it.count >= 1 && memcmp(chunk.it.records[0].value, "of another version", 18) == 0);
    flv_consumer_free(consumer);
}

int main(int argc, char **argv) {
    CHECK(argc == 3);
    GUARDED(flv_smartmodule_t, module);
    flv_smartmodule_init(&module.it);
    CHECK_GUARD(module);
#ifdef LATER
    CHECK(flv_later == NULL);
#endif
    flv_queue_t *queue = new_queue();
    flv_client_t *client = connect_here(queue, argv[1]);
    create_topic(queue, client, argv[2]);
    look(client);
    produce(queue, client, argv[2]);
    consume(queue, client, argv[2]);
    flv_client_free(client);
    flv_queue_free(queue);
    check_nothing_left();
    return 0;
}
