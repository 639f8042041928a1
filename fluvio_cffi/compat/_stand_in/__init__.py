"""A folder for ``sys.path``, in which ``import fluvio`` finds this library: for the child processes of a program that
``python -m fluvio_cffi.compat`` runs."""
