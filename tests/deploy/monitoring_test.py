"""The dashboard, the alerts and the documents speak of metrics that a server has, and of all."""

import json
import re

import grpc
import pytest

from testutil import v1
from testutil.api import Api, fails_with
from testutil.metrics import Metrics, scrape
from testutil.varved import ROOT, Varved
from testutil.vectors import random_vectors

ALERTS = (ROOT / "deploy/monitoring/alerts.yaml").read_text()
DASHBOARD = json.loads((ROOT / "deploy/monitoring/grafana-dashboard.json").read_text())
OPERATIONS = (ROOT / "docs/operations.md").read_text()

NAME = re.compile(r"\b(?:varve|process)_[a-z0-9_]+")
SELECTOR = re.compile(r"\b((?:varve|process)_[a-z0-9_]+)\{([^}]*)\}")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPED = re.compile(r"\bby \(([^)]*)\)")
TABLE_ROW = re.compile(r"^\| `((?:varve|process)_\w+)` \|([^|]*)\| ([^|]+) \|$", re.MULTILINE)

FOLDED = re.compile(r">-\n((?:          .*\n)+)")

# What Prometheus adds to every sample.
TARGET_LABELS = {"instance", "job"}


@pytest.fixture(scope="module")
def metrics(tmp_path_factory) -> Metrics:
    """What a server says after it has been used in every way that the dashboard shows."""
    vectors = random_vectors(1, 300, 8)
    with Varved(tmp_path_factory.mktemp("varved")) as server, Api(server.address) as api:
        api.create("a", 8)
        api.upsert("a", range(300), vectors)
        with api.open("a", durability=v1.DURABILITY_SYNCED) as stream:
            stream.write(1, [1], vectors[:1])
            assert stream.finish() == []
        api.search("a", vectors[0])
        api.search_batch("a", vectors[:3])
        api.delete("a", [1])
        api.compact("a")
        with fails_with(grpc.StatusCode.NOT_FOUND):
            api.count("b")
        return scrape(server)


def rules() -> dict[str, dict[str, str]]:
    """The keys of each alert, of its labels and annotations too; values as they stand in the file."""
    found = {}
    for text in re.split(r"^      - (?=alert:)", ALERTS, flags=re.MULTILINE)[1:]:
        text = FOLDED.sub(lambda folded: " ".join(folded[1].split()) + "\n", text)
        keys = re.findall(r"^ *(\w+):[ ]*(.*)$", text, flags=re.MULTILINE)
        named = dict(keys)
        assert len(named) == len(keys), text
        found[named["alert"]] = named
    return found


def panels() -> list[dict]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> list[tuple[str, str]]:
    """Where each stands, and itself."""
    shown = [(p["title"], target["expr"]) for p in panels() for target in p["targets"]]
    listed = DASHBOARD["templating"]["list"]
    variables = [(v["name"], v["definition"]) for v in listed if "definition" in v]
    return shown + variables + [(alert, rule["expr"]) for alert, rule in rules().items()]


def test_every_expression_is_of_metrics_that_there_are(metrics):
    checked = 0
    for where, expression in expressions():
        for name in NAME.findall(GROUPED.sub("", expression)):
            assert metrics.family(name), f"{where}: {name} is no metric of the server"
            checked += 1
    assert checked > 70


def test_every_expression_asks_for_labels_that_there_are(metrics):
    for where, expression in expressions():
        named = {metrics.family(name) for name in NAME.findall(GROUPED.sub("", expression))}
        there = TARGET_LABELS.union(*(metrics.labels(family) for family in named))
        for name, matchers in SELECTOR.findall(expression):
            labels = metrics.labels(metrics.family(name)) | TARGET_LABELS
            for label, how, value in MATCHER.findall(matchers):
                assert label in labels, f"{where}: {name} has no label {label}"
                if how == "=" and label not in ("method", "code"):
                    assert value in metrics.by(label, name), f"{where}: {name}: no {label} {value}"
        for group in GROUPED.findall(expression):
            for label in group.replace(" ", "").split(","):
                assert label in there, f"{where}: nothing has the label {label}"


def test_histograms_are_asked_by_their_parts_and_others_are_not(metrics):
    for where, expression in expressions():
        for name in NAME.findall(GROUPED.sub("", expression)):
            is_histogram = metrics.types[metrics.family(name)] == "histogram"
            assert is_histogram == (name not in metrics.types), f"{where}: {name}"


def test_counters_are_asked_for_their_growth(metrics):
    grows = re.compile(r"(?:rate|increase)\(\s*(\w+)")
    for where, expression in expressions():
        growing = set(grows.findall(expression))
        for name in NAME.findall(GROUPED.sub("", expression)):
            counts = metrics.types[metrics.family(name)] in ("counter", "histogram")
            assert counts == (name in growing), f"{where}: {name}"


def test_the_dashboard_shows_every_metric(metrics):
    shown = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    families = {metrics.family(name) for name in NAME.findall(GROUPED.sub("", shown))}
    assert set(metrics.types) == families


def test_the_dashboards_panels_do_not_overlap():
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not taken & cells, panel["title"]
        assert at["x"] + at["w"] <= 24, panel["title"]
        taken |= cells


def test_the_table_of_metrics_is_what_a_server_exposes(metrics):
    rows = TABLE_ROW.findall(OPERATIONS)
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels, _ in rows}
    exposed = {name: metrics.labels(name) - {"le"} for name in metrics.types}
    assert documented == exposed
    for name, _, meaning in rows:
        assert meaning.startswith("histogram: ") == (metrics.types[name] == "histogram"), name


def test_every_alert_says_what_to_do_and_has_a_section():
    for alert, rule in rules().items():
        assert re.fullmatch(r"Varve[A-Z]\w+", alert)
        assert rule["severity"] in ("critical", "warning"), alert
        assert rule["summary"] and rule["action"], alert
    sections = re.findall(r"^### (Varve\w+)$", OPERATIONS, flags=re.MULTILINE)
    assert sections == list(rules())


def test_metrics_that_the_documents_mention_exist(metrics):
    for document in ("docs/operations.md", "docs/architecture.md"):
        for name in re.findall(r"`(varve_\w+)`", (ROOT / document).read_text()):
            assert metrics.family(name), f"{document}: {name}"
