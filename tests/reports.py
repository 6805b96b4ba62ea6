"""A report for tests, and what a page holds."""

import re
from functools import cache
from html.parser import HTMLParser

import numpy as np

from kdtheory.report import report


def logits(n=300, n_classes=5, seed=0):
    """Logits of a teacher, its student and two others, and labels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(n_classes, size=n)
    teacher = rng.normal(size=(n, n_classes))
    teacher[np.arange(n), labels] += 4.0 * rng.random(n)
    student = 1.3 * teacher + 0.5 * rng.normal(size=teacher.shape)
    controls = teacher + 1.5 * rng.normal(size=(2, *teacher.shape))
    return teacher, student, labels, controls


@cache
def a_report():
    """Make a report with everything that it can have."""
    teacher, student, labels, controls = logits()
    return report(teacher, student, labels, control_logits=controls, temperature=1.5, quantile=0.3, n_bins=9, seed=3)


@cache
def a_page():
    """Make the page of that report."""
    return a_report().to_html()


class Page(HTMLParser):
    """What a page asks for, its text, and its elements."""

    def __init__(self, text):
        super().__init__()
        self.addresses, self.tags, self.words = [], [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self.addresses += [
            value
            for name, value in attrs
            if name in ("src", "srcset", "href", "action", "data", "poster", "background")
        ]

    def handle_data(self, data):
        self.words.append(data)

    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))

    def named(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]
