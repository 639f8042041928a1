/* Administration with bytes beside the documents, offsets, and watches. */
#include "check.h"

#define INVALID FLV_STATUS_INVALID_ARGUMENT
#define CLOSED FLV_STATUS_CLOSED
#define OK FLV_STATUS_OK

static const char code[] = {'\0', 'a', 's', 'm', 1, 0, 0, 0, 'c', 'o', 'd', 'e'};

static flv_queue_t *queue;
static flv_client_t *client;
static flv_error_t *error;
static uint64_t operation;

/* That the call fails, with a message. */
static void refused(flv_status_t status, flv_status_t wanted) {
    CHECK(error != NULL);
    CHECK_STATUS(status, wanted, error);
}

/* The answer; how many bytes of it are JSON goes to `json`. */
static flv_buffer_t *call(const char *method, const char *document, flv_slice_t binary, flv_view_t *view, size_t *json) {
    CHECK_STATUS(flv_admin_call(client, slice(method), slice(document), binary, 10000, queue, 1, &operation, &error), OK,
                 error);
    flv_completion_t completion = next(queue);
    CHECK(completion.operation == operation);
    error = completion.status == OK ? NULL : completion.result;
    CHECK_STATUS(completion.status, OK, error);
    CHECK(flv_buffer_view(completion.result, view) == OK);
    CHECK(completion.value > 0 && (uint64_t)completion.value <= view->len);
    *json = (size_t)completion.value;
    return completion.result;
}

static int starts_with(flv_view_t view, const char *text) {
    return view.len >= strlen(text) && memcmp(view.data, text, strlen(text)) == 0;
}

static void smartmodules(void) {
    flv_slice_t wasm = {(const uint8_t *)code, sizeof code};
    flv_view_t view;
    size_t json;
    refused(flv_admin_call(client, slice("smartmodules.create"), slice("{\"name\": \"m\"}"), nothing, 100, queue, 1,
                           &operation, &error),
            INVALID);
    refused(flv_admin_call(client, slice("topics.list"), slice("{}"), wasm, 100, queue, 1, &operation, &error), INVALID);

    flv_buffer_t *made = call("smartmodules.create", "{\"name\": \"m\", \"overwrite\": true}", wasm, &view, &json);
    CHECK(starts_with(view, "{\"name\":\"m\"") && json == view.len);
    flv_buffer_free(made);
    flv_buffer_t *got = call("smartmodules.get", "{\"name\": \"m\", \"wasm\": true}", nothing, &view, &json);
    CHECK(starts_with(view, "{\"name\":\"m\"") && view.data[json - 1] == '}');
    CHECK(view.len - json == sizeof code && memcmp(view.data + json, code, sizeof code) == 0);
    flv_buffer_free(got);
    flv_buffer_free(call("smartmodules.delete", "{\"name\": \"m\"}", nothing, &view, &json));
}

/* Where the partitions of a topic begin and end; and that a flush of everything waits for the records. */
static void offsets(void) {
    flv_view_t view;
    size_t json;
    flv_slice_t topic = slice("measured");
    flv_buffer_free(call("topics.create", "{\"name\": \"measured\", \"exist_ok\": true, \"spec\": {\"partitions\": 3}}",
                         nothing, &view, &json));
    flv_producer_t *producer = open_producer(queue, client, "measured");
    for (int i = 0; i < 5; i++) {
        submit(producer, "x");
    }
    CHECK_STATUS(flv_runtime_flush(10000, queue, 3, &operation, &error), OK, error);
    flv_completion_t completion;
    do {
        completion = next(queue);
    } while (completion.kind == FLV_COMPLETION_TICKET);
    CHECK(completion.status == OK && completion.token == 3 && completion.value == 0 && completion.result == NULL);
    uint64_t records = 1, bytes = 1;
    flv_producer_pending(producer, &records, &bytes);
    CHECK(records == 0 && bytes == 0);
    submit(producer, "it goes on");
    CHECK_STATUS(flv_runtime_flush(-1, queue, 3, &operation, &error), OK, error);
    finish(queue, operation);
    flv_producer_free(producer);

    CHECK_STATUS(flv_client_offsets(client, topic, NULL, 0, 10000, queue, 4, &operation, &error), OK, error);
    flv_buffer_t *found = finish(queue, operation);
    CHECK(flv_buffer_view(found, &view) == OK && view.len == 3 * sizeof(flv_bounds_t));
    flv_bounds_t bounds[3];
    memcpy(bounds, view.data, sizeof bounds);
    flv_buffer_free(found);
    int64_t sum = 0;
    for (uint32_t i = 0; i < 3; i++) {
        CHECK(bounds[i].partition == i && bounds[i].reserved == 0 && bounds[i].begin == 0);
        sum += bounds[i].end;
    }
    CHECK(sum % 6 == 0 && sum > 0);
    uint32_t partition = 2;
    CHECK_STATUS(flv_client_offsets(client, topic, &partition, 1, 10000, queue, 4, &operation, &error), OK, error);
    found = finish(queue, operation);
    CHECK(flv_buffer_view(found, &view) == OK && view.len == sizeof(flv_bounds_t));
    CHECK(memcmp(view.data, &bounds[2], sizeof(flv_bounds_t)) == 0);
    flv_buffer_free(found);

    partition = 3;
    CHECK_STATUS(flv_client_offsets(client, topic, &partition, 1, 10000, queue, 4, &operation, &error), OK, error);
    completion = next(queue);
    CHECK(completion.status == FLV_STATUS_PARTITION_NOT_FOUND && completion.result != NULL);
    flv_completion_dispose(&completion);
    CHECK_STATUS(flv_client_offsets(client, slice("nowhere"), NULL, 0, 10000, queue, 4, &operation, &error), OK, error);
    completion = next(queue);
    CHECK(completion.status == FLV_STATUS_TOPIC_NOT_FOUND);
    flv_completion_dispose(&completion);
    refused(flv_client_offsets(NULL, topic, NULL, 0, 100, queue, 4, &operation, &error), INVALID);
    refused(flv_client_offsets(client, slice("\xff"), NULL, 0, 100, queue, 4, &operation, &error), INVALID);
    refused(flv_client_offsets(client, topic, NULL, 1, 100, queue, 4, &operation, &error), INVALID);
    refused(flv_client_offsets(client, topic, NULL, 0, 100, NULL, 4, &operation, &error), INVALID);
    refused(flv_client_offsets(client, topic, NULL, 0, 100, queue, 4, NULL, &error), INVALID);
}

/* A start by time, what was counted by topic, and how long the SC takes to answer. */
static void times(void) {
    flv_slice_t topic = slice("measured");
    flv_consumer_options_t options;
    options.struct_size = sizeof options;
    flv_consumer_options_init(&options);
    options.start_kind = FLV_START_SINCE;
    options.start_value = 1;
    CHECK_STATUS(flv_consumer_open(client, topic, &options, 10000, queue, 5, &operation, &error), OK, error);
    flv_consumer_t *consumer = finish(queue, operation);
    flv_position_t places[3];
    size_t count = 0;
    CHECK(flv_consumer_positions(consumer, places, 3, &count) == OK && count == 3);
    for (int i = 0; i < 3; i++) {
        CHECK(places[i].position == 0);
    }
    flv_start_t later = {0, FLV_START_SINCE, INT64_MAX};
    CHECK_STATUS(flv_consumer_seek(consumer, later, 10000, queue, 5, &operation, &error), OK, error);
    CHECK(finish(queue, operation) == NULL);
    CHECK(flv_consumer_positions(consumer, places, 3, &count) == OK && places[0].position == places[0].end);
    later.value = -1;
    refused(flv_consumer_seek(consumer, later, 10000, queue, 5, &operation, &error), INVALID);
    flv_consumer_free(consumer);

    flv_topic_metrics_t metrics;
    CHECK_STATUS(flv_client_topic_metrics(client, NULL, 0, &count, &error), OK, error);
    CHECK(count == 1);
    CHECK_STATUS(flv_client_topic_metrics(client, &metrics, 1, &count, &error), OK, error);
    CHECK(starts_with(metrics.topic, "measured") && metrics.records_produced == 6 && metrics.records_consumed == 0);
    CHECK(metrics.bytes_produced == 5 + strlen("it goes on"));
    refused(flv_client_topic_metrics(client, NULL, 1, &count, &error), INVALID);
    refused(flv_client_topic_metrics(NULL, &metrics, 1, &count, &error), INVALID);

    CHECK_STATUS(flv_client_ping(client, 10000, queue, 6, &operation, &error), OK, error);
    flv_completion_t completion = next(queue);
    CHECK(completion.operation == operation && completion.status == OK && completion.result == NULL);
    CHECK(completion.value > 0 && completion.value < 10000000000LL);
    refused(flv_client_ping(NULL, 10000, queue, 6, &operation, &error), INVALID);
}

static flv_watch_t *open_watch(const char *object) {
    CHECK_STATUS(flv_watch_open(client, slice(object), 10000, queue, 2, &operation, &error), OK, error);
    flv_watch_t *watch = finish(queue, operation);
    CHECK(watch != NULL && counts().watches == 1);
    return watch;
}

/* The next change begins with `text`. */
static void expect(flv_watch_t *watch, const char *text) {
    flv_buffer_t *change = NULL;
    flv_view_t view;
    for (;;) {
        flv_status_t status = flv_watch_take(watch, &change, &error);
        if (status == OK) {
            break;
        }
        CHECK_STATUS(status, FLV_STATUS_EMPTY, error);
        CHECK_STATUS(flv_watch_wait(watch, 10000, queue, 3, &operation, &error), OK, error);
        CHECK(finish(queue, operation) == NULL);
    }
    CHECK(flv_buffer_view(change, &view) == OK && starts_with(view, text));
    flv_buffer_free(change);
}

static void watches(void) {
    flv_buffer_t *change = NULL;
    flv_view_t view;
    size_t json;
    refused(flv_watch_open(NULL, slice("topics"), 100, queue, 1, &operation, &error), INVALID);
    refused(flv_watch_open(client, slice("mirrors"), 100, queue, 1, &operation, &error), INVALID);
    refused(flv_watch_open(client, slice("topics"), 100, NULL, 1, &operation, &error), INVALID);
    refused(flv_watch_open(client, slice("topics"), 100, queue, 1, NULL, &error), INVALID);
    refused(flv_watch_wait(NULL, 100, queue, 1, &operation, &error), INVALID);
    refused(flv_watch_take(NULL, &change, &error), INVALID);
    refused(flv_watch_take((flv_watch_t *)client, &change, &error), INVALID);
    refused(flv_watch_close(NULL, 100, queue, 1, &operation, &error), INVALID);
    flv_watch_free(NULL);

    flv_watch_t *watch = open_watch("table_formats");
    refused(flv_watch_take(watch, NULL, &error), INVALID);
    expect(watch, "{\"kind\":\"snapshot\",\"items\":[");
    CHECK(flv_watch_take(watch, &change, &error) == FLV_STATUS_EMPTY && error == NULL);

    /* Nothing in time: no error object. */
    CHECK_STATUS(flv_watch_wait(watch, 1, queue, 4, &operation, &error), OK, error);
    flv_completion_t completion = next(queue);
    CHECK(completion.status == FLV_STATUS_TIMEOUT && completion.result == NULL);

    /* Waits that are cancelled lose no change. */
    for (int i = 0; i < 20; i++) {
        CHECK_STATUS(flv_watch_wait(watch, -1, queue, 5, &operation, &error), OK, error);
        uint64_t waiting = operation;
        if (i == 10) {
            flv_slice_t document = slice("{\"name\": \"watched\"}");
            CHECK_STATUS(flv_admin_call(client, slice("table_formats.create"), document, nothing, 10000, queue, 6,
                                        &operation, &error),
                         OK, error);
        }
        CHECK(flv_operation_cancel(queue, waiting) == OK);
        for (int expected = i == 10 ? 2 : 1; expected > 0; expected--) {
            completion = next(queue);
            CHECK(completion.status == OK || completion.status == FLV_STATUS_CANCELLED);
            flv_completion_dispose(&completion);
        }
    }
    expect(watch, "{\"kind\":\"updated\",\"items\":[{\"name\":\"watched\"");
    flv_buffer_free(call("table_formats.delete", "{\"name\": \"watched\"}", nothing, &view, &json));
    expect(watch, "{\"kind\":\"deleted\",\"items\":[{\"name\":\"watched\"");

    /* A close, or a free, ends a wait. */
    CHECK_STATUS(flv_watch_wait(watch, -1, queue, 7, &operation, &error), OK, error);
    CHECK_STATUS(flv_watch_close(watch, 10000, queue, 8, &operation, &error), OK, error);
    CHECK(next(queue).status == OK && next(queue).status == OK);
    refused(flv_watch_take(watch, &change, &error), CLOSED);
    flv_watch_free(watch);
    flv_watch_free(watch);
    refused(flv_watch_take(watch, &change, &error), CLOSED);
    watch = open_watch("cluster");
    expect(watch, "{\"kind\":\"snapshot\",\"items\":[{\"endpoint\":");
    while (flv_watch_take(watch, &change, &error) == OK) {
        flv_buffer_free(change);
    }
    CHECK_STATUS(flv_watch_wait(watch, -1, queue, 9, &operation, &error), OK, error);
    flv_watch_free(watch);
    CHECK(next(queue).token == 9 && counts().watches == 0);

    /* It ends with its client. */
    watch = open_watch("spus");
    expect(watch, "{\"kind\":\"snapshot\",\"items\":[");
    CHECK_STATUS(flv_client_close(client, 10000, queue, 10, &operation, &error), OK, error);
    finish(queue, operation);
    CHECK_STATUS(flv_watch_wait(watch, 10000, queue, 11, &operation, &error), OK, error);
    finish(queue, operation);
    refused(flv_watch_take(watch, &change, &error), CLOSED);
    refused(flv_watch_open(client, slice("topics"), 100, queue, 1, &operation, &error), CLOSED);
    refused(flv_client_offsets(client, slice("measured"), NULL, 0, 100, queue, 4, &operation, &error), CLOSED);
    flv_watch_free(watch);
}

int main(int count, char **arguments) {
    CHECK(count == 2);
    queue = new_queue();
    CHECK(flv_runtime_flush(100, queue, 1, &operation, &error) == FLV_STATUS_EMPTY && error == NULL);
    client = connect_client(queue, arguments[1]);
    smartmodules();
    offsets();
    times();
    watches();
    flv_client_free(client);
    flv_queue_free(queue);
    check_nothing_left();
    return 0;
}
