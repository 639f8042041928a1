/* What is handed out as Arrow data is released once, in any order, by any thread, and lasts until then; what comes in is
   released by the library. Needs no cluster. */
#include "check.h"

#include <pthread.h>

/* As the specification of the Arrow C data interface has them. */
struct ArrowSchema {
    const char *format, *name, *metadata;
    int64_t flags, n_children;
    struct ArrowSchema **children, *dictionary;
    void (*release)(struct ArrowSchema *);
    void *private_data;
};

struct ArrowArray {
    int64_t length, null_count, offset, n_buffers, n_children;
    const void **buffers;
    struct ArrowArray **children, *dictionary;
    void (*release)(struct ArrowArray *);
    void *private_data;
};

struct ArrowArrayStream {
    int (*get_schema)(struct ArrowArrayStream *, struct ArrowSchema *);
    int (*get_next)(struct ArrowArrayStream *, struct ArrowArray *);
    const char *(*get_last_error)(struct ArrowArrayStream *);
    void (*release)(struct ArrowArrayStream *);
    void *private_data;
};

static const char *const keys[] = {NULL, "", "key", NULL};
static const char *const values[] = {"a", "", "value", "z"};
enum { ROWS = 4 };

static flv_arrow_t *made(int64_t first) {
    uint32_t value_lengths[ROWS];
    int32_t key_lengths[ROWS], partitions[ROWS];
    int64_t timestamps[ROWS], offsets[ROWS];
    char data[100];
    size_t size = 0;
    for (int i = 0; i < ROWS; i++) {
        key_lengths[i] = keys[i] == NULL ? -1 : (int32_t)strlen(keys[i]);
        value_lengths[i] = (uint32_t)strlen(values[i]);
        size += (size_t)sprintf(data + size, "%s%s", keys[i] == NULL ? "" : keys[i], values[i]);
        partitions[i] = i % 2;
        timestamps[i] = i == 1 ? INT64_MIN : 1000 + i;
        offsets[i] = first + 2 * i;
    }
    flv_records_t records = {.struct_size = sizeof records, .count = ROWS, .data = (const uint8_t *)data, .data_len = size};
    records.value_lengths = value_lengths;
    records.key_lengths = key_lengths;
    records.partitions = partitions;
    records.timestamps = timestamps;
    flv_arrow_t *arrow = NULL;
    flv_error_t *error = NULL;
    CHECK(flv_arrow_from_columns(&records, offsets, &arrow, &error) == FLV_STATUS_OK && error == NULL);
    CHECK(flv_arrow_bytes(arrow, 0, ROWS) == 10 && flv_arrow_bytes(arrow, 2, 1) == 8 && flv_arrow_bytes(arrow, 3, 2) == 0);
    CHECK(flv_arrow_offsets(arrow)[3] == first + 6 && (uintptr_t)flv_arrow_offsets(arrow) % 64 == 0);
    records.data_len--;
    CHECK(flv_arrow_from_columns(&records, offsets, &arrow, NULL) == FLV_STATUS_INVALID_ARGUMENT);
    records.partitions = NULL;
    CHECK(flv_arrow_from_columns(&records, offsets, &arrow, NULL) == FLV_STATUS_INVALID_ARGUMENT);
    return arrow;
}

static void check_values(const struct ArrowArray *column, int first, int count) {
    CHECK(column->length == count && column->n_buffers == 3 && column->null_count == 0 && column->buffers[0] == NULL);
    const int32_t *ends = column->buffers[1];
    const char *bytes = column->buffers[2];
    for (int i = 0; i < count; i++) {
        int64_t row = column->offset + i;
        size_t length = (size_t)(ends[row + 1] - ends[row]);
        CHECK(length == strlen(values[first + i]) && memcmp(bytes + ends[row], values[first + i], length) == 0);
    }
}

static void *release_elsewhere(void *array) {
    ((struct ArrowArray *)array)->release(array);
    return NULL;
}

static void arrays(void) {
    flv_arrow_t *arrow = made(10);
    struct ArrowArray whole, part, joined;
    CHECK(flv_arrow_array(&(flv_arrow_part_t){arrow, 0, ROWS}, 1, &whole, NULL) == FLV_STATUS_OK);
    CHECK(flv_arrow_array(&(flv_arrow_part_t){arrow, 2, 2}, 1, &part, NULL) == FLV_STATUS_OK);
    flv_arrow_part_t two[2] = {{arrow, 3, 1}, {arrow, 0, 2}};
    CHECK(flv_arrow_array(two, 2, &joined, NULL) == FLV_STATUS_OK);
    two[1].count = ROWS + 1;
    CHECK(flv_arrow_array(two, 2, &joined, NULL) == FLV_STATUS_INVALID_ARGUMENT);
    CHECK(flv_arrow_array(two, 1, NULL, NULL) == FLV_STATUS_INVALID_ARGUMENT);
    flv_arrow_free(arrow);
    CHECK(flv_arrow_array(two, 1, &joined, NULL) == FLV_STATUS_CLOSED && flv_arrow_offsets(arrow) == NULL);
    CHECK(whole.length == ROWS && whole.n_children == 5 && joined.length == 3);
    check_values(whole.children[4], 0, ROWS);
    check_values(part.children[4], 2, 2);
    const int32_t *ends = joined.children[4]->buffers[1];
    CHECK(ends[3] == 2 && memcmp(joined.children[4]->buffers[2], "za", 2) == 0);
    part.release(&part);
    CHECK(part.release == NULL);
    /* A child may leave, and live longer than its parent. */
    struct ArrowArray value = *whole.children[4];
    whole.children[4]->release = NULL;
    whole.release(&whole);
    CHECK(whole.release == NULL);
    check_values(&value, 0, ROWS);
    pthread_t thread;
    CHECK(pthread_create(&thread, NULL, release_elsewhere, &value) == 0 && pthread_join(thread, NULL) == 0);
    joined.release(&joined);
}

static void schemas(void) {
    struct ArrowSchema schema;
    CHECK(flv_arrow_schema(slice("orders"), &schema, NULL) == FLV_STATUS_OK);
    CHECK(strcmp(schema.format, "+s") == 0 && schema.n_children == 5);
    int32_t pairs, length;
    memcpy(&pairs, schema.metadata, 4);
    memcpy(&length, schema.metadata + 4 + 4 + 5, 4);
    CHECK(pairs == 1 && length == 6 && memcmp(schema.metadata + 17, "orders", 6) == 0);
    struct ArrowSchema value = *schema.children[4];
    schema.children[4]->release = NULL;
    schema.release(&schema);
    CHECK(schema.release == NULL && strcmp(value.name, "value") == 0 && strcmp(value.format, "z") == 0);
    value.release(&value);
}

static void streams(void) {
    flv_arrow_t *arrow = made(0);
    flv_arrow_part_t parts[2] = {{arrow, 0, 3}, {arrow, 3, 1}};
    struct ArrowArrayStream stream;
    struct ArrowArray first, second, end;
    struct ArrowSchema schema;
    CHECK(flv_arrow_stream(slice("t"), parts, 2, &stream, NULL) == FLV_STATUS_OK);
    flv_arrow_free(arrow);
    CHECK(stream.get_schema(&stream, &schema) == 0 && stream.get_schema(&stream, NULL) != 0);
    schema.release(&schema);
    CHECK(stream.get_next(&stream, &first) == 0 && stream.get_next(&stream, &second) == 0);
    CHECK(stream.get_next(&stream, &end) == 0 && end.release == NULL && stream.get_last_error(&stream) == NULL);
    stream.release(&stream);
    check_values(first.children[4], 0, 3);
    first.release(&first);
    check_values(second.children[4], 3, 1);
    second.release(&second);
    /* One of which nothing is read. */
    arrow = made(0);
    parts[0].arrow = parts[1].arrow = arrow;
    CHECK(flv_arrow_stream(slice("t"), parts, 2, &stream, NULL) == FLV_STATUS_OK);
    stream.release(&stream);
    flv_arrow_free(arrow);
}

/* The library reads what it has made itself, and releases it. */
static void reading(int to_the_end) {
    flv_arrow_t *arrow = made(0);
    flv_arrow_part_t parts[2] = {{arrow, 1, 3}, {arrow, 0, 1}};
    struct ArrowArrayStream stream;
    CHECK(flv_arrow_stream(slice("t"), parts, 2, &stream, NULL) == FLV_STATUS_OK);
    flv_arrow_free(arrow);
    flv_arrow_reader_t *reader = NULL;
    flv_slice_t none = {NULL, 0};
    CHECK(flv_arrow_reader_open(&stream, NULL, NULL, slice("value"), slice("key"), slice("partition"),
                                slice("timestamp"), &reader, NULL) == FLV_STATUS_OK);
    CHECK(stream.release == NULL);
    flv_arrow_reader_t *late = NULL;
    CHECK(flv_arrow_reader_open(&stream, NULL, NULL, slice("value"), none, none, none, &late, NULL) ==
          FLV_STATUS_INVALID_ARGUMENT);
    flv_records_t records = {.struct_size = sizeof records};
    CHECK(flv_arrow_reader_read(reader, &records, NULL) == FLV_STATUS_OK);
    CHECK(records.count == 3 && records.data_len == 9 && memcmp(records.data, "keyvaluez", 9) == 0);
    CHECK(records.key_lengths[0] == 0 && records.key_lengths[2] == -1 && records.value_lengths[1] == 5);
    CHECK(records.partitions[0] == 1 && records.timestamps[0] == INT64_MIN && records.timestamps[1] == 1002);
    if (to_the_end) {
        CHECK(flv_arrow_reader_read(reader, &records, NULL) == FLV_STATUS_OK && records.count == 1);
        CHECK(flv_arrow_reader_read(reader, &records, NULL) == FLV_STATUS_END);
        CHECK(flv_arrow_reader_read(reader, &records, NULL) == FLV_STATUS_END);
    }
    flv_arrow_reader_free(reader);
    flv_arrow_reader_free(reader);
    flv_arrow_reader_free(NULL);
}

/* Schema and array, of which the library takes both, also where it refuses them. */
static void reading_one(const char *value) {
    flv_arrow_t *arrow = made(0);
    struct ArrowSchema schema;
    struct ArrowArray array;
    CHECK(flv_arrow_schema(slice("t"), &schema, NULL) == FLV_STATUS_OK);
    CHECK(flv_arrow_array(&(flv_arrow_part_t){arrow, 0, ROWS}, 1, &array, NULL) == FLV_STATUS_OK);
    flv_arrow_free(arrow);
    flv_arrow_reader_t *reader = NULL;
    flv_slice_t none = {NULL, 0};
    flv_status_t status = flv_arrow_reader_open(NULL, &schema, &array, slice(value), none, none, none, &reader, NULL);
    CHECK(schema.release == NULL && array.release == NULL);
    flv_records_t records = {.struct_size = sizeof records};
    if (strcmp(value, "value") == 0) {
        CHECK(status == FLV_STATUS_OK && flv_arrow_reader_read(reader, &records, NULL) == FLV_STATUS_OK);
        CHECK(records.count == ROWS && records.data_len == 7 && memcmp(records.data, "avaluez", 7) == 0);
    } else if (strcmp(value, "key") == 0) {
        /* Rows without a key have no value then. */
        CHECK(status == FLV_STATUS_OK && flv_arrow_reader_read(reader, &records, NULL) == FLV_STATUS_INVALID_ARGUMENT);
    } else {
        CHECK(status == FLV_STATUS_INVALID_ARGUMENT && reader == NULL);
    }
    flv_arrow_reader_free(reader);
}

/* Capsules, as Python has them. */
struct capsule {
    const char *name;
    void *pointer;
};

static const char *get_name(void *capsule) { return ((struct capsule *)capsule)->name; }

static void *get_pointer(void *capsule, const char *name) {
    struct capsule *self = capsule;
    return strcmp(self->name, name) == 0 ? self->pointer : NULL;
}

static void capsules(void) {
    flv_arrow_capsule_init((void *)(uintptr_t)get_name, (void *)(uintptr_t)get_pointer);
    CHECK(flv_arrow_capsule_name(3) == NULL && flv_arrow_capsule_structure(3) == NULL);
    CHECK(strcmp(flv_arrow_capsule_name(FLV_ARROW_STREAM), "arrow_array_stream") == 0);
    for (int filled = 0; filled < 2; filled++) {
        flv_arrow_t *arrow = made(0);
        flv_arrow_part_t part = {arrow, 0, ROWS};
        for (uint32_t kind = 0; kind < 3; kind++) {
            struct capsule capsule = {flv_arrow_capsule_name(kind), flv_arrow_capsule_structure(kind)};
            if (filled && kind == FLV_ARROW_SCHEMA) {
                CHECK(flv_arrow_schema(slice("t"), capsule.pointer, NULL) == FLV_STATUS_OK);
            } else if (filled && kind == FLV_ARROW_ARRAY) {
                CHECK(flv_arrow_array(&part, 1, capsule.pointer, NULL) == FLV_STATUS_OK);
            } else if (filled) {
                CHECK(flv_arrow_stream(slice("t"), &part, 1, capsule.pointer, NULL) == FLV_STATUS_OK);
            }
            flv_arrow_capsule_free(&capsule);
        }
        flv_arrow_free(arrow);
    }
    struct capsule foreign = {"something_else", NULL};
    flv_arrow_capsule_free(&foreign);
    flv_arrow_capsule_free(NULL);
}

int main(void) {
    arrays();
    schemas();
    streams();
    reading(0);
    reading(1);
    reading_one("value");
    reading_one("key");
    reading_one("offset");
    reading_one("nothing");
    capsules();
    CHECK(counts().arrows == 0 && counts().arrow_readers == 0);
    return 0;
}
