/* The example, and then: is anything left that it did not free? */
#define main quickstart
#include "../../../examples/c/quickstart.c"
#undef main

int main(int argc, char **argv) {
    int ended = quickstart(argc, argv);
    flv_counts_t left = {.struct_size = sizeof left};
    check(flv_debug_counts(&left), NULL, "counting");
    uint32_t handles = left.queues + left.clients + left.producers + left.consumers + left.errors + left.buffers;
    if (handles != 0 || left.operations != 0) {
        fprintf(stderr, "%" PRIu32 " handles and %" PRIu32 " operations are left\n", handles, left.operations);
        return EXIT_FAILURE;
    }
    return ended;
}
