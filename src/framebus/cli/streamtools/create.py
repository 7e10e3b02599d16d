"""``framebus create``."""

from __future__ import annotations

import click

from framebus.cli import text
from framebus.cli.output import show, show_json
from framebus.cli.streamtools.arguments import as_json_option, parse_keywords, parse_number, parse_shape
from framebus.errors import StreamExists


@click.command()
@click.argument("name")
@click.option("--shape", required=True, metavar="YxX", help="Sizes in NumPy's order, as in 120x160.")
@click.option("--dtype", default="float32", show_default=True, help="One of the 13 types of streams.")
@click.option(
    "--history",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Frames that it keeps (default: the newest).",
)
@click.option(
    "--dialect", type=click.Choice(["isio", "dao"]), default="isio", show_default=True, help="File format."
)
@click.option("--keyword", "keywords", multiple=True, metavar="KEY=VALUE", help="May be given several times.")
@click.option("--fill", metavar="VALUE", help="Publish a first frame, of that value throughout.")
@click.option("--overwrite", is_flag=True, help="Replace a stream of that name.")
@click.option("--force", is_flag=True, help="Replace even one that another living process writes.")
@as_json_option
def create(
    name: str,
    shape: str,
    dtype: str,
    history: int,
    dialect: str,
    keywords: tuple[str, ...],
    fill: str | None,
    overwrite: bool,
    force: bool,
    as_json: bool,
) -> None:
    """Make the stream NAME: a name, or the path of its file. It has no frame yet, unless --fill says what is in it.

    Example: framebus create dm --shape 12x12 --history 16 --keyword ACTS=97 --fill 0
    """
    import numpy as np

    from framebus import stream
    from framebus.ops.poking import check_number
    from framebus.ops.targets import as_new, check_writer
    from framebus.stream.datatypes import DTYPES, datatype_code

    sizes, value = parse_shape(shape), None if fill is None else parse_number(fill)
    if value is not None:
        check_number(value, DTYPES[datatype_code(dtype)], f"'{name}'")
    place = as_new(name, overwrite=overwrite)
    if overwrite and not force:
        check_writer(name)
    try:
        made = stream.create(
            place,
            shape=sizes,
            dtype=dtype,
            history=history,
            dialect=dialect,
            keywords=parse_keywords(keywords),
        )
    except StreamExists as error:
        raise StreamExists(f"{error}; choose another name, or add --overwrite") from error
    with made:
        if value is not None:
            made.write(np.full(made.shape, value, made.dtype))
        if as_json:
            show_json(
                {
                    "name": made.name,
                    "path": str(made.path),
                    "shape": list(made.shape),
                    "dtype": made.dtype.name,
                    "history": made.history_length,
                    "dialect": made.dialect.name,
                    "keywords": dict(made.keywords),
                    "count": made.count,
                }
            )
            return
        show(
            f"{text.safe(made.name)} ({made.dialect}): {text.shape(made.shape)} {made.dtype.name}, "
            f"history {made.history_length}, {text.safe(str(made.path))}"
        )
