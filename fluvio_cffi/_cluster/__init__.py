"""What the embedded cluster's class, :mod:`fluvio_cffi.cluster`, is made of."""
