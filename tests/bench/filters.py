"""Searches with filters on real data: recall, and latency beside a scan, a search without a filter, and
each plan by force.

  tests/bench/filters.py [--data DIR ...] [--active] [--rows N]

Every set gets attributes besides its own: `uniform`, a random number in [0, 1), and for some base rows
`near_I`, how near to it the row is, as a share of all rows: 0 is the row itself. `near_I < 0.01` is then a
filter whose matches lie where queries near that row look, and `near_I >= 0.99` one whose matches lie
as far away as can be. Without --data, clustered vectors are made (--rows of them).
"""

import argparse
import gzip
import json
import os
import pathlib
import subprocess
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = pathlib.Path(os.environ.get("VARVE_BIN", ROOT / "bazel-bin")) / "tests/bench/filter_bench"
SHARES = (0.5, 0.1, 0.01, 0.001)
PIVOTS = 4
QUERIES = 100

# Filters on what the sets have themselves.
OWN_FILTERS = {
    "words-300": ["common", "length < 6", 'first IN ("q", "z")', "NOT common AND forms >= 2"],
    "docs-minilm-384": ['source = "wsdot-spec"', "chars < 200", 'top = "Division 1"'],
    "fashion-clip-512": [
        'gender = "Men" AND year >= 2012',
        'articleType = "Shirts"',
        'baseColour = "Red" AND NOT season = "Summer"',
    ],
    "sift-photos-128": ["x < 100 AND y < 100", 'image = "219090"', 'split = "val"', "size > 6"],
}


def load(directory: pathlib.Path):
    about = json.loads((directory / "set.json").read_text())
    base = np.load(directory / "base.npy").astype("<f4")
    queries = np.load(directory / "queries.npy").astype("<f4")
    with gzip.open(directory / "meta.jsonl.gz", "rt") as lines:
        metadata = [json.loads(line) for line in lines]
    return directory.name, about["metric"], base, queries, metadata


def clustered(rows: int, dimension: int = 128):
    random = np.random.default_rng(7)
    centers = random.normal(size=(1000, dimension))
    base = centers[random.integers(1000, size=rows)] + 0.6 * random.normal(size=(rows, dimension))
    queries = centers[random.integers(1000, size=400)] + 0.6 * random.normal(size=(400, dimension))
    return f"clustered-{rows}", "l2", base.astype("<f4"), queries.astype("<f4"), [{}] * rows


def distances(metric: str, base: np.ndarray, one: np.ndarray) -> np.ndarray:
    if metric == "l2":
        return np.square(base - one).sum(axis=1)
    if metric == "cosine":
        return -(base @ one) / np.maximum(np.linalg.norm(base, axis=1), 1e-30)
    return -(base @ one)


def prepare(metric, base, queries, metadata):
    """Adds the attributes, and makes the cases."""
    random = np.random.default_rng(5)
    rows = len(base)
    metadata = [dict(row) for row in metadata]
    for row, value in zip(metadata, random.random(rows)):
        row["uniform"] = round(float(value), 6)
    everybody = list(range(min(QUERIES, len(queries))))
    cases = [
        {"name": f"uncorrelated {share:.1%}", "filter": f"uniform < {share}", "queries": everybody}
        for share in SHARES
    ]
    nearest = {"correlated": [], "anti-correlated": []}
    for pivot in range(PIVOTS):
        center = base[random.integers(rows)]
        order = np.argsort(distances(metric, base, center), kind="stable")
        share_of = np.empty(rows)
        share_of[order] = np.arange(rows) / rows
        for row, value in zip(metadata, share_of):
            row[f"near_{pivot}"] = float(value)
        close = np.argsort(distances(metric, queries, center), kind="stable")
        close = [int(q) for q in close[: QUERIES // PIVOTS]]
        for share in SHARES:
            nearest["correlated"].append(
                {"name": f"correlated {share:.1%}", "filter": f"near_{pivot} < {share}",
                 "queries": close}
            )
            nearest["anti-correlated"].append(
                {"name": f"anti-correlated {share:.1%}",
                 "filter": f"near_{pivot} >= {1 - share:.6f}", "queries": close}
            )
    for kind in nearest.values():
        cases += sorted(kind, key=lambda case: -float(case["name"].split()[-1].rstrip("%")))
    return metadata, cases


def run(name, metric, base, queries, metadata, active: bool) -> list[dict]:
    metadata, cases = prepare(metric, base, queries, metadata)
    everybody = list(range(min(QUERIES, len(queries))))
    for text in OWN_FILTERS.get(name, []):
        cases.append({"name": text, "filter": text, "queries": everybody})
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        base.tofile(folder / "base")
        queries.tofile(folder / "queries")
        (folder / "metadata").write_text("".join(json.dumps(row) + "\n" for row in metadata))
        (folder / "cases").write_text(json.dumps(cases))
        command = [BENCH, "--base", folder / "base", "--queries", folder / "queries",
                   "--metadata", folder / "metadata", "--cases", folder / "cases",
                   "--dimension", str(base.shape[1]), "--metric", metric]
        if active:
            command.append("--active")
        output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return merge([json.loads(line) for line in output.splitlines()])


def merge(results: list[dict]) -> list[dict]:
    """One line for the cases of a name, which ask for the neighbourhoods of different rows."""
    merged: dict[str, list[dict]] = {}
    for result in results:
        merged.setdefault(result["name"], []).append(result)
    lines = []
    for name, group in merged.items():
        line = {"name": name, "matches": int(np.mean([one["matches"] for one in group]))}
        for key in ("filter_us", "scan_us", "unfiltered_us"):
            line[key] = float(np.median([one[key] for one in group]))
        for plan in ("planner", "filtered_walk", "walk"):
            line[plan] = {
                "us": float(np.median([one[plan]["us"] for one in group])),
                "recall": float(np.mean([one[plan]["recall"] for one in group])),
                "plan": " | ".join(sorted({one[plan]["plan"] for one in group})),
                "short": sum(one[plan]["short"] for one in group),
            }
        lines.append(line)
    return lines


def show(title: str, lines: list[dict]) -> None:
    print(f"\n{title}")
    print(f"{'filter':40} {'matches':>8} {'recall':>7} {'short':>5} {'us':>7} {'/best':>6} "
          f"{'scan':>7} {'f.walk':>7} {'recall':>6} {'walk':>7} {'none':>7} {'filter':>7}  plan")
    for line in lines:
        best = min(line["scan_us"], line["unfiltered_us"])
        planner = line["planner"]
        print(f"{line['name'][:40]:40} {line['matches']:8} {planner['recall']:7.4f} "
              f"{planner['short']:5} {planner['us']:7.0f} {planner['us'] / best:6.2f} "
              f"{line['scan_us']:7.0f} {line['filtered_walk']['us']:7.0f} "
              f"{line['filtered_walk']['recall']:6.3f} {line['walk']['us']:7.0f} "
              f"{line['unfiltered_us']:7.0f} {line['filter_us']:7.0f}  {planner['plan']}")
    print(f"least recall {min(line['planner']['recall'] for line in lines):.4f} (at least 0.95), "
          f"most time to the better of scan and no filter "
          f"{max(l['planner']['us'] / min(l['scan_us'], l['unfiltered_us']) for l in lines):.2f} "
          "(at most 3)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", nargs="*", type=pathlib.Path, default=[])
    parser.add_argument("--rows", type=int, default=500_000, help="of the vectors that are made")
    parser.add_argument("--active", action="store_true", help="search segments as they grow")
    flags = parser.parse_args()
    sets = [load(directory) for directory in flags.data] or [clustered(flags.rows)]
    for name, metric, base, queries, metadata in sets:
        show(name, run(name, metric, base, queries, metadata, flags.active))


if __name__ == "__main__":
    main()
