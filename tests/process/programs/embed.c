/* A host of Python. It does what its arguments say, one after the other:

       init, finish         begin the main interpreter, end it
       elsewhere COUNT      do the next COUNT arguments in another thread, and wait for it
       new NAME, in NAME    begin a sub-interpreter that shares the GIL; go on in it (main: in the main one)
       end NAME             end that sub-interpreter, and go on in the main one
       handle               give Python the library that this program is linked with
       run CODE             run Python code where it is now
       fork                 go on in a child as well; the parent waits for it, with what comes after "parent"
       left LIBRARY         wait until nothing of the library's is left, and print what is */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "fluvio_cffi.h"

#define MOST 8

static PyThreadState *main_thread;
static struct {
    const char *name;
    PyThreadState *thread;
} others[MOST];

static void fail(const char *what, const char *why) {
    fprintf(stderr, "%s: %s\n", what, why);
    _exit(1);
}

static int find(const char *name) {
    for (int i = 0; i < MOST; i++) {
        if (others[i].name != NULL && strcmp(others[i].name, name) == 0) {
            return i;
        }
    }
    fail("no such interpreter", name);
    return -1;
}

static void begin_other(const char *name) {
    int free = 0;
    while (free < MOST && others[free].name != NULL) {
        free++;
    }
    if (free == MOST) {
        fail("too many interpreters", name);
    }
    PyThreadState_Swap(main_thread);
    others[free].thread = Py_NewInterpreter();
    if (others[free].thread == NULL) {
        fail("Py_NewInterpreter", name);
    }
    others[free].name = name;
}

static void end_other(const char *name) {
    int at = find(name);
    PyThreadState_Swap(others[at].thread);
    Py_EndInterpreter(others[at].thread);
    others[at].name = NULL;
    PyThreadState_Swap(main_thread);
}

static void give_handle(void) {
    PyObject *handle = PyLong_FromVoidPtr(dlopen(NULL, RTLD_NOW));
    if (PySys_SetObject("fluvio_cffi_library", handle) < 0) {
        fail("PySys_SetObject", "failed");
    }
    Py_DECREF(handle);
}

/* 1 in the child. */
static int fork_child(void) {
    fflush(stdout);
    PyOS_BeforeFork();
    pid_t child = fork();
    if (child == 0) {
        PyOS_AfterFork_Child();
        return 1;
    }
    PyOS_AfterFork_Parent();
    int status = 0;
    if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) {
        fail("fork", "the child did not end well");
    }
    return 0;
}

static void print_left(const char *library) {
    void *loaded = dlopen(library, RTLD_NOW | RTLD_NOLOAD);
    flv_status_t (*counts)(flv_counts_t *) = NULL;
    if (loaded != NULL) {
        *(void **)&counts = dlsym(loaded, "flv_debug_counts");
    }
    if (counts == NULL) {
        fail(library, "not loaded");
    }
    flv_counts_t left;
    for (int i = 0; i < 500; i++) {
        left.struct_size = sizeof left;
        counts(&left);
        if (left.queues + left.operations + left.clients + left.producers + left.consumers + left.errors + left.owners +
                left.inner_clients + left.connections + left.descriptors == 0) {
            break;
        }
        struct timespec pause = {0, 10 * 1000 * 1000};
        nanosleep(&pause, NULL);
    }
    printf("left: queues %u operations %u clients %u producers %u consumers %u errors %u owners %u inner %u %u %u "
           "connections %u descriptors %u\n",
           left.queues, left.operations, left.clients, left.producers, left.consumers, left.errors, left.owners,
           left.inner_clients, left.inner_producers, left.inner_consumers, left.connections, left.descriptors);
}

static int is(const char *argument, const char *name) { return strcmp(argument, name) == 0; }

static void take_steps(int argc, char **argv);

struct steps {
    int count;
    char **steps;
};

static void *take_steps_here(void *given) {
    struct steps *these = given;
    take_steps(these->count, these->steps);
    return NULL;
}

static void take_steps_elsewhere(int count, char **steps) {
    pthread_t thread;
    struct steps these = {count, steps};
    if (pthread_create(&thread, NULL, take_steps_here, &these) != 0 || pthread_join(thread, NULL) != 0) {
        fail("pthread", "failed");
    }
}

static void take_steps(int argc, char **argv) {
    int in_child = 0;
    for (int i = 0; i < argc; i++) {
        if (is(argv[i], "init")) {
            Py_Initialize();
            main_thread = PyThreadState_Get();
        } else if (is(argv[i], "finish")) {
            if (Py_FinalizeEx() < 0) {
                fail("Py_FinalizeEx", "failed");
            }
        } else if (is(argv[i], "elsewhere")) {
            int count = atoi(argv[++i]);
            take_steps_elsewhere(count, argv + i + 1);
            i += count;
        } else if (is(argv[i], "new")) {
            begin_other(argv[++i]);
        } else if (is(argv[i], "in")) {
            i++;
            PyThreadState_Swap(is(argv[i], "main") ? main_thread : others[find(argv[i])].thread);
        } else if (is(argv[i], "end")) {
            end_other(argv[++i]);
        } else if (is(argv[i], "handle")) {
            give_handle();
        } else if (is(argv[i], "run")) {
            if (PyRun_SimpleString(argv[++i]) < 0) {
                fail("run", "failed");
            }
        } else if (is(argv[i], "fork")) {
            in_child = fork_child();
            while (!in_child && !is(argv[i], "parent")) {
                i++;
            }
        } else if (is(argv[i], "parent") && in_child) {
            fflush(stdout);
            _exit(0);
        } else if (is(argv[i], "left")) {
            print_left(argv[++i]);
        } else {
            fail("no such step", argv[i]);
        }
    }
}

int main(int argc, char **argv) {
    take_steps(argc - 1, argv + 1);
    fflush(stdout);
    return 0;
}
