"""Run benchmarks: ``python benchmarks/run.py [hop] [loop] [kernels] [sim] [start] [--quick] [--json]``.

Prints the machine's limits, a table per case and each target with its verdict; writes ``results/<name>.json`` and
``results/<name>.png``. Exit 1 when a contestant failed or delivered a wrong answer (never because of a time).
"""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import machine
import plots
import report
from contest import Case, Contestant, say

RESULTS = Path(__file__).resolve().parent / "results"
NAMES = ("hop", "loop", "kernels", "sim", "start")


class Options(argparse.Namespace):
    """The command line."""

    names: list[str]
    quick: bool
    json: bool
    rounds: int
    trips: int
    only: str
    results: Path

    def chosen(self, contestants: Sequence[Contestant]) -> list[Contestant]:
        """Those whose label contains ``--only``, and the references."""
        return [c for c in contestants if self.only in c.label or c.group == "reference"]


def parse(arguments: Sequence[str] | None = None) -> Options:
    parser = argparse.ArgumentParser(description="Measure framebus against C programs and peers, in one run.")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"which of: {', '.join(NAMES)} (default: all)"
    )
    parser.add_argument("--quick", action="store_true", help="few rounds: a look, not a measurement")
    parser.add_argument(
        "--json", action="store_true", help="print the JSON on standard output, tables on stderr"
    )
    parser.add_argument("--rounds", type=int, default=0, help="rounds per case (default: by benchmark)")
    parser.add_argument(
        "--trips", type=int, default=0, help="trips per contestant and round (default: by benchmark)"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="contestants labelled so, and references")
    parser.add_argument("--results", type=Path, default=RESULTS, metavar="DIR", help="where JSON and PNG go")
    options = parser.parse_args(arguments, namespace=Options())
    unknown = set(options.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    options.names = options.names or list(NAMES)
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    options.results.mkdir(parents=True, exist_ok=True)
    where = {**machine.describe(), "limits": machine.limits(options.results, quick=options.quick)}
    show = say if options.json else print
    show(machine.limits_table(where["limits"]))
    documents, failed = [], False
    for name in options.names:
        started = time.perf_counter()
        cases: list[Case] = importlib.import_module(name).run(options, where)
        for case in cases:
            show("\n" + report.table(case))
        show("\ntargets (median over rounds [lowest..highest])")
        for line in (line for case in cases for line in report.verdict_lines(case)):
            show(line)
        path = options.results / f"{name}.json"
        report.write(path, cases, where, {"quick": options.quick, "only": options.only})
        picture = plots.draw(name, cases, path.with_suffix(".png"))
        show(f"\n{name}: {time.perf_counter() - started:.0f} s; wrote {path} and {picture}")
        documents.append(json.loads(path.read_text()))
        failed |= any(case.failed for case in cases)
    if options.json:
        json.dump(documents, sys.stdout, indent=1)
        print()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
