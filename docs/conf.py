"""Sphinx: `make docs`. A warning is an error, and so is a reference that leads nowhere."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

import fluvio_cffi

project = "fluvio_cffi"
version = release = fluvio_cffi.__version__
copyright = "the fluvio_cffi authors"

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_copybutton", "sphinx_design"]
exclude_patterns = ["_build", "dev"]
html_theme = "furo"
html_title = f"fluvio_cffi {version}"
html_static_path = ["_static"]
html_css_files = ["pages.css"]
html_show_sphinx = False
html_copy_source = False

copybutton_exclude = ".linenos, .gp, .go"
# What a program prints is no code to be copied.
copybutton_selector = "div:not(.highlight-text) > div.highlight > pre"

myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
autodoc_default_options = {"members": True, "undoc-members": True}
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
# A call with many arguments shows one on each line.
maximum_signature_line_length = 88
python_use_unqualified_type_names = True

nitpicky = True
# Python's own, and what classes are generic over. Batches are named by where they are defined:
# another class is derived from them, with types, before they are made public.
nitpick_ignore_regex = [
    (
        "py:class",
        r"(collections\.abc|contextlib|datetime|pathlib|os|builtins|types|opentelemetry|prometheus_client)\..*|(.*\.)?(T|ItemT|K|V|KeyIn|ValueIn|M|WhatT|(Async)?Batches|Arrow(Array|Stream)able)",
    )
]


def without_private(
    app: Sphinx,
    what: str,
    name: str,
    thing: object,
    options: object,
    signature: str | None,
    returns: str | None,
) -> tuple[str | None, str | None]:
    """A class that is made from something private is not made by users: how is not shown."""
    if (
        what == "class"
        and signature
        and re.search(r"CData|fluvio_cffi(\.\w+)?\._|\*made", signature)
    ):
        return "", returns
    return signature, returns


def setup(app: Sphinx) -> None:
    app.connect("autodoc-process-signature", without_private)
