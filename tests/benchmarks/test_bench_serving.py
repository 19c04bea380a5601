"""What the serving benchmark says of loads, and the plot it draws."""

from __future__ import annotations

import math
from dataclasses import asdict
from io import BytesIO, StringIO
from pathlib import Path
from xml.etree import ElementTree

from PIL import Image
from rich.console import Console

from atelier.images import decode_picture
from benchmarks.load import Loaded
from benchmarks.plot import write_lines
from benchmarks.serve_trial import photographed
from benchmarks.serving import Bench, _saturation


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


def test_shares_are_of_the_batch_jobs_rate_round_by_round(tmp_path: Path) -> None:
    bench = Bench(tmp_path, lambda _: None, requests=1, seconds=1.0, plot=tmp_path / "plot.svg")
    bench.others = [0.0]

    def load(rate: float) -> dict[str, object]:
        return asdict(Loaded(seconds=(1.0,) * round(rate * 10), refused=0, failed=0, window_s=10.0))

    rounds = [
        {"job": job, "stages": 2 * job, "service": load(share * job), "timer": load(job / 2), "spread": {}}
        for job, share in ((4.0, 0.9), (2.0, 1.0), (5.0, 0.96))
    ]
    [table] = _saturation(bench, rounds, 0.0)
    out = StringIO()
    Console(file=out, width=200).print(table)
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in out.getvalue().splitlines() if "|" in line]
    found = {row[0]: row[1:] for row in rows}
    assert found["the batch job"][:2] == ["4.00", "100.0%"]
    assert found["the device's stages in a bare loop"][:3] == ["8.00", "200.0%", "200.0% to 200.0%"]
    assert found["the service"] == ["3.60", "96.0%", "90.0% to 100.0%", "1.00", "95%: met"]
    assert found["the same with `@serve.batch`"][1] == "50.0%"
