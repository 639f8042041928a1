"""What pyproject.toml cannot say: the two Rust builds, the generated binding and the tag of the wheel."""

from __future__ import annotations

import sys

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools_rust import Binding, RustExtension, Strip, build_rust

LIBRARY = {"darwin": "libfluvio_cffi.dylib", "win32": "fluvio_cffi.dll"}.get(sys.platform, "libfluvio_cffi.so")


class BuildRust(build_rust):
    """The library is opened by its path, by whatever Python: it takes the platform's plain name, not an extension
    module's."""

    def run(self) -> None:
        self.verbose = 0  # cargo's own lines say enough
        super().run()

    def get_dylib_ext_path(self, ext: RustExtension, target_fname: str) -> str:
        path = super().get_dylib_ext_path(ext, target_fname)
        return path[: path.rindex("libfluvio_cffi")] + LIBRARY


class BdistWheel(bdist_wheel):
    """Nothing in the wheel depends on the Python: one serves every CPython and PyPy on its platform.

    The platform is the building machine's, such as ``linux_x86_64``. A ``manylinux`` tag is a promise about the system
    libraries, which auditwheel makes, in the images that releases are built in.
    """

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]


setup(
    rust_extensions=[
        RustExtension(
            "fluvio_cffi.libfluvio_cffi",
            path="rust-ffi/abi/Cargo.toml",
            binding=Binding.NoBinding,
            strip=Strip.All,
            cargo_manifest_args=["--locked"],
        ),
        RustExtension(
            {"fluvio-cffi-cluster": "fluvio_cffi.bin.fluvio-cffi-cluster"},
            path="rust-ffi/cluster/Cargo.toml",
            binding=Binding.Exec,
            strip=Strip.All,
            cargo_manifest_args=["--locked"],
        ),
    ],
    cffi_modules=["tools/build_binding.py:ffi"],
    cmdclass={"build_rust": BuildRust, "bdist_wheel": BdistWheel},
)
