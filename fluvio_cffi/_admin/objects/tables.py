"""Table formats: how tools show records."""

from __future__ import annotations

from dataclasses import field
from typing import Literal, TypeAlias

from fluvio_cffi._admin.checks import assign, optional_text
from fluvio_cffi._admin.value import value
from fluvio_cffi._exports import publish
from fluvio_cffi._values.checks import choice, several, text

TableFormatResolution: TypeAlias = Literal["init", "invalid", "running", "pending", "failed"]
Alignment: TypeAlias = Literal["left", "right", "center"]
Color: TypeAlias = Literal["blue", "yellow", "green"]


@value()
class TableColumn:
    """A column of a table format.

    :param key_path: which field of a record it shows.
    :param header_label: what stands above it; ``None``: the key path.
    :param width: how wide it is.
    :param alignment: ``"left"``, ``"right"`` or ``"center"``.
    :param format: how values are written.
    :param display: whether it is shown.
    :param primary_key: whether it tells rows apart.
    :param header_text_color: ``"blue"``, ``"yellow"`` or ``"green"``.
    :param header_bg_color: the same, behind it.
    """

    key_path: str
    header_label: str | None = field(default=None, kw_only=True)
    width: str | None = field(default=None, kw_only=True)
    alignment: Alignment | None = field(default=None, kw_only=True)
    format: str | None = field(default=None, kw_only=True)
    display: bool | None = field(default=None, kw_only=True)
    primary_key: bool | None = field(default=None, kw_only=True)
    header_text_color: Color | None = field(default=None, kw_only=True)
    header_bg_color: Color | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        text(self.key_path, "key_path")
        for name in ("header_label", "width", "format"):
            optional_text(getattr(self, name), name)
        if self.alignment is not None:
            choice(self.alignment, "alignment", ("left", "right", "center"))
        for name in ("header_text_color", "header_bg_color"):
            if getattr(self, name) is not None:
                choice(getattr(self, name), name, ("blue", "yellow", "green"))


@value()
class TableFormatSpec:
    """How records are shown as a table.

    :param columns: its columns.
    :param input_format: what records are: ``"json"``.
    :param smartmodule: the name of a SmartModule that they pass through before.
    """

    columns: tuple[TableColumn, ...] | None = None
    input_format: Literal["json"] | None = field(default=None, kw_only=True)
    smartmodule: str | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        if self.columns is not None:
            assign(self, columns=several(self.columns, "columns", TableColumn))
        if self.input_format is not None:
            choice(self.input_format, "input_format", ("json",))
        optional_text(self.smartmodule, "smartmodule")


@value()
class TableFormatStatus:
    """What became of a table format."""

    resolution: TableFormatResolution
    reason: str | None = None


@value()
class TableFormat:
    """A table format of the cluster."""

    name: str
    spec: TableFormatSpec
    status: TableFormatStatus


publish(__name__)
