/* What is wrong with a call is a status and a message, never undefined behaviour; and nothing was done. */
#include "check.h"

#define INVALID FLV_STATUS_INVALID_ARGUMENT
#define CLOSED FLV_STATUS_CLOSED
#define OK FLV_STATUS_OK

/* That the call fails with `status` and an error whose message is not empty. */
#define REFUSED(call, wanted)                                                          \
    do {                                                                               \
        flv_error_t *error = NULL;                                                     \
        flv_status_t refused = (call);                                                 \
        flv_error_info_t about = {.struct_size = sizeof about};                        \
        CHECK(error != NULL && flv_error_info(error, &about) == OK);                   \
        CHECK(about.status == refused && about.message.len > 0 && about.topic.len == 0); \
        CHECK_STATUS(refused, wanted, error);                                          \
    } while (0)

/* A structure with an unknown tail, as a later version of the header would declare it. */
typedef struct {
    flv_client_options_t known;
    uint64_t later[4];
} later_options_t;

static uint64_t operation;
static flv_queue_t *queue;
static flv_client_t *client;
static flv_producer_t *producer;
static flv_consumer_t *consumer;

static void null_arguments(const char *endpoint) {
    flv_client_options_t options = client_options(endpoint);
    flv_client_options_t *no_options = NULL;
    flv_completion_t completion;
    flv_view_t view;
    size_t count = 7;

    REFUSED(flv_queue_new(NULL, &error), INVALID);
    CHECK(flv_queue_new(NULL, NULL) == INVALID); /* who wants no error object passes NULL */
    CHECK(flv_queue_fd(NULL) == -1);
    CHECK(flv_queue_drain(NULL, &completion, 1, &count) == INVALID && count == 0);
    CHECK(flv_queue_drain(queue, NULL, 1, &count) == INVALID);
    CHECK(flv_queue_drain(queue, &completion, 1, NULL) == INVALID);
    CHECK(flv_queue_drain(queue, NULL, 0, &count) == OK && count == 0);
    CHECK(flv_operation_cancel(NULL, 1) == INVALID);

    REFUSED(flv_client_connect(no_options, 100, queue, 1, &operation, &error), INVALID);
    REFUSED(flv_client_connect(&options, 100, NULL, 1, &operation, &error), INVALID);
    REFUSED(flv_client_connect(&options, 100, queue, 1, NULL, &error), INVALID);
    REFUSED(flv_client_close(NULL, 100, queue, 1, &operation, &error), INVALID);
    CHECK(flv_client_endpoint(NULL, &view) == INVALID && flv_client_endpoint(client, NULL) == INVALID);
    CHECK(flv_client_state(NULL) == FLV_CLIENT_STATE_UNKNOWN);
    REFUSED(flv_admin_call(NULL, slice("topics.list"), slice("{}"), nothing, 100, queue, 1, &operation, &error),
            INVALID);
    CHECK(flv_buffer_view(NULL, &view) == INVALID && flv_error_info(NULL, NULL) == INVALID);

    REFUSED(flv_producer_open(client, slice("misuse"), NULL, 100, queue, 1, &operation, &error), INVALID);
    REFUSED(flv_producer_submit(NULL, NULL, NULL, 0, NULL, &error), INVALID);
    REFUSED(flv_producer_submit(producer, NULL, NULL, 0, NULL, &error), INVALID);
    REFUSED(flv_producer_flush(NULL, 100, queue, 1, &operation, &error), INVALID);
    CHECK(flv_producer_room(NULL) == 0 && flv_producer_partition_count(NULL) == 0);
    REFUSED(flv_producer_trouble(NULL, &error), INVALID);
    REFUSED(flv_consumer_trouble(NULL, &error), INVALID);
    CHECK(flv_producer_trouble(producer, NULL) == FLV_STATUS_OK);
    CHECK(flv_consumer_trouble(consumer, NULL) == FLV_STATUS_OK);
    REFUSED(flv_consumer_open(client, slice("misuse"), NULL, 100, queue, 1, &operation, &error), INVALID);
    REFUSED(flv_consumer_take(consumer, NULL, &error), INVALID);
    REFUSED(flv_consumer_wait(NULL, 100, queue, 1, &operation, &error), INVALID);
    CHECK(flv_consumer_stop(NULL) == INVALID);
    CHECK(flv_debug_counts(NULL) == INVALID);

    flv_client_options_init(NULL);
    flv_producer_options_init(NULL);
    flv_consumer_options_init(NULL);
    flv_producer_pending(NULL, NULL, NULL);
    flv_version(NULL);
    flv_completion_dispose(NULL);
    flv_error_free(NULL);
    flv_buffer_free(NULL);
    flv_consumer_free(NULL);
    flv_producer_free(NULL);
    flv_client_free(NULL);
    flv_queue_free(NULL);
}

static void structures_of_other_sizes(void) {
    later_options_t later;
    memset(&later, 0, sizeof later);
    flv_client_options_init(&later.known);
    later.known.endpoint = slice("127.0.0.1:1");
    const flv_client_options_t *options = &later.known;

    /* Larger: the tail must be zero, that is, ask for nothing. */
    later.known.struct_size = sizeof later;
    later.later[3] = 1;
    REFUSED(flv_client_connect(options, 100, queue, 1, &operation, &error), INVALID);
    later.later[3] = 0;
    flv_error_t *error = NULL;
    CHECK_STATUS(flv_client_connect(options, 0, queue, 1, &operation, &error), OK, error);
    flv_completion_t completion = next(queue);
    CHECK(completion.operation == operation);
    flv_completion_dispose(&completion);

    /* Smaller: the rest is as by default. Not even its own size, or absurd: refused. */
    later.known.struct_size = offsetof(flv_client_options_t, profile);
    later.known.request_timeout_ms = -1;
    CHECK_STATUS(flv_client_connect(options, 0, queue, 1, &operation, &error), OK, error);
    completion = next(queue);
    flv_completion_dispose(&completion);
    later.known.struct_size = sizeof later.known;
    REFUSED(flv_client_connect(options, 100, queue, 1, &operation, &error), INVALID);
    const uint32_t wrong[] = {0, 1, 3, 1 << 20, UINT32_MAX};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        later.known.struct_size = wrong[i];
        REFUSED(flv_client_connect(options, 100, queue, 1, &operation, &error), INVALID);
        flv_counts_t few = {.struct_size = wrong[i]};
        CHECK(flv_debug_counts(&few) == INVALID);
    }

    /* What is filled in: only as far as the caller said. */
    flv_counts_t few = {.struct_size = offsetof(flv_counts_t, clients), .clients = 12345};
    CHECK(flv_debug_counts(&few) == OK && few.queues == 1 && few.clients == 12345);
}

static void reserved_fields(void) {
    flv_client_options_t to = client_options("127.0.0.1:1");
    to.reserved = 1;
    REFUSED(flv_client_connect(&to, 100, queue, 1, &operation, &error), INVALID);
    flv_producer_options_t producing;
    flv_producer_options_init(&producing);
    producing.reserved = 1;
    REFUSED(flv_producer_open(client, slice("misuse"), &producing, 100, queue, 1, &operation, &error), INVALID);
    const flv_records_t records = {.struct_size = sizeof records, .flags = 2};
    flv_submission_t submission = {.struct_size = sizeof submission};
    REFUSED(flv_producer_submit(producer, &records, NULL, 0, &submission, &error), INVALID);
    const flv_offset_t processed = {.reserved = 1};
    REFUSED(flv_consumer_commit(consumer, &processed, 1, 100, queue, 1, &operation, &error), INVALID);
    REFUSED(flv_consumer_commit_processed(consumer, &processed, 1, 100, queue, 1, &operation, &error), INVALID);
}

static void values_out_of_range(void) {
    flv_client_options_t options = client_options("127.0.0.1:1");
    options.use_spu_local_address = 3;
    REFUSED(flv_client_connect(&options, 100, queue, 1, &operation, &error), INVALID);
    options = client_options("\xff\xfe");
    REFUSED(flv_client_connect(&options, 100, queue, 1, &operation, &error), INVALID);
    options = client_options("");
    options.endpoint.len = 5;
    options.endpoint.data = NULL;
    REFUSED(flv_client_connect(&options, 100, queue, 1, &operation, &error), INVALID);
    options.endpoint.len = SIZE_MAX;
    options.endpoint.data = (const uint8_t *)"x";
    REFUSED(flv_client_connect(&options, 100, queue, 1, &operation, &error), INVALID);

    REFUSED(flv_admin_call(client, slice("no.such"), slice("{}"), nothing, 100, queue, 1, &operation, &error), INVALID);
    REFUSED(flv_admin_call(client, slice("topics.list"), slice("{"), nothing, 100, queue, 1, &operation, &error),
            INVALID);
    REFUSED(flv_admin_call(client, slice("topics.list"), slice("{}"), slice("x"), 100, queue, 1, &operation, &error),
            INVALID);
    REFUSED(flv_admin_call(client, slice("topics.list"), slice("{\"x\": 1}"), nothing, 100, queue, 1, &operation,
                           &error),
            INVALID);
    flv_producer_options_t producing;
    flv_producer_options_init(&producing);
    producing.isolation = 9;
    REFUSED(flv_producer_open(client, slice("misuse"), &producing, 100, queue, 1, &operation, &error), INVALID);
    flv_consumer_options_t consuming;
    flv_consumer_options_init(&consuming);
    consuming.format = 9;
    REFUSED(flv_consumer_open(client, slice("misuse"), &consuming, 100, queue, 1, &operation, &error), INVALID);
    flv_consumer_options_init(&consuming);
    consuming.start_kind = 99;
    REFUSED(flv_consumer_open(client, slice("misuse"), &consuming, 100, queue, 1, &operation, &error), INVALID);
    REFUSED(flv_debug_panic(99, &error), INVALID);
    REFUSED(flv_runtime_configure(0, &error), INVALID);
    REFUSED(flv_runtime_configure(2, &error), FLV_STATUS_USAGE);
}

/* A submission or a take that is refused has accepted, or taken, nothing. */
static void refused_means_nothing_happened(void) {
    uint32_t lengths[2] = {3, 3};
    flv_records_t records = {.struct_size = sizeof records, .count = 2, .data = (const uint8_t *)"onetwo",
                             .data_len = 6, .value_lengths = lengths};
    flv_run_t runs[2];
    flv_submission_t submission = {.struct_size = 0};
    uint64_t pending = 0, bytes = 0;
    REFUSED(flv_producer_submit(producer, &records, runs, 2, &submission, &error), INVALID);
    submission.struct_size = sizeof submission;
    REFUSED(flv_producer_submit(producer, &records, NULL, 2, &submission, &error), INVALID);
    records.data_len = 5;
    REFUSED(flv_producer_submit(producer, &records, runs, 2, &submission, &error), INVALID);
    records.data_len = 6;
    lengths[1] = UINT32_MAX;
    CHECK(flv_producer_submit(producer, &records, runs, 2, &submission, NULL) != OK);
    lengths[1] = 3;
    records.value_lengths = NULL;
    REFUSED(flv_producer_submit(producer, &records, runs, 2, &submission, &error), INVALID);
    records.value_lengths = lengths;
    int32_t partitions[2] = {0, 77};
    records.partitions = partitions;
    CHECK(flv_producer_submit(producer, &records, runs, 2, &submission, NULL) == FLV_STATUS_PARTITION_NOT_FOUND);
    records.partitions = NULL;
    flv_producer_pending(producer, &pending, &bytes);
    CHECK(pending == 0 && bytes == 0);

    /* No place for runs: none accepted, and no error. */
    flv_error_t *error = NULL;
    CHECK_STATUS(flv_producer_submit(producer, &records, runs, 0, &submission, &error), OK, error);
    CHECK(submission.accepted == 0 && submission.runs == 0);
    CHECK_STATUS(flv_producer_submit(producer, &records, runs, 2, &submission, &error), OK, error);
    CHECK(submission.accepted == 2);
    CHECK_STATUS(flv_producer_flush(producer, 10000, queue, 1, &operation, &error), OK, error);
    finish(queue, operation);

    CHECK_STATUS(flv_consumer_wait(consumer, 10000, queue, 1, &operation, &error), OK, error);
    finish(queue, operation);
    flv_chunk_t chunk = {.struct_size = 0};
    for (int i = 0; i < 3; i++) {
        REFUSED(flv_consumer_take(consumer, &chunk, &error), INVALID);
    }
    chunk.struct_size = sizeof chunk;
    CHECK_STATUS(flv_consumer_take(consumer, &chunk, &error), OK, error);
    CHECK(chunk.count == 2 && chunk.records[0].key == NULL && chunk.records[0].key_len == -1);
    CHECK(chunk.records[1].value_len == 3 && memcmp(chunk.records[1].value, "two", 3) == 0);
}

/* A freed handle, one of another kind, and one that never was. */
static void wrong_handles(void) {
    flv_view_t view;
    flv_completion_t completion;
    size_t count;
    flv_queue_t *freed = new_queue();
    flv_queue_free(freed);
    flv_queue_free(freed);
    flv_client_options_t options = client_options("127.0.0.1:1");
    REFUSED(flv_client_connect(&options, 100, freed, 1, &operation, &error), CLOSED);
    CHECK(flv_queue_fd(freed) == -1 && flv_queue_drain(freed, &completion, 1, &count) == CLOSED);

    /* No number comes back: a new queue is not found under an old handle. */
    flv_queue_t *another = new_queue();
    CHECK(another != freed && flv_queue_fd(freed) == -1);
    flv_queue_free(another);

    /* Of another kind: refused, and left alone, also by the free of the wrong kind. */
    REFUSED(flv_client_connect(&options, 100, (flv_queue_t *)client, 1, &operation, &error), INVALID);
    CHECK(flv_client_endpoint((flv_client_t *)queue, &view) == INVALID);
    CHECK(flv_buffer_view((flv_buffer_t *)client, &view) == INVALID);
    CHECK(flv_client_state((flv_client_t *)producer) == FLV_CLIENT_STATE_UNKNOWN);
    flv_client_free((flv_client_t *)queue);
    flv_queue_free((flv_queue_t *)client);
    flv_error_free((flv_error_t *)client);
    flv_buffer_free((flv_buffer_t *)producer);
    flv_producer_free((flv_producer_t *)consumer);
    flv_consumer_free((flv_consumer_t *)producer);
    CHECK(flv_client_endpoint(client, &view) == OK && view.len > 0);
    CHECK(flv_queue_fd(queue) >= 0 && flv_producer_partition_count(producer) == 1);

    /* Never one: any number, also the address of something else. */
    int somewhere = 0;
    uintptr_t forged[] = {1, 16, 0x1000000, (uintptr_t)&somewhere, UINTPTR_MAX, (uintptr_t)client + 8};
    for (size_t i = 0; i < sizeof forged / sizeof *forged; i++) {
        flv_client_free((flv_client_t *)forged[i]);
        CHECK(flv_client_endpoint((flv_client_t *)forged[i], &view) == CLOSED);
        REFUSED(flv_client_close((flv_client_t *)forged[i], 100, queue, 1, &operation, &error), CLOSED);
    }
    completion.result = &somewhere;
    flv_completion_dispose(&completion);

    /* Disposing of a completion twice, or after its result was taken over and freed. */
    flv_error_t *error = NULL;
    CHECK_STATUS(flv_admin_call(client, slice("topics.list"), slice("{}"), nothing, 10000, queue, 1, &operation, &error),
                 OK, error);
    completion = next(queue);
    CHECK(completion.status == OK && flv_buffer_view(completion.result, &view) == OK && view.len > 2);
    flv_buffer_free(completion.result);
    flv_completion_dispose(&completion);
    CHECK(flv_buffer_view(completion.result, &view) == CLOSED);
}

/* Closed is not freed: the handle stays, and says so. */
static void closed_objects(void) {
    flv_error_t *error = NULL;
    flv_view_t view;
    for (int i = 0; i < 2; i++) {
        CHECK_STATUS(flv_client_close(client, 10000, queue, 1, &operation, &error), OK, error);
        CHECK(finish(queue, operation) == NULL);
    }
    CHECK(flv_client_state(client) == FLV_CLIENT_STATE_CLOSED && flv_client_endpoint(client, &view) == OK);
    REFUSED(flv_admin_call(client, slice("topics.list"), slice("{}"), nothing, 100, queue, 1, &operation, &error),
            CLOSED);
    uint32_t length = 1;
    flv_records_t records = {.struct_size = sizeof records, .count = 1, .data = (const uint8_t *)"x", .data_len = 1,
                             .value_lengths = &length};
    flv_run_t run;
    flv_submission_t submission = {.struct_size = sizeof submission};
    CHECK(flv_producer_submit(producer, &records, &run, 1, &submission, NULL) == CLOSED);
    flv_chunk_t chunk = {.struct_size = sizeof chunk};
    CHECK(flv_consumer_take(consumer, &chunk, NULL) == CLOSED);
    /* A wait for what will never come completes; the take says why. */
    CHECK_STATUS(flv_consumer_wait(consumer, 10000, queue, 1, &operation, &error), OK, error);
    CHECK(finish(queue, operation) == NULL);
    flv_client_free(client);
    CHECK(flv_client_endpoint(client, &view) == CLOSED);
    flv_producer_free(producer);
    flv_producer_free(producer);
    flv_consumer_free(consumer);
    flv_consumer_free(consumer);
    CHECK(flv_consumer_take(consumer, &chunk, NULL) == CLOSED);
}

int main(int argc, char **argv) {
    CHECK(argc == 2);
    queue = new_queue();
    client = connect_client(queue, argv[1]);
    create_topic(queue, client, "misuse");
    producer = open_producer(queue, client, "misuse");
    flv_consumer_options_t consuming;
    flv_consumer_options_init(&consuming);
    flv_error_t *error = NULL;
    CHECK_STATUS(flv_consumer_open(client, slice("misuse"), &consuming, 10000, queue, 1, &operation, &error), OK, error);
    consumer = finish(queue, operation);

    null_arguments(argv[1]);
    structures_of_other_sizes();
    reserved_fields();
    values_out_of_range();
    refused_means_nothing_happened();
    wrong_handles();
    closed_objects();

    CHECK(!readable(queue, 0));
    flv_queue_free(queue);
    check_nothing_left();
    return 0;
}
