"""The look that pages share: contrast, charts, escaping, and the policy of a page."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from jinja2 import UndefinedError

from ci.report.style import texts
from ci.report.style.chart import Change, Point, describe, line_chart, number
from ci.report.style.colours import DARK, LIGHT, PAIRS, contrast, variables
from ci.report.style.environment import HERE, html_environment, policy_of, script_of, style_of
from ci.report.style.outcomes import SYMBOLS, tone_of
from ci.report.style.texts import shown


@pytest.mark.parametrize("theme", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize(("ink", "ground", "least"), PAIRS)
def test_contrast_is_that_of_wcag_aa(theme, ink, ground, least):
    assert contrast(theme[ink], theme[ground]) >= least


def test_contrast_of_black_and_white_is_21():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#777777") == 1


def test_both_themes_have_the_same_colours_and_all_are_declared():
    assert LIGHT.keys() == DARK.keys()
    sheet = (HERE / "style.css").read_text("utf-8")
    assert set(re.findall(r"var\(--([a-z-]+)\)", sheet)) <= LIGHT.keys()
    assert all(f"--{name}:" in variables() for name in LIGHT)


def test_each_outcome_has_a_symbol_and_a_tone_of_its_own():
    assert len(set(SYMBOLS.values())) == len(SYMBOLS)
    tones = {tone_of(each) for each in ("pass", "fail", "unknown", "running")}
    assert tones == {"pass", "fail", "unknown", "running"}
    assert tone_of('"><script>') == "quiet"


def points(*values, **changes):
    return [Point(f"2026-01-{i + 1:02d}", value, **changes) for i, value in enumerate(values)]


def test_a_chart_is_an_image_with_a_title_and_a_description():
    svg = line_chart(points(1.0, 2.0, 4.0), title="acc <b>", unit="%", key="acc")
    root = ET.fromstring(svg)  # noqa: S314 - of this project
    assert root.get("role") == "img"
    assert root.get("aria-labelledby") == "acc-t acc-d"
    assert root.find("title").text == "acc <b>"
    assert "first 1, last 4, least 1, largest 4 %" in root.find("desc").text
    assert "style=" not in svg


@pytest.mark.parametrize(
    "values",
    [
        (0.0,),
        (5.0, 5.0, 5.0),
        (1e-12, 2e-12),
        (1e12, -1e12),
        (None, 3.0, None),
        (math.nan, 1.0),
        (1e308, -1e308, 2.0),
    ],
)
def test_a_chart_of_any_values_stays_within_its_frame(values):
    svg = line_chart(points(*values), title="t", width=640, height=150)
    root = ET.fromstring(svg)  # noqa: S314
    for element in root.iter():
        if "cy" in element.attrib:
            assert 0 <= float(element.get("cy")) <= 150
            assert 0 <= float(element.get("cx")) <= 640
    assert "nan" not in svg
    assert "inf" not in svg


def test_a_chart_without_a_value_is_empty():
    assert not line_chart(points(None, None), title="t")
    assert not line_chart([], title="t")
    assert describe([], "%") == "no night has a value"


def test_outcomes_differ_by_shape():
    svg = line_chart(
        [Point("a", 1.0), Point("b", 2.0, "fail"), Point("c", 1.5, "unknown")], title="t"
    )
    assert svg.count('<path class="fail"') == 1
    assert svg.count('<circle class="unknown"') == 1


def test_change_points_baselines_and_bands_are_drawn():
    svg = line_chart(
        points(1.0, 1.0, 2.0, baseline=1.0, low=0.9),
        title="t",
        changes=[Change(2, "+100 % <i>")],
    )
    assert svg.count('class="baseline"') == 1
    assert svg.count('class="band"') == 1
    assert "+100 % &lt;i&gt;" in svg
    assert "change points: 2026-01-03: +100 % &lt;i&gt;" in svg


def test_many_nights_are_a_line_with_one_dot():
    svg = line_chart(points(*[float(i % 7) for i in range(365)]), title="t")
    assert svg.count("<circle") == 1
    assert len(svg) < 8000


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (12.3456, "12.35"), (123456.7, "123457"), (0.00012, "0.00012")]
)
def test_numbers_have_the_digits_that_matter(value, text):
    assert number(value) == text


def test_templates_escape_and_miss_nothing():
    environment = html_environment(Path(__file__).parent)
    template = environment.from_string("{{ text }}")
    assert template.render(text="<script>'\"&") == "&lt;script&gt;&#39;&#34;&amp;"
    with pytest.raises(UndefinedError):
        template.render()


def test_parts_show_a_badge_without_colour_alone():
    environment = html_environment(Path(__file__).parent)
    template = environment.from_string(
        '{% import "parts.html.j2" as parts %}{{ parts.badge(outcome) }}'
    )
    assert '<span aria-hidden="true">✕</span> fail' in template.render(outcome="fail")
    assert "&lt;b&gt;" in template.render(outcome="<b>")


def test_the_policy_allows_the_page_itself_alone():
    policy = policy_of("a{}", ["f()"])
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert "'strict-dynamic'" not in policy
    assert "'strict-dynamic'" in policy_of("a{}", ["f()"], loads=True)
    # printf 'f()' | openssl dgst -sha256 -binary | base64
    assert "script-src 'sha256-GcEEE0IkDzIP5EQ6DXZaDPORqT5RTBELX8Fyzyg9yvo='" in policy


def test_style_and_script_end_no_element():
    assert "</" not in style_of()
    assert "</" not in script_of()
    assert "://" not in style_of() + script_of()


def test_foreign_texts_are_clean_short_and_without_secrets():
    assert shown("a\n\x1b[31mb\x07") == "a b"
    assert shown("x" * 500) == "x" * 399 + "…"
    assert "hunter2hunter2" not in shown("failed with API_KEY=hunter2hunter2 there")


def test_a_secret_of_this_process_is_hidden_in_whatever_text(monkeypatch):
    secret = "correct-horse-7-battery"  # noqa: S105 - nobody's
    monkeypatch.setenv("MY_API_KEY", secret)
    texts.shown.cache_clear()
    texts._own_secrets.cache_clear()
    try:
        assert texts.shown(f"model {secret}: lost") == "model ***: lost"
    finally:
        texts.shown.cache_clear()
        texts._own_secrets.cache_clear()
