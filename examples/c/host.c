/*
 * A program with Python inside, linked statically with the library: Python uses the one that is already there.
 *
 *     cc host.c -I "$sdk/include" -Wl,--whole-archive "$sdk/lib/libfluvio_cffi.a" -Wl,--no-whole-archive -rdynamic \
 *        $(python3-config --embed --cflags --ldflags) -o host
 *     ./host 127.0.0.1:9003
 *
 * -rdynamic exports the functions of the library from the program, where dlopen(NULL) finds them. The interpreter begins
 * and ends twice, and each time what it has open ends with it; the library goes on.
 */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>
#include <stdio.h>

#include "fluvio_cffi.h"

static const char *const SEND =
    "from fluvio_cffi import Fluvio\n"
    "client = Fluvio.connect(endpoint)\n"
    "client.admin.topics.create('host', exist_ok=True)\n"
    "producer = client.producer('host')\n"
    "print(f'round {number}: offset {producer.send(b\"hello\").offset}', flush=True)\n";

/* Before anything imports fluvio_cffi: a handle of dlopen, as a number. */
static int give_library(void) {
    PyObject *handle = PyLong_FromVoidPtr(dlopen(NULL, RTLD_NOW));
    int given = handle == NULL ? -1 : PySys_SetObject("fluvio_cffi_library", handle);
    Py_XDECREF(handle);
    return given;
}

static int run_round(const char *endpoint, long number) {
    Py_Initialize();
    PyObject *names = PyModule_GetDict(PyImport_AddModule("__main__"));
    PyObject *values[] = {PyUnicode_FromString(endpoint), PyLong_FromLong(number)};
    int failed = give_library() < 0 || PyDict_SetItemString(names, "endpoint", values[0]) < 0 ||
                 PyDict_SetItemString(names, "number", values[1]) < 0 || PyRun_SimpleString(SEND) < 0;
    Py_XDECREF(values[0]);
    Py_XDECREF(values[1]);
    return Py_FinalizeEx() < 0 || failed;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s host:port\n", argv[0]);
        return 2;
    }
    if (run_round(argv[1], 1) || run_round(argv[1], 2)) {
        return 1;
    }
    /* The end of the program: nobody uses the library any more. */
    uint64_t dropped = 0;
    flv_runtime_shutdown(1000, &dropped);
    return dropped == 0 ? 0 : 1;
}
