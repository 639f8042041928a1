"""What pyproject.toml cannot say: the two Rust builds, the generated binding, the tag of the wheel, and that the same
sources give the same wheel."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import ClassVar

from setuptools import setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.sdist import sdist
from setuptools_rust import Binding, RustExtension, Strip, build_rust

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "tools"))

import release_flags  # noqa: E402
import third_party  # noqa: E402
import vendor  # noqa: E402
import wheel_files  # noqa: E402

LIBRARY = {"darwin": "libfluvio_cffi.dylib", "win32": "fluvio_cffi.dll"}.get(sys.platform, "libfluvio_cffi.so")


class BuildRust(build_rust):
    """The library is opened by its path, by whatever Python: it takes the platform's plain name, not an extension
    module's."""

    def run(self) -> None:
        self.verbose = 0  # cargo's own lines say enough
        if self.release or not self.inplace:
            os.environ.update(release_flags.released())
        super().run()

    def get_dylib_ext_path(self, ext: RustExtension, target_fname: str) -> str:
        path = super().get_dylib_ext_path(ext, target_fname)
        return path[: path.rindex("libfluvio_cffi")] + LIBRARY


class BdistWheel(bdist_wheel):
    """Nothing in the wheel depends on the Python: one serves every CPython and PyPy on its platform.

    The platform is the building machine's, such as ``linux_x86_64``. A ``manylinux`` tag is a promise about the system
    libraries, which auditwheel makes: ``make wheel-manylinux``.
    """

    def get_tag(self) -> tuple[str, str, str]:
        return "py3", "none", super().get_tag()[2]

    def egg2dist(self, egginfo_path: str, distinfo_path: str) -> None:
        super().egg2dist(egginfo_path, distinfo_path)
        third_party.put_into(Path(distinfo_path))

    def run(self) -> None:
        super().run()
        for kind, _, wheel in self.distribution.dist_files:
            if kind == "bdist_wheel":
                wheel_files.settle(Path(wheel))


class Sdist(sdist):
    """With ``--vendor`` it has the sources of all crates, so that a wheel can be built from it without a network."""

    user_options: ClassVar = [*sdist.user_options, ("vendor", None, "with the sources of the crates that are built in")]
    boolean_options: ClassVar = [*sdist.boolean_options, "vendor"]

    def initialize_options(self) -> None:
        super().initialize_options()
        self.vendor = False

    def make_release_tree(self, base_dir: str, files: list[str]) -> None:
        super().make_release_tree(base_dir, files)
        if self.vendor:
            vendor.vendor(Path(base_dir).resolve())


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
    cmdclass={"build_rust": BuildRust, "bdist_wheel": BdistWheel, "sdist": Sdist},
)
