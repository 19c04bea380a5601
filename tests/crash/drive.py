"""`python -m tests.crash.drive CATALOG OUTPUT SETTINGS`: a run of the toy job in a process that may be killed."""

from __future__ import annotations

import json
import sys

from rich.console import Console

from atelier.errors import AtelierError
from pipelines.exits import Exit
from pipelines.run import run
from tests.pipelines.toys import toy_job


def main() -> int:
    catalog, output, settings = sys.argv[1:]
    try:
        return run(toy_job(**json.loads(settings)), catalog, output, console=Console())
    except AtelierError as error:
        print(error, file=sys.stderr)
        return Exit.STOPPED
    except KeyboardInterrupt:
        return Exit.INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
