"""The pictures of docs/pictures.md and of the benchmarks, and the dashboard: tools make them, and this is in them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

import fluvio_cffi

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ROOT / "docs" / "pictures"
pytestmark = pytest.mark.timeout(90)


def words(picture: Path) -> str:
    """What a picture says, a line each."""
    texts = ElementTree.parse(picture).iter("{http://www.w3.org/2000/svg}text")
    return "\n".join((text.text or "").replace("\xa0", " ") for text in texts)


def test_the_tool_draws_every_picture(tmp_path: Path) -> None:
    """From what the commands write now, in which each has what its picture is for."""
    environment = {"PATH": "/usr/bin:/bin", "PYTHONPATH": str(Path(fluvio_cffi.__file__).parents[1])}
    command = [sys.executable, "-W", "error", str(ROOT / "tools" / "pictures.py"), "--quick", "--folder", str(tmp_path)]
    subprocess.run(command, check=True, timeout=80, env=environment)
    assert {path.name for path in tmp_path.iterdir()} == {path.name for path in PICTURES.iterdir()}
    page = (ROOT / "docs" / "pictures.md").read_text(encoding="utf-8")
    assert set(re.findall(r"\(pictures/([\w-]+\.svg)\)", page)) == {path.name for path in PICTURES.iterdir()}
    for name, wanted in {
        "top": ["PRODUCED/s", "LAG SO FAR", "shipping", "█"],
        "topic-list": ["orders", "invoices"],
        "consume": ["o-2"],
        "group-describe": ["orders"],
        "status": ["127.0.0.1:9003"],
    }.items():
        for folder in (tmp_path, PICTURES):
            assert [word for word in wanted if word not in words(folder / f"{name}.svg")] == [], (name, folder)


DRAWN = [*sorted(PICTURES.iterdir()), ROOT / "benchmarks" / "results.svg"]


@pytest.mark.parametrize("picture", DRAWN, ids=lambda picture: picture.name)
def test_a_picture_loads_nothing_and_is_small(picture: Path) -> None:
    text = picture.read_text(encoding="utf-8")
    assert not re.search(r"url\((?!#)|<script|<image|@import|@font-face", text)
    assert [link for link in re.findall(r"https?://[^\"\s]+", text) if link != "http://www.w3.org/2000/svg"] == []
    assert len(text) < 40_000


def test_the_dashboard_is_as_its_tool_writes_it() -> None:
    subprocess.run([sys.executable, str(ROOT / "tools" / "dashboard.py"), "--check"], check=True)
