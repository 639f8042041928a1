/* Calls in any order with any handle: good, stale, of another kind, forged, NULL; on eight threads at a time. Nothing crashes,
   nothing hangs, and when everything is freed nothing is left.

       sequences ENDPOINT SECONDS SEED

   What the library lends is not looked at, as another thread may have freed it: that is the callers' own business. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>

enum { QUEUE, CLIENT, PRODUCER, CONSUMER, WATCH, EVENTS, ERROR, BUFFER, OWNER, ARROW, READER, LOGS, KINDS };

#define THREADS 8
#define SLOTS 6
#define MOST 2048

/* What the threads share: handles by their kind, some of which are stale. */
static _Atomic(uintptr_t) shared[KINDS][SLOTS];
static atomic_long calls, callback_queues, finalized;
static atomic_int over;
static const char *endpoint;

struct thread {
    uint64_t random;
    uintptr_t made[MOST];
    int count;
};

static uint64_t next_random(struct thread *self) {
    self->random ^= self->random << 13;
    self->random ^= self->random >> 7;
    self->random ^= self->random << 17;
    return self->random;
}

static uint32_t below(struct thread *self, uint32_t most) { return (uint32_t)(next_random(self) >> 20) % most; }

static int one_in(struct thread *self, uint32_t of) { return below(self, of) == 0; }

static void free_any(uintptr_t handle) {
    flv_queue_free((void *)handle);
    flv_client_free((void *)handle);
    flv_producer_free((void *)handle);
    flv_consumer_free((void *)handle);
    flv_watch_free((void *)handle);
    flv_events_free((void *)handle);
    flv_error_free((void *)handle);
    flv_buffer_free((void *)handle);
    flv_owner_free((void *)handle);
    flv_arrow_free((void *)handle);
    flv_arrow_reader_free((void *)handle);
    flv_logs_free((void *)handle);
}

static void free_all(struct thread *self) {
    for (int i = 0; i < self->count; i++) {
        free_any(self->made[i]);
    }
    self->count = 0;
}

/* A handle that a call has given. */
static void keep(struct thread *self, int kind, void *handle) {
    if (handle == NULL) {
        return;
    }
    if (self->count == MOST) {
        free_all(self);
    }
    self->made[self->count++] = (uintptr_t)handle;
    shared[kind][below(self, SLOTS)] = (uintptr_t)handle;
}

/* Most often a handle of the kind. */
static void *any(struct thread *self, int kind) {
    switch (below(self, 40)) {
        case 0:
            return NULL;
        case 1:
            return (void *)(uintptr_t)next_random(self);
        case 2:
            return (void *)(uintptr_t)(0x1000 + 16 * below(self, 1000));
        case 3:
        case 4:
            return (void *)shared[below(self, KINDS)][below(self, SLOTS)];
        default:
            return (void *)shared[kind][below(self, SLOTS)];
    }
}

static flv_slice_t any_text(struct thread *self, const char *const *texts, uint32_t count) {
    static const uint8_t bytes[] = {0xff, 0xfe, 0, '"', '{', 0xc3, '[', 0x80};
    if (one_in(self, 12)) {
        return (flv_slice_t){bytes, below(self, sizeof bytes + 1)};
    }
    if (one_in(self, 30)) {
        return (flv_slice_t){NULL, below(self, 3)};
    }
    return slice(texts[below(self, count)]);
}

#define ANY_TEXT(self, ...)                                                 \
    any_text((self), (const char *const[]){__VA_ARGS__},                    \
             sizeof((const char *const[]){__VA_ARGS__}) / sizeof(const char *))

static flv_slice_t any_topic(struct thread *self) { return ANY_TEXT(self, "seq-a", "seq-b", "seq-b", "", "No Topic!"); }

static int64_t any_time(struct thread *self) {
    static const int64_t times[] = {0, 1, 5, 50, 500, 2000, -1, INT64_MIN};
    return times[below(self, 8)];
}

/* Most often the right one. */
static uint32_t any_size(struct thread *self, size_t right) {
    return one_in(self, 20) ? below(self, (uint32_t)right + 1) : (uint32_t)right;
}

static uint32_t any_number(struct thread *self, uint32_t most) {
    return one_in(self, 20) ? (uint32_t)next_random(self) : below(self, most + 1);
}

static int64_t any_offset(struct thread *self) {
    return one_in(self, 20) ? (int64_t)next_random(self) : (int64_t)below(self, 200);
}

/* What every operation ends in; the queue may be any, the places for answers NULL. */
#define REST(self)                                                                                        \
    any_time(self), any((self), QUEUE), next_random(self), one_in((self), 30) ? NULL : &operation,       \
        one_in((self), 10) ? NULL : &error

static void on_completion(void *ctx, const flv_completion_t *completion) {
    (void)ctx;
    flv_completion_dispose(completion);
}

static void on_end(void *ctx) {
    (void)ctx;
    finalized++;
}

static void drain(struct thread *self) {
    flv_completion_t found[16];
    size_t count = 0;
    flv_queue_t *queue = any(self, QUEUE);
    if (flv_queue_drain(queue, one_in(self, 50) ? NULL : found, below(self, 17), one_in(self, 50) ? NULL : &count) !=
        FLV_STATUS_OK) {
        return;
    }
    for (size_t i = 0; i < count; i++) {
        if (found[i].status == FLV_STATUS_OK && found[i].kind == FLV_COMPLETION_OPERATION && !one_in(self, 10)) {
            /* It tells not what it is. */
            int kind = (int)(CLIENT + below(self, WATCH - CLIENT + 1));
            keep(self, one_in(self, 8) ? BUFFER : kind, found[i].result);
        } else {
            flv_completion_dispose(&found[i]);
            if (one_in(self, 5)) {
                flv_completion_dispose(&found[i]);
            }
        }
    }
}

static void connect_any(struct thread *self) {
    /* Not more than can be worked off. */
    if (counts().operations > 300) {
        drain(self);
        return;
    }
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    flv_client_options_t options;
    flv_client_options_init(&options);
    options.struct_size = any_size(self, sizeof options);
    options.endpoint = one_in(self, 4) ? ANY_TEXT(self, "127.0.0.1:1", "nowhere", "") : slice(endpoint);
    options.use_spu_local_address = any_number(self, 2);
    options.tls_policy = any_number(self, 1);
    options.wait = any_number(self, 2);
    options.owner = one_in(self, 3) ? any(self, OWNER) : NULL;
    /* An end of its own: who waits for what never comes, without a limit, waits for ever. */
    flv_client_connect(one_in(self, 40) ? NULL : &options, below(self, 3000), any(self, QUEUE), next_random(self),
                       one_in(self, 30) ? NULL : &operation, one_in(self, 10) ? NULL : &error);
    keep(self, ERROR, error);
}

static void open_producer_any(struct thread *self) {
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    flv_producer_options_t options;
    flv_producer_options_init(&options);
    options.struct_size = any_size(self, sizeof options);
    options.max_in_flight = any_number(self, 4);
    options.batch_size = any_number(self, 4096);
    options.linger_us = any_number(self, 50000);
    options.compression = any_number(self, 5);
    options.isolation = any_number(self, 1);
    options.delivery = any_number(self, 1);
    flv_producer_open(any(self, CLIENT), any_topic(self), one_in(self, 40) ? NULL : &options, REST(self));
    keep(self, ERROR, error);
}

static void open_consumer_any(struct thread *self) {
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    flv_consumer_options_t options;
    flv_consumer_options_init(&options);
    flv_start_t starts[2] = {{0, any_number(self, 3), any_offset(self)}, {1, any_number(self, 3), any_offset(self)}};
    options.struct_size = any_size(self, sizeof options);
    options.format = any_number(self, 2);
    options.start_kind = any_number(self, 3);
    options.start_value = any_offset(self);
    options.stop_at_end = any_number(self, 1);
    options.starts = starts;
    options.starts_len = below(self, 3);
    options.consumer_id = one_in(self, 2) ? slice("seq") : nothing;
    if (one_in(self, 3)) {
        options.consumer_id = one_in(self, 9) ? options.consumer_id : nothing;
        options.group = slice("seq");
        options.instance = ANY_TEXT(self, "", "", "one", "two");
        options.session_timeout_ms = any_number(self, 3000);
        options.revoke_waits = any_number(self, 1);
    }
    options.auto_commit_ms = one_in(self, 2) ? 20 : options.auto_commit_ms;
    flv_consumer_open(any(self, CLIENT), any_topic(self), one_in(self, 40) ? NULL : &options, REST(self));
    keep(self, ERROR, error);
}

static void submit_any(struct thread *self) {
    static const uint8_t data[4096];
    uint32_t values[32];
    int32_t keys[32], partitions[32];
    int64_t timestamps[32];
    size_t count = below(self, 33), length = 0;
    for (size_t i = 0; i < count; i++) {
        values[i] = below(self, 60);
        keys[i] = (int32_t)below(self, 40) - 1;
        partitions[i] = (int32_t)below(self, 3) - 1;
        timestamps[i] = any_offset(self);
        length += values[i] + (keys[i] > 0 ? (uint32_t)keys[i] : 0);
    }
    flv_records_t records = {any_size(self, sizeof records), any_number(self, 1), count, data, length, values, keys,
                             one_in(self, 2) ? partitions : NULL, one_in(self, 2) ? timestamps : NULL};
    if (one_in(self, 20)) {
        records.data_len = below(self, sizeof data);
        records.key_lengths = NULL;
    }
    flv_run_t runs[32];
    flv_submission_t submission;
    submission.struct_size = any_size(self, sizeof submission);
    flv_error_t *error = NULL;
    flv_producer_submit(any(self, PRODUCER), one_in(self, 40) ? NULL : &records, one_in(self, 40) ? NULL : runs,
                        below(self, 33), one_in(self, 40) ? NULL : &submission, &error);
    keep(self, ERROR, error);
}

static void use_producer(struct thread *self) {
    flv_error_t *error = NULL;
    uint64_t operation = 0, records = 0;
    flv_producer_t *producer = any(self, PRODUCER);
    switch (below(self, 8)) {
        case 0:
            flv_producer_partition_count(producer);
            break;
        case 1:
            flv_producer_trouble(producer, &error);
            break;
        case 2:
            flv_producer_room(producer);
            break;
        case 3:
            flv_producer_wait_room(producer, any_number(self, 4096), REST(self));
            break;
        case 4:
            flv_producer_flush(producer, REST(self));
            break;
        case 5:
            if (one_in(self, 10)) {
                flv_producer_close(producer, any_number(self, 1), REST(self));
            }
            break;
        default:
            flv_producer_pending(producer, one_in(self, 2) ? NULL : &records, NULL);
    }
    keep(self, ERROR, error);
}

struct capsule {
    const char *name;
    void *pointer;
};

static const char *capsule_name(void *capsule) { return ((struct capsule *)capsule)->name; }

static void *capsule_pointer(void *capsule, const char *name) { return name == NULL ? NULL : ((struct capsule *)capsule)->pointer; }

static void free_structure(uint32_t kind, void *structure) {
    flv_arrow_capsule_free(&(struct capsule){flv_arrow_capsule_name(kind), structure});
}

static void use_consumer(struct thread *self) {
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    flv_consumer_t *consumer = any(self, CONSUMER);
    flv_chunk_t chunk;
    chunk.struct_size = any_size(self, sizeof chunk);
    flv_position_t positions[4];
    size_t count = 0;
    uint32_t partitions[3] = {0, any_number(self, 2), any_number(self, 2)};
    flv_offset_t offsets[2] = {{0, 0, any_offset(self)}, {any_number(self, 2), any_number(self, 0), any_offset(self)}};
    int64_t start = 0, *slot = NULL;
    flv_arrow_t *arrow = NULL;
    switch (below(self, 18)) {
        case 15:
            flv_consumer_arrow(consumer, one_in(self, 40) ? NULL : &arrow, &error);
            keep(self, ARROW, arrow);
            break;
        case 0:
            flv_consumer_take_fresh(consumer, &chunk, &error);
            break;
        case 1:
            flv_consumer_trouble(consumer, &error);
            break;
        case 2:
            flv_consumer_positions(consumer, one_in(self, 9) ? NULL : positions, below(self, 5), &count);
            break;
        case 3:
            flv_consumer_start(consumer, partitions[1], &start, &error);
            break;
        case 4:
            flv_consumer_seek(consumer, (flv_start_t){partitions[1], any_number(self, 3), any_offset(self)}, REST(self));
            break;
        case 5:
            flv_consumer_put_back(consumer, partitions[1], any_offset(self), &error);
            break;
        case 6:
            flv_consumer_pause(consumer, partitions, below(self, 4), &error);
            break;
        case 7:
            flv_consumer_resume(consumer, partitions, below(self, 4), &error);
            break;
        case 8:
            flv_consumer_commit(consumer, offsets, below(self, 3), REST(self));
            break;
        case 9:
            flv_consumer_commit_processed(consumer, offsets, below(self, 3), REST(self));
            break;
        case 10:
            flv_consumer_committed(consumer, REST(self));
            break;
        case 11:
            flv_consumer_processed(consumer, partitions[1], &slot, &error);
            break;
        case 12:
            if (one_in(self, 10)) {
                flv_consumer_close(consumer, REST(self));
            }
            break;
        case 13:
            if (one_in(self, 10)) {
                flv_consumer_stop(consumer);
            }
            break;
        case 14:
            flv_consumer_wait(consumer, REST(self));
            break;
        default:
            flv_consumer_take(consumer, one_in(self, 40) ? NULL : &chunk, &error);
    }
    keep(self, ERROR, error);
}

/* What only members of groups can do; any consumer is asked for it. */
static void use_member(struct thread *self) {
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    flv_consumer_t *consumer = any(self, CONSUMER);
    flv_group_slots_t slots;
    flv_group_change_t change;
    flv_group_member_t member;
    slots.struct_size = any_size(self, sizeof slots);
    change.struct_size = any_size(self, sizeof change);
    member.struct_size = any_size(self, sizeof member);
    const int64_t *epoch = NULL;
    flv_epoch_offset_t offsets[2] = {{0, 0, any_offset(self), -1},
                                     {any_number(self, 2), any_number(self, 0), any_offset(self), any_offset(self)}};
    switch (below(self, 8)) {
        case 0:
            flv_consumer_group_slots(consumer, one_in(self, 40) ? NULL : &slots, &error);
            break;
        case 1:
            flv_consumer_epoch(consumer, any_number(self, 2), one_in(self, 40) ? NULL : &epoch, &error);
            break;
        case 2:
            flv_consumer_change(consumer, one_in(self, 40) ? NULL : &change, &error);
            break;
        case 3:
            flv_consumer_change_done(consumer, below(self, 9), &error);
            break;
        case 4:
            flv_consumer_member(consumer, one_in(self, 40) ? NULL : &member, &error);
            break;
        case 5:
            flv_consumer_commit_epochs(consumer, offsets, below(self, 3), REST(self));
            break;
        case 6:
            flv_watch_group(any(self, CLIENT), slice("seq"), any_topic(self), nothing, REST(self));
            break;
        default:
            flv_boottime();
            if (one_in(self, 10)) {
                flv_consumer_leave(consumer, REST(self));
            }
    }
    keep(self, ERROR, error);
}

static void use_client(struct thread *self) {
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    flv_client_t *client = any(self, CLIENT);
    flv_view_t view;
    flv_events_t *events = NULL;
    flv_metrics_t metrics;
    metrics.struct_size = any_size(self, sizeof metrics);
    uint32_t partitions[2] = {0, any_number(self, 2)};
    flv_slice_t method = ANY_TEXT(self, "topics.list", "topics.create", "topics.get", "partitions.list", "spus.list", "no");
    flv_slice_t document = ANY_TEXT(self, "{}", "{\"name\": \"seq-c\"}", "{\"name\": 7}", "[", "{\"exist_ok\": true}");
    flv_topic_metrics_t topics[4];
    size_t count = 0;
    switch (below(self, 12)) {
        case 0:
            flv_admin_call(client, method, document, nothing, REST(self));
            break;
        case 1:
            if (one_in(self, 10)) {
                flv_client_close(client, REST(self));
            }
            break;
        case 2:
            flv_client_offsets(client, any_topic(self), partitions, below(self, 3), REST(self));
            break;
        case 3:
            flv_client_endpoint(client, &view);
            break;
        case 4:
            flv_client_platform_version(client, one_in(self, 20) ? NULL : &view);
            break;
        case 5:
            flv_client_state(client);
            break;
        case 6:
            flv_client_events(client, &events, &error);
            keep(self, EVENTS, events);
            break;
        case 7:
            flv_client_metrics(client, &metrics, &error);
            break;
        case 8:
            flv_watch_open(client, ANY_TEXT(self, "topics", "partitions", "cluster", "nothing"), REST(self));
            break;
        case 9:
            flv_client_ping(client, REST(self));
            break;
        case 10:
            flv_client_topic_metrics(client, one_in(self, 40) ? NULL : topics, below(self, 5), &count, &error);
            break;
        default:
            open_consumer_any(self);
    }
    keep(self, ERROR, error);
}

static void use_readers(struct thread *self) {
    flv_error_t *error = NULL;
    uint64_t operation = 0;
    flv_buffer_t *buffer = NULL;
    flv_event_t event;
    event.struct_size = any_size(self, sizeof event);
    switch (below(self, 6)) {
        case 0:
            flv_watch_wait(any(self, WATCH), REST(self));
            break;
        case 1:
            flv_watch_take(any(self, WATCH), &buffer, &error);
            keep(self, BUFFER, buffer);
            break;
        case 2:
            flv_watch_close(any(self, WATCH), REST(self));
            break;
        case 3:
            flv_events_wait(any(self, EVENTS), REST(self));
            break;
        case 4:
            flv_events_take(any(self, EVENTS), &event, &error);
            break;
        default:
            flv_smartmodule_spec(ANY_TEXT(self, "", "[package]\nname = \"a\"", "[["), &buffer, &error);
            keep(self, BUFFER, buffer);
    }
    keep(self, ERROR, error);
}

static void use_library(struct thread *self) {
    flv_error_t *error = NULL;
    uint64_t operation = 0, dropped = 0;
    flv_error_info_t info;
    info.struct_size = any_size(self, sizeof info);
    flv_counts_t now;
    now.struct_size = any_size(self, sizeof now);
    flv_view_t view;
    flv_owner_t *owner = NULL;
    flv_smartmodule_t module;
    switch (below(self, 12)) {
        case 0:
            flv_owner_new(&owner, &error);
            keep(self, OWNER, owner);
            break;
        case 1:
            flv_owner_flush(any(self, OWNER), REST(self));
            break;
        case 2:
            flv_owner_shutdown(any(self, OWNER), (int64_t)below(self, 30), &dropped);
            break;
        case 3:
            flv_runtime_flush(REST(self));
            break;
        case 4:
            flv_runtime_configure(any_number(self, 4), &error);
            break;
        case 5:
            flv_debug_counts(&now);
            break;
        case 6:
            flv_buffer_view(any(self, BUFFER), one_in(self, 20) ? NULL : &view);
            break;
        case 7:
            flv_version(one_in(self, 20) ? NULL : &view);
            CHECK(flv_abi_version() != 0);
            break;
        case 8:
            (flv_smartmodule_init)(one_in(self, 20) ? NULL : &module, any_size(self, sizeof module));
            break;
        default:
            flv_error_info(any(self, ERROR), one_in(self, 40) ? NULL : &info);
    }
    keep(self, ERROR, error);
}

/* Records in the Arrow format, and what is read of them again. */
static void use_arrow(struct thread *self) {
    flv_error_t *error = NULL;
    flv_arrow_t *arrow = NULL;
    flv_arrow_reader_t *reader = NULL;
    uint32_t length = 1;
    int32_t partition = one_in(self, 9) ? -1 : 0;
    int64_t offset = any_offset(self);
    flv_records_t records = {.struct_size = sizeof records, .count = one_in(self, 9) ? 0 : 1};
    records.data = (const uint8_t *)"x";
    records.data_len = records.count;
    records.value_lengths = &length;
    records.partitions = &partition;
    flv_arrow_part_t parts[2] = {{any(self, ARROW), 0, below(self, 3)}, {any(self, ARROW), below(self, 2), 1}};
    /* Whatever a structure holds, it is released by its callback, or by the reader. */
    struct ArrowArrayStream *stream = NULL;
    switch (below(self, 6)) {
        case 0:
            flv_arrow_from_columns(one_in(self, 40) ? NULL : &records, one_in(self, 40) ? NULL : &offset, &arrow, &error);
            keep(self, ARROW, arrow);
            break;
        case 1:
            flv_arrow_offsets(parts[0].arrow);
            flv_arrow_bytes(parts[0].arrow, parts[0].start, parts[0].count);
            break;
        case 2:
            stream = flv_arrow_capsule_structure(FLV_ARROW_STREAM);
            if (flv_arrow_stream(ANY_TEXT(self, "t", "", "u"), parts, below(self, 3), stream, &error) == FLV_STATUS_OK &&
                one_in(self, 2)) {
                flv_arrow_reader_open(stream, NULL, NULL, slice("value"), slice("key"), slice(""), slice(""), &reader, NULL);
                keep(self, READER, reader);
            }
            free_structure(FLV_ARROW_STREAM, stream);
            break;
        case 3:
            stream = flv_arrow_capsule_structure(FLV_ARROW_ARRAY);
            flv_arrow_array(parts, below(self, 3), (void *)stream, &error);
            free_structure(FLV_ARROW_ARRAY, stream);
            break;
        case 4:
            stream = flv_arrow_capsule_structure(FLV_ARROW_SCHEMA);
            flv_arrow_schema(ANY_TEXT(self, "t", "", "u"), (void *)stream, &error);
            free_structure(FLV_ARROW_SCHEMA, stream);
            break;
        default:
            records.struct_size = any_size(self, sizeof records);
            flv_arrow_reader_read(any(self, READER), one_in(self, 40) ? NULL : &records, &error);
    }
    keep(self, ERROR, error);
}

static void use_logs(struct thread *self) {
    flv_error_t *error = NULL;
    flv_logs_t *logs = NULL;
    flv_log_t entries[3];
    size_t count = 0;
    switch (below(self, 8)) {
        case 0:
            flv_logs_new(one_in(self, 2) ? NULL : any(self, OWNER), below(self, 7), &logs, &error);
            keep(self, LOGS, logs);
            break;
        case 1:
            flv_logs_set_level(any(self, LOGS), ANY_TEXT(self, "", "producer", "nobody"), below(self, 7), &error);
            break;
        case 2:
            flv_logs_fd(any(self, LOGS));
            break;
        case 3:
            flv_logs_dropped(any(self, LOGS));
            break;
        case 4:
            flv_debug_log(one_in(self, 2) ? NULL : any(self, OWNER), below(self, 100), &error);
            break;
        case 5:
            if (one_in(self, 10)) {
                flv_logs_close(any(self, LOGS));
            }
            break;
        default:
            flv_logs_take(any(self, LOGS), one_in(self, 20) ? NULL : entries, below(self, 4), one_in(self, 20) ? NULL : &count);
    }
    keep(self, ERROR, error);
}

static void use_queue(struct thread *self) {
    flv_error_t *error = NULL;
    flv_queue_t *queue = NULL;
    switch (below(self, 16)) {
        case 0:
            flv_queue_new(&queue, &error);
            keep(self, QUEUE, queue);
            break;
        case 1:
            if (one_in(self, 4) && flv_queue_new_callback(on_completion, NULL, on_end, &queue, &error) == FLV_STATUS_OK) {
                callback_queues++;
                keep(self, QUEUE, queue);
            }
            break;
        case 2:
            flv_queue_fd(any(self, QUEUE));
            break;
        case 3:
            flv_operation_cancel(any(self, QUEUE), one_in(self, 4) ? next_random(self) : (uint64_t)below(self, 100000));
            break;
        default:
            drain(self);
    }
    keep(self, ERROR, error);
}

static void *work(void *given) {
    struct thread *self = given;
    while (!over) {
        calls++;
        switch (below(self, 26)) {
            case 0:
                connect_any(self);
                break;
            case 1:
            case 2:
                use_client(self);
                break;
            case 3:
                open_producer_any(self);
                break;
            case 4:
            case 5:
                submit_any(self);
                break;
            case 6:
                use_producer(self);
                break;
            case 7:
                use_consumer(self);
                break;
            case 8:
                use_member(self);
                break;
            case 9:
                use_readers(self);
                break;
            case 10:
                use_library(self);
                break;
            case 12:
                use_arrow(self);
                break;
            case 13:
                use_logs(self);
                break;
            case 11:
                if (self->count > 0) {
                    free_any(self->made[below(self, (uint32_t)self->count)]);
                }
                break;
            default:
                use_queue(self);
        }
    }
    return NULL;
}

int main(int argc, char **argv) {
    CHECK(argc == 4);
    endpoint = argv[1];
    flv_arrow_capsule_init((void *)(uintptr_t)capsule_name, (void *)(uintptr_t)capsule_pointer);
    uint64_t seed = strtoull(argv[3], NULL, 10);
    static struct thread threads[THREADS];
    pthread_t running[THREADS];
    for (int i = 0; i < THREADS; i++) {
        threads[i].random = (seed * 1000 + (uint64_t)i + 1) * 0x9e3779b97f4a7c15u;
        CHECK(pthread_create(&running[i], NULL, work, &threads[i]) == 0);
    }
    sleep_ms(atol(argv[2]) * 1000);
    over = 1;
    for (int i = 0; i < THREADS; i++) {
        CHECK(pthread_join(running[i], NULL) == 0);
    }
    for (int i = 0; i < THREADS; i++) {
        free_all(&threads[i]);
    }
    /* Connects that are under way have their time. */
    for (int i = 0; i < 3000 && counts().operations > 0; i++) {
        sleep_ms(10);
    }
    check_nothing_left();
    CHECK(counts().events == 0 && counts().owners == 0 && counts().logs == 0);
    CHECK(callback_queues == finalized);
    printf("%ld calls\n", (long)calls);
    return 0;
}
