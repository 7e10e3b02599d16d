"""``framebus bench``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import click

import framebus
from framebus.cli.signals import code_of
from framebus.errors import NotFoundError


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("arguments", metavar="[NAME]... [OPTION]...", nargs=-1, type=click.UNPROCESSED)
def bench(arguments: tuple[str, ...]) -> None:
    """Run the benchmarks of these NAMEs, or all: hop, loop, kernels, sim, start.

    Benchmarks are in framebus' source tree, so this needs a checkout. Options are handed to benchmarks/run.py;
    'framebus bench -- --help' lists them.

    Example: framebus bench hop --quick
    """
    script = find_benchmarks()
    sys.stdout.flush()
    code = subprocess.run([sys.executable, str(script), *arguments], check=False).returncode
    raise SystemExit(code if code >= 0 else code_of(-code))


def find_benchmarks() -> Path:
    """``benchmarks/run.py`` of the checkout that this package runs from, or of the one in the working directory.

    Raises:
        NotFoundError: there is neither.
    """
    package = Path(framebus.__file__).resolve().parent
    roots = [package.parent.parent, Path.cwd()]
    for root in roots:
        # Another project may well have a benchmarks/run.py: ours lies beside our sources.
        if (root / "benchmarks" / "run.py").is_file() and (
            root / "src" / "framebus" / "__init__.py"
        ).is_file():
            return root / "benchmarks" / "run.py"
    looked = " nor in ".join(map(str, dict.fromkeys(roots)))
    raise NotFoundError(
        f"benchmarks are not installed with the package, and there is no checkout in {looked}; clone the sources"
        " and run 'make bench' there"
    )
