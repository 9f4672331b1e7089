# SPDX-License-Identifier: GPL-2.0-or-later
from __future__ import annotations

import doctest
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from harness.bundle import Bundle, BundleWriter
from harness.verdicts import Difference
from reports import plots, text
from reports.conftest import DIFFERENCE, HOSTILE, manifest, record, timeline
from reports.describe import case_facts
from reports.difference import Row, align, as_diff
from reports.fio import fio_rows, task_rows
from reports.load import load_run
from reports.plots import nice_ticks, operations_plot, series_order, states_plot
from reports.record import checkpoints, excerpt, steps
from reports.results import COLUMNS, results
from reports.timeline import MAX_POINTS, Timeline


@pytest.mark.parametrize("module", [text, plots])
def test_examples_in_docstrings(module: ModuleType) -> None:
    assert doctest.testmod(module).failed == 0


def test_printable_spells_out_what_could_steer_a_terminal() -> None:
    assert text.printable("a\x1b[2J\x00\u202e\ud800\nb") == "a\\x1b[2J\\x00\\u202e\\ud800\nb"


def test_align_sets_equal_lines_opposite_each_other() -> None:
    rows = align(("a", "b", "d"), ("a", "x", "y", "d"))
    assert rows == [Row("a", "a"), Row("b", "x"), Row(None, "y"), Row("d", "d")]


def test_diff_marks_each_side() -> None:
    lines = as_diff(DIFFERENCE)
    assert lines[:2] == ["--- model", "+++ kernel"]
    assert [line[0] for line in lines[2:]] == [" ", "-", "+", "+", " "]
    assert as_diff(Difference("only a summary")) == []


@pytest.mark.parametrize(
    ("facts", "words", "direct"),
    [
        ({"kind": "loop", "backing": "ext4"}, "4 x 2 GiB, loop devices on ext4, data raid1", "yes"),
        ({"kind": "loop", "backing": None}, "4 x 2 GiB, loop devices, data raid1", "yes"),
        ({"kind": "drive", "direct_io": None}, "4 x 2 GiB, virtio drives, data raid1", None),
        (
            {"kind": "rotational", "direct_io": None},
            "4 x 2 GiB, rotational virtio drives (simulated), data raid1",
            None,
        ),
        ({}, "4 x 2 GiB, data raid1", "yes"),
    ],
)
def test_devices_are_told_with_their_kind(
    tmp_path: Path, facts: dict[str, Any], words: str, direct: str | None
) -> None:
    of_loop = {"count": 4, "size_bytes": 2 << 30, "data": "raid1", "metadata": "dup", "direct_io": True}
    record(tmp_path / "r" / "a", manifest("s/a", devices={**of_loop, **facts}))
    told = dict(case_facts(load_run(tmp_path / "r").cases[0]))
    assert told["Devices"] == f"{words}, metadata dup"
    assert told.get("Direct I/O to backing files") == direct


def test_a_cache_is_described_as_one(tmp_path: Path) -> None:
    cache = {
        "cache_mode": "writeback",
        "size_bytes": 256 << 20,
        "cache_bytes": 64 << 20,
        "bucket_bytes": 4096,
    }
    record(tmp_path / "r" / "a", manifest("s/a", devices={"kind": "loop", "backing": "tmpfs", **cache}))
    told = dict(case_facts(load_run(tmp_path / "r").cases[0]))
    assert told["Devices"] == "256 MiB cached by 64 MiB, loop devices on tmpfs, writeback, buckets of 4 KiB"
    assert "Mount options" not in told


def make_bundle(folder: Path, files: dict[str, str]) -> Bundle:
    writer = BundleWriter(folder)
    for name, content in files.items():
        writer.add_text(name, content)
    return writer.finish(manifest("s/a"))


def test_fio_figures_come_from_its_json(tmp_path: Path) -> None:
    record(tmp_path / "b", manifest("s/a"))
    read, write = fio_rows(Bundle.open(tmp_path / "b"))
    assert (read.direction, write.direction) == ("read", "write")
    (task,) = task_rows(Bundle.open(tmp_path / "b"))
    assert (task.cpu_user_s, task.cpu_system_s, task.blkio_delay_s) == (0.5, 3.0, 5.0)
    assert (read.bw_bytes, read.iops, read.p50_ns, read.p99_ns) == (63488000, 15500.4, 52992, 2467840)


@pytest.mark.parametrize("content", ["", "fio died", '{"jobs": 3}', '{"jobs": [null, {"read": 1}]}', "{"])
def test_fio_without_figures_gives_no_rows(tmp_path: Path, content: str) -> None:
    assert fio_rows(make_bundle(tmp_path / "b", {"fio/01-a.json": content})) == []


def test_costs_add_up_and_one_unknown_makes_the_sum_unknown(tmp_path: Path) -> None:
    content = """[{"job": "a", "processes": [{"cpu_user_us": 500000, "blkio_count": 2},
                                             {"cpu_user_us": 250000}]}, 5, {"job": "b"}]"""
    known, empty = task_rows(make_bundle(tmp_path / "b", {"taskstats.json": content}))
    assert (known.cpu_user_s, known.cpu_system_s, known.blkio_count) == (0.75, None, None)
    assert (known.processes, empty.processes, empty.cpu_user_s) == (2, 0, None)


def test_delays_that_were_not_accounted_for_are_unknown(tmp_path: Path) -> None:
    content = """[{"job": "a", "delay_accounting": false,
                   "processes": [{"cpu_user_us": 5, "blkio_delay_ns": 0, "blkio_count": 0}]}]"""
    (row,) = task_rows(make_bundle(tmp_path / "b", {"taskstats.json": content}))
    assert (row.processes, row.blkio_delay_s, row.blkio_count) == (1, None, None)


def test_checkpoints_count_trees_and_states(tmp_path: Path) -> None:
    record(tmp_path / "b", manifest("s/a"), long=2)
    first, second = checkpoints(Bundle.open(tmp_path / "b"))
    assert (first.trees, first.states, first.valid, second.name) == (2, 6, True, "randrw-1")


def test_steps_tell_what_was_done_and_how_long_it_took(tmp_path: Path) -> None:
    record(tmp_path / "b", manifest("s/a"))
    step = steps(Bundle.open(tmp_path / "b"))[0]
    assert (step.begin_ns, step.took_ns, step.result) == (10**6, 2 * 10**6, "0")
    assert step.arguments == "subvolume snapshot randrw"


def test_excerpt_says_how_much_it_leaves_out() -> None:
    part = excerpt(list(range(10)), 3)
    assert (part.rows, part.left_out) == ([0, 1, 2], 7)


def test_thinning_keeps_counts_and_peaks() -> None:
    full = Timeline.read(timeline(1001))
    thin = full.thinned()
    assert len(thin.live_states) <= MAX_POINTS
    assert thin.ops["set"].sum() == full.ops["set"].sum()
    assert thin.live_states.max() == full.live_states.max()
    assert thin.width_s == pytest.approx(4 * full.width_s)


@pytest.mark.parametrize("largest", [0, 1, 7, 999, 1000, 123456, 0.003])
def test_ticks_reach_the_largest_value_in_few_steps(largest: float) -> None:
    ticks = nice_ticks(largest)
    assert ticks[0] == 0
    assert ticks[-1] >= largest
    assert len(ticks) <= 6
    assert np.allclose(np.diff(ticks), ticks[1])


def test_plots_are_well_formed_and_show_every_series() -> None:
    series = Timeline.read(timeline())
    operations, states = ET.fromstring(operations_plot(series)), ET.fromstring(states_plot(series))
    assert len(operations.findall("path[@class]")) == len(series.ops) + 1 + len(nice_ticks(33_000))
    painted = [
        path.get("class", "") for path in operations.findall("path") if path.get("class", "")[:4] == "area"
    ]
    assert painted == ["area s2", "area s1", "area s0"], "each area covers the ones behind it"
    assert [mark.text for mark in states.findall("g/text")] == ["1", "2", "3"]
    assert "3 checkpoints" in states.get("aria-label", "")


def test_plot_draws_rates_to_scale() -> None:
    series = Timeline.read({"t_s": [0.0, 0.5], "ops": {"set": [5, 10]}, "live_states": [0, 0]})
    assert 'class="y">20<' in operations_plot(series)
    # 20 operations a second is the top of the axis, 10 a second half of it.
    middle = (plots.TOP + plots.HEIGHT - plots.BOTTOM) / 2
    assert f"V{middle:g}H" in operations_plot(series)
    assert f"V{plots.TOP:g}H{plots.WIDTH - plots.RIGHT:g}" in operations_plot(series)


def test_checkpoints_close_together_are_numbered_once() -> None:
    marks = [{"name": "a", "t_s": 1.0 + n / 1000, "live_states": 1} for n in range(5)]
    data = {"t_s": [0.0, 1.0], "ops": {}, "live_states": [1, 1], "checkpoints": marks}
    drawing = ET.fromstring(states_plot(Timeline.read(data)))
    assert len(drawing.findall("g/circle")) == 5
    assert len(drawing.findall("g/text")) == 1


def test_plot_of_one_idle_bucket_does_not_divide_by_zero() -> None:
    ET.fromstring(states_plot(Timeline.read({"t_s": [0], "ops": {}, "live_states": [0]})))


def test_plot_escapes_names() -> None:
    data = timeline()
    data["checkpoints"][0]["name"] = HOSTILE
    drawing = states_plot(Timeline.read(data))
    assert "<script" not in drawing
    assert "&lt;script&gt;" in drawing


def test_busiest_kind_is_at_the_bottom() -> None:
    assert series_order(Timeline.read(timeline())) == ["set", "clear", "convert"]


def test_results_hold_every_known_figure(sample: Path) -> None:
    table = results(load_run(sample))
    assert tuple(table.columns) == COLUMNS
    assert not table["value"].isna().any()
    compared = table[(table.figure == "compared") & (table.subject == "operations")]
    assert compared["value"].sum() > 0
    assert set(table[table.unit == "bytes/s"].figure) == {"bandwidth"}
    recorded = {case.id for case in load_run(sample).cases if case.bundle}
    assert set(table.case) == recorded
