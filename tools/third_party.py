"""What the library and the embedded cluster are made of besides our own code: an SBOM, and the notices of the crates.

    python tools/third_party.py sbom | notices

It asks cargo, which needs no network where the crates are there already; a build has them at hand. So what a wheel says
of itself is what it was built from, on each platform.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
MANIFEST = ROOT / "rust-ffi" / "Cargo.toml"
BUILT = ("fluvio-cffi-abi", "fluvio-cffi-cluster")
"""The crates whose code is in the wheel, with all that they depend on."""

LINKED = "normal,no-proc-macro"
"""Along which edges cargo goes to find these: no macros, no tools of the build, nothing of the tests."""

CARGO = os.environ.get("CARGO", "cargo")
NOTICES = "THIRD-PARTY-NOTICES.txt"
SBOM = "fluvio_cffi.cdx.json"

TEXTS = re.compile(r"(LICEN[CS]E|COPYING|COPYRIGHT|NOTICE)", re.IGNORECASE)
PREFACE = """\
The native library of fluvio_cffi and its embedded cluster contain code of the crates below, and of the Rust standard
library (MIT OR Apache-2.0, copyright The Rust Project contributors). Each is used unchanged, and its source is at the
address beside it. fluvio_cffi itself is under the Apache License 2.0, whose text is in the file LICENSE.
"""


@dataclass
class Crate:
    """One crate of the build."""

    name: str
    version: str
    licence: str
    source: str
    """Where its repository is."""
    folder: Path
    checksum: str | None
    needs: list[str] = field(default_factory=list)
    """Names and versions of the crates that it needs, of those that are built in."""

    @property
    def key(self) -> str:
        return f"{self.name} {self.version}"

    @property
    def purl(self) -> str:
        return f"pkg:cargo/{self.name}@{self.version.replace('+', '%2B')}"

    @property
    def bundled(self) -> tuple[str, str] | None:
        """Name and version of the C library that it brings, as in 2.1.3+zstd.1.5.7."""
        found = re.search(r"\+([a-z]\w*)\.(\d[\w.]*)$", self.version)
        return (found[1], found[2]) if found else None


def cargo(*arguments: str) -> str:
    """What cargo says."""
    command = [CARGO, *arguments, "--locked", "--manifest-path", str(MANIFEST)]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, cwd=ROOT).stdout


def compiler() -> dict[str, str]:
    """What rustc says of itself: its release, its host."""
    said = subprocess.run([os.environ.get("RUSTC", "rustc"), "-vV"], stdout=subprocess.PIPE, text=True, check=True)
    return dict(line.split(": ", 1) for line in said.stdout.splitlines() if ": " in line)


def used(target: str, edges: str) -> set[str]:
    """Names and versions of other people's crates that the build for a target uses, along these edges."""
    packages = [argument for name in BUILT for argument in ("--package", name)]
    tree = cargo(
        *("tree", *packages, "--edges", edges, "--target", target, "--prefix", "none", "--format", "{p}"),
    )
    # Ours have their folder behind them, and macros a word.
    lines = {line.split(" (")[0] for line in tree.splitlines() if line and f" ({MANIFEST.parent}" not in line}
    return {line.replace(" v", " ", 1) for line in lines}


def checksums() -> dict[str, str]:
    """The checksums of Cargo.lock."""
    lock = MANIFEST.with_name("Cargo.lock").read_text(encoding="utf-8")
    entry = re.compile(r'^name = "(.+)"\nversion = "(.+)"\nsource = ".+"\nchecksum = "(.+)"$', re.MULTILINE)
    return {f"{name} {version}": checksum for name, version, checksum in entry.findall(lock)}


def crates() -> list[Crate]:
    """All of them, by name."""
    target = os.environ.get("CARGO_BUILD_TARGET") or compiler()["host"]
    wanted, known = used(target, LINKED), checksums()
    described = json.loads(cargo("metadata", "--format-version", "1", "--filter-platform", target))
    found: dict[str, Crate] = {}
    for package in described["packages"]:
        crate = Crate(
            name=package["name"],
            version=package["version"],
            licence=(package["license"] or "").replace("/", " OR "),
            source=package["repository"] or package["homepage"] or "",
            folder=Path(package["manifest_path"]).parent,
            checksum=known.get(f"{package['name']} {package['version']}"),
        )
        if crate.key in wanted:
            found[package["id"]] = crate
    for node in described["resolve"]["nodes"]:
        if node["id"] in found:
            needs = sorted(found[other["pkg"]].key for other in node["deps"] if other["pkg"] in found)
            found[node["id"]].needs = needs
    missing = wanted - {crate.key for crate in found.values()}
    assert not missing, missing
    return sorted(found.values(), key=lambda crate: crate.key)


def component(crate: Crate) -> dict[str, Any]:
    """A crate, as CycloneDX describes it."""
    described: dict[str, Any] = {
        "type": "library",
        "bom-ref": crate.purl,
        "name": crate.name,
        "version": crate.version,
        "purl": crate.purl,
        "licenses": [{"expression": crate.licence}],
    }
    if crate.checksum:
        described["hashes"] = [{"alg": "SHA-256", "content": crate.checksum}]
    if crate.source:
        described["externalReferences"] = [{"type": "vcs", "url": crate.source}]
    if crate.bundled:
        name, version = crate.bundled
        purl = f"pkg:generic/{name}@{version}"
        described["components"] = [
            {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl},
        ]
    return described


def sbom(name: str, version: str) -> str:
    """The bill of materials of the wheel, in CycloneDX's JSON; the same build gives the same bytes."""
    whole = f"pkg:pypi/{name.replace('_', '-')}@{version}"
    release = compiler()["release"]
    std = f"pkg:generic/rust-std@{release}"
    everything = crates()
    by_key = {crate.key: crate for crate in everything}
    depended_on = {need for crate in everything for need in crate.needs}
    direct = [crate.purl for crate in everything if crate.key not in depended_on]
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "component": {
                "type": "library",
                "bom-ref": whole,
                "name": name,
                "version": version,
                "purl": whole,
                "licenses": [{"expression": "Apache-2.0"}],
            }
        },
        "components": [
            *map(component, everything),
            {
                "type": "library",
                "bom-ref": std,
                "name": "rust-std",
                "version": release,
                "purl": std,
                "licenses": [{"expression": "MIT OR Apache-2.0"}],
            },
        ],
        "dependencies": [
            {"ref": whole, "dependsOn": [*direct, std]},
            *(
                {"ref": crate.purl, "dependsOn": [by_key[need].purl for need in crate.needs]}
                for crate in everything
                if crate.needs
            ),
        ],
    }
    return json.dumps(document, indent=1) + "\n"


def put_into(distinfo: Path) -> None:
    """Puts both where a wheel has them, and names the notices in its metadata."""
    name, version = distinfo.name.removesuffix(".dist-info").split("-")[:2]
    (distinfo / "sboms").mkdir()
    (distinfo / "sboms" / SBOM).write_text(sbom(name, version), encoding="utf-8")
    (distinfo / "licenses" / NOTICES).write_text(notices(), encoding="utf-8")
    metadata = distinfo / "METADATA"
    line = "License-File: LICENSE\n"
    text = metadata.read_text(encoding="utf-8")
    assert text.count(line) == 1
    metadata.write_text(text.replace(line, f"{line}License-File: {NOTICES}\n"), encoding="utf-8")


def texts(crate: Crate) -> Iterator[str]:
    """The licences and notices that a crate brings, those of C libraries within it as well."""
    for path in sorted(crate.folder.rglob("*")):
        if TEXTS.match(path.name) and path.is_file() and path.suffix not in (".rs", ".py"):
            yield path.read_text(encoding="utf-8", errors="replace").strip()


def notices() -> str:
    """Which crates there are, and their licences, each text once."""
    everything = crates()
    lines = [PREFACE]
    lines += [f"{crate.key}: {crate.licence}; {crate.source}" for crate in everything]
    whose: dict[str, list[str]] = {}
    words: dict[str, str] = {}
    for crate in everything:
        for text in texts(crate):
            digest = hashlib.sha256(" ".join(text.split()).encode()).hexdigest()
            words.setdefault(digest, text)
            if crate.name not in whose.setdefault(digest, []):
                whose[digest].append(crate.name)
    # By length, so that texts that are nearly the same stand beside each other: the wheel is compressed.
    for digest in sorted(whose, key=lambda digest: (len(words[digest]), digest)):
        lines += ["", "-" * 100, ", ".join(whose[digest]), "-" * 100, "", words[digest]]
    return "\n".join(lines) + "\n"


def main() -> None:
    if sys.argv[1:] == ["notices"]:
        sys.stdout.write(notices())
    elif sys.argv[1:] == ["sbom"]:
        version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"), re.MULTILINE)
        assert version is not None
        sys.stdout.write(sbom("fluvio_cffi", version[1]))
    else:
        sys.exit(__doc__)


if __name__ == "__main__":
    main()
