"""What the serving benchmark says of loads, and the plot it draws."""

from __future__ import annotations

import math
from io import BytesIO
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image

from atelier.images import decode_picture
from benchmarks.load import Loaded
from benchmarks.plot import write_lines
from benchmarks.serve_trial import photographed


def test_what_callers_got_is_counted_over_the_window() -> None:
    loaded = Loaded(seconds=(0.4, 0.1, 0.2, 0.3), refused=2, failed=0, window_s=8.0)

    assert loaded.pictures_a_second == 0.5
    assert [loaded.percentile(share) for share in (0.0, 0.5, 0.95)] == [0.1, 0.3, 0.4]
    assert math.isinf(Loaded(seconds=(), refused=9, failed=0, window_s=8.0).percentile(0.5))


def test_a_plot_is_a_file_with_a_line_a_series(tmp_path: Path) -> None:
    path = tmp_path / "plots" / "latency.svg"
    lines = {"median": [(1.0, 0.1), (2.0, 0.5), (3.0, 20.0)], "95th <percentile>": [(1.0, 0.2), (3.0, 60.0)]}
    write_lines(path, title="Latency & load", x="requests a second", y="seconds", series=lines, mark=2.5)
    drawn = ElementTree.parse(path).getroot()

    space = "{http://www.w3.org/2000/svg}"
    words = [element.text for element in drawn.iter(f"{space}text")]
    assert {"0", "1", "2", "3"} <= set(words), "ticks are round"
    assert {"Latency & load", "median", "95th <percentile>", "saturation"} <= set(words)
    circles = [(float(one.attrib["cx"]), float(one.attrib["cy"])) for one in drawn.iter(f"{space}circle")]
    assert len(circles) == 5 and circles[0][0] < circles[1][0] and circles[0][1] > circles[1][1] > circles[2][1]
    width, height = (float(size) for size in drawn.attrib["viewBox"].split()[2:])
    assert all(0 < x < width and 0 < y < height for x, y in circles)


def test_the_pictures_that_are_sent_have_their_size() -> None:
    small = photographed((256, 192), 20_000)

    assert abs(len(small) - 20_000) < 3_000 and decode_picture(small).shape == (256, 192, 3)
    with Image.open(BytesIO(small)) as picture:
        assert picture.format == "JPEG"
