"""`python -m pipelines COMMAND …`: catalogs in, pictures out; `pipelines.exits` says what the exit status means."""

from __future__ import annotations

import argparse
import dataclasses
import json
import logging
import sys
import tempfile
from collections.abc import Sequence
from contextlib import redirect_stdout
from typing import TextIO

from rich.console import Console

from atelier.commands import numbers, outputs, texts
from atelier.commands.pipes import telling
from atelier.errors import AtelierError, CatalogError, ConfigError, WeightsError
from pipelines import jobs
from pipelines.exits import Exit
from pipelines.job import CatalogJob
from pipelines.logs import configure
from pipelines.runs import NothingRun

_LOG = logging.getLogger("pipelines")


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit status."""
    arguments = _parser().parse_args(argv)
    stdout = sys.stdout
    configure(getattr(arguments, "log", "text"), stdout)
    try:
        # Ray prints on its own account: standard output is kept for what was asked for.
        with redirect_stdout(sys.stderr):
            return arguments.command(arguments, stdout)
    except (CatalogError, ConfigError, WeightsError, NothingRun) as error:
        _LOG.error("%s", error)
        return Exit.WRONG_USAGE
    except AtelierError as error:
        _LOG.error("%s: %s", type(error).__name__, error)
        return Exit.STOPPED
    except KeyboardInterrupt:
        _LOG.error("interrupted; what has ended is in the ledger, and the same command goes on from there")
        return Exit.INTERRUPTED


def _run(arguments: argparse.Namespace, stdout: TextIO) -> int:
    from pipelines.run import run

    console = Console(file=stdout, quiet=arguments.log == "json")
    return run(_job(arguments), arguments.catalog, arguments.output, limit=arguments.limit, console=console)


def _plan(arguments: argparse.Namespace, stdout: TextIO) -> int:
    from pipelines.planner import plan_catalog

    with tempfile.TemporaryDirectory() as folder:
        plan = plan_catalog(_job(arguments), arguments.catalog, arguments.output, folder=folder, limit=arguments.limit)
        print(plan.describe(), file=stdout)
    return Exit.DONE


def _validate(arguments: argparse.Namespace, stdout: TextIO) -> int:
    from pipelines.catalog import Catalog, json_schema
    from pipelines.validate import json_lines, print_table, validate

    if arguments.schema:
        print(json.dumps(json_schema(), indent=2), file=stdout)
        return Exit.DONE
    if arguments.catalog is None:
        raise ConfigError("validate: --catalog is missing; it names the table to look through")
    catalog = Catalog(arguments.catalog)
    rows = validate(catalog, _job(arguments))
    if not arguments.json:
        bad = print_table(rows, Console(file=stdout), title=catalog.address)
        if catalog.ignored_columns:
            print(f"columns that nothing reads: {', '.join(catalog.ignored_columns)}", file=stdout)
        if not bad:
            print(f"{catalog.address}: no bad rows", file=stdout)
        return Exit.BUDGET_EXCEEDED if bad else Exit.DONE
    lines = 0
    for line in json_lines(rows):
        print(line, file=stdout)
        lines += 1
    return Exit.BUDGET_EXCEEDED if lines else Exit.DONE


def _report(arguments: argparse.Namespace, stdout: TextIO) -> int:
    from pipelines.report import write_report
    from pipelines.summary import summarize

    if arguments.json:
        print(json.dumps(summarize(arguments.output).as_json()), file=stdout)
    else:
        print(write_report(arguments.output), file=stdout)
    return Exit.DONE


def _demo(arguments: argparse.Namespace, stdout: TextIO) -> int:
    from pipelines.demo import demo

    return demo(arguments.out, Console(file=stdout))


def _jobs(arguments: argparse.Namespace, stdout: TextIO) -> int:
    for name, make in jobs.JOBS.items():
        print(f"{name:12} {(make.__doc__ or '').splitlines()[0]}", file=stdout)
    return Exit.DONE


def _job(arguments: argparse.Namespace) -> CatalogJob:
    job = jobs.named(arguments.job, **dict(arguments.weights))
    changes = {name: getattr(arguments, name, None) for name in ("placement", "num_accelerators", "dashboard")}
    return dataclasses.replace(job, **{name: value for name, value in changes.items() if value is not None})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m pipelines", description="Catalogs in, pictures out.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="make what a catalog asks for and the output does not hold yet")
    _add_job(run)
    _add_catalog(run)
    run.add_argument("--placement", choices=["fused", "split"], help="how stages share processes")
    run.add_argument(
        "--accelerators",
        dest="num_accelerators",
        type=numbers.count_from_zero,
        metavar="N",
        help="GPUs to use; 0: CPUs only",
    )
    run.add_argument("--dashboard", action="store_true", default=None, help="Ray's own, on this computer, for the run")
    run.add_argument("--log", choices=["text", "json"], default="text", help="json: a JSON object a line on stdout")
    run.set_defaults(command=_run)

    plan = commands.add_parser("plan", help="say what a run would make, and make nothing")
    _add_job(plan)
    _add_catalog(plan)
    plan.set_defaults(command=_plan)

    validate = commands.add_parser("validate", help="list every bad row of a catalog, offline")
    _add_job(validate, optional=True)
    validate.add_argument(
        "--catalog", type=texts.given, metavar="URI", help="Parquet, CSV or JSON lines; a path or s3://…"
    )
    validate.add_argument("--json", action="store_true", help="a JSON object a fault")
    validate.add_argument("--schema", action="store_true", help="print the JSON Schema of a row instead")
    validate.set_defaults(command=_validate)

    report = commands.add_parser("report", help="write report.html anew, and print where it is")
    report.add_argument("output", type=texts.given, metavar="URI", help="the output of a run")
    report.add_argument(
        "--json",
        action="store_true",
        help="print the counts of the whole catalog instead (after --limit N: of its first N items)",
    )
    report.set_defaults(command=_report)

    demo = commands.add_parser("demo", help="draw a small catalog, run it, and show what became of it")
    demo.add_argument("--out", type=outputs.folder, default="out/demo", metavar="DIR")
    demo.set_defaults(command=_demo)

    listed = commands.add_parser("jobs", help="list the jobs")
    listed.set_defaults(command=_jobs)
    return parser


def _add_job(parser: argparse.ArgumentParser, *, optional: bool = False) -> None:
    parser.add_argument("job", metavar="JOB", nargs="?" if optional else None, default="closet", help="see `jobs`")
    takes = "for a job that takes weights"
    parser.add_argument("--weights", action="append", default=[], type=_weights, metavar="NAME=FOLDER", help=takes)


def _add_catalog(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--catalog", required=True, type=texts.given, metavar="URI", help="Parquet, CSV or JSON lines; a path or s3://…"
    )
    parser.add_argument(
        "--output", required=True, type=outputs.folder, metavar="URI", help="a folder or s3://bucket/folder"
    )
    parser.add_argument("--limit", type=numbers.count, metavar="N", help="only the first N items")


def _weights(text: str) -> tuple[str, str]:
    name, equals, folder = text.partition("=")
    if not name.isidentifier() or not equals:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be NAME=FOLDER, e.g. viton_hd=/models/viton_hd, or NAME= to leave a system out"
        )
    return name, folder


if __name__ == "__main__":
    sys.exit(telling(main))
