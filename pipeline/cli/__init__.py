"""The command line `lake`. Results go to stdout, logs and progress to stderr; exit 0 done, 1 failed, 2 misuse.

Each command imports its dependencies when it runs, so that `lake --help` is fast.
"""

from __future__ import annotations

import logging
import sys

import click

from ingest.process import collect_rarely
from pipeline.cli.contracts import contracts
from pipeline.cli.drop import drop
from pipeline.cli.ingest import ingest, ledger, maintain
from pipeline.cli.look import status, verify, why
from pipeline.cli.metrics import metrics
from pipeline.cli.portal import portal
from pipeline.cli.quarantine import quarantine
from pipeline.cli.report import report
from pipeline.cli.run import publish, rebuild, run
from pipeline.cli.sample import sample
from pipeline.process.redact import RedactingFormatter


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("-v", "--verbose", is_flag=True, help="Log each step to stderr.")
def main(verbose: bool) -> None:
    """Lakemesh: small raw files in object storage become audited gold tables."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(RedactingFormatter("ts=%(asctime)s level=%(levelname)s logger=%(name)s %(message)s"))
    logging.basicConfig(level=logging.INFO if verbose else logging.WARNING, handlers=[handler])
    collect_rarely()


for _command in (
    sample,
    run,
    ingest,
    publish,
    portal,
    status,
    why,
    verify,
    quarantine,
    drop,
    contracts,
    metrics,
    report,
    maintain,
    rebuild,
    ledger,
):
    main.add_command(_command)
