"""Reads what a server's /metrics says."""

import re
import time
import urllib.request

from testutil.varved import Varved

SAMPLE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)$")
LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
PARTS = ("_bucket", "_sum", "_count")
ANSWER_SECONDS = 60


class Metrics:
    """One scrape: families by name, and samples by name and labels."""

    def __init__(self, text: str):
        self.types: dict[str, str] = {}
        self.help: dict[str, str] = {}
        self.samples: dict[str, dict[frozenset, float]] = {}
        for line in text.splitlines():
            if line.startswith("# "):
                _, kind, name, rest = line.split(" ", 3)
                {"HELP": self.help, "TYPE": self.types}[kind][name] = rest
                continue
            sample = SAMPLE.match(line)
            assert sample, f"not a sample: {line!r}"
            labels = frozenset(LABEL.findall(sample["labels"] or ""))
            of_name = self.samples.setdefault(sample["name"], {})
            assert labels not in of_name, f"twice: {line!r}"
            of_name[labels] = float(sample["value"])

    def value(self, name: str, **labels: str) -> float:
        """The one sample with exactly these labels; 0 when there is none."""
        return self.samples.get(name, {}).get(frozenset(labels.items()), 0.0)

    def by(self, label: str, name: str) -> dict[str, float]:
        """Samples of a name, added up by one of their labels."""
        sums: dict[str, float] = {}
        for labels, value in self.samples.get(name, {}).items():
            key = dict(labels)[label]
            sums[key] = sums.get(key, 0.0) + value
        return sums

    def labels(self, family: str) -> set[str]:
        """The names of the labels that samples of a family have."""
        parts = [family] if self.types[family] != "histogram" else [family + p for p in PARTS]
        return {
            name
            for part in parts
            for labels in self.samples.get(part, {})
            for name, _ in labels
        }

    def family(self, name: str) -> str | None:
        """The family that a sample of this name is of."""
        for part in ("", *PARTS):
            family = name.removesuffix(part)
            if family in self.types and (family == name or self.types[family] == "histogram"):
                return family
        return None


def wait_for(server: Varved, name: str, value: float, **labels: str) -> None:
    """Until the metric has the value."""
    deadline = time.monotonic() + ANSWER_SECONDS
    while (now := scrape(server).value(name, **labels)) != value:
        assert time.monotonic() < deadline, f"{name} is {now}, not {value}"


def scrape(server: Varved) -> Metrics:
    url = f"http://{server.host}:{server.http_port}/metrics"
    with urllib.request.urlopen(url, timeout=ANSWER_SECONDS) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        return Metrics(answer.read().decode())
