"""`python -m serving run|apply|config|environment|keys`: a service here, other weights for it, and its keys."""

from __future__ import annotations

import argparse
import json
import math
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from atelier.commands import numbers
from atelier.commands.pipes import telling
from atelier.errors import AtelierError, ConfigError
from serving import environment
from serving.database_url import PASSWORD, has_password
from serving.declared import DASHBOARD, check_store, check_weights, config_of
from serving.faults import faults
from serving.keys import MOST_S, SCOPES, KeyRing
from serving.quotas.quota import Quota
from serving.settings import ServeSettings

_MOST_DAYS = int(MOST_S / 86400)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and gives its exit status: 0, 1 where it failed, 2 for wrong usage, 130 where it was stopped."""
    arguments = _parser().parse_args(argv)
    try:
        return arguments.command(arguments)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except AtelierError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        return 1


def _run(arguments: argparse.Namespace) -> int:
    from serving import launch
    from serving.jobs.sql import SqlJobs

    settings = _settings(arguments.settings)
    if arguments.anonymous:
        settings = settings.model_copy(update={"anonymous": True})
    if not settings.anonymous and not KeyRing(settings.keys).owners():
        told = "" if arguments.settings is None else f" --settings {shlex.quote(str(arguments.settings))}"
        makes = f"`python -m serving keys{told} add NAME` makes one"
        raise ConfigError(f"{settings.keys}: holds no key; {makes}, or --anonymous lets everybody on this computer in")
    # What cannot be used says so before Ray starts.
    launch.check_address(settings, arguments.host)
    launch.check_port(arguments.host, arguments.port)
    SqlJobs(settings.database)
    check_store(settings)
    check_weights(settings)
    try:
        launch.run(settings, host=arguments.host, port=arguments.port, with_dashboard=not arguments.no_dashboard)
    except KeyboardInterrupt:
        sys.stderr.write("stopped before it was up\n")
        return 130
    return 0


def _apply(arguments: argparse.Namespace) -> int:
    from serving.declared import Declared

    settings = _settings(arguments.settings)
    changed = Declared(arguments.dashboard).apply(settings)
    print(
        f"other weights, without a restart: {', '.join(changed) or 'none'}" if changed is not None else "deployed anew"
    )
    return 0


def _config(arguments: argparse.Namespace) -> int:
    settings = _settings(arguments.settings)
    print(json.dumps(config_of(settings), indent=2))
    if has_password(settings.database):
        sys.stderr.write(
            f"database: its password is left out, since Ray writes configs to its logs; set {PASSWORD} on every node, "
            "before `ray start`\n"
        )
    return 0


def _environment(_arguments: argparse.Namespace) -> int:
    for name, value in {**environment.ENVIRONMENT, environment.AUTH_MODE: "token"}.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


def _keys(arguments: argparse.Namespace) -> int:
    ring = KeyRing(_settings(arguments.settings).keys)
    if arguments.verb == "add":
        valid_s = None if arguments.days is None else arguments.days * 86400.0
        quota = Quota.of_words(arguments.quota) if arguments.quota else None
        _show(ring, ring.add(arguments.owner, arguments.scope or SCOPES, valid_s=valid_s, quota=quota))
    elif arguments.verb == "quota":
        quota = Quota.of_words(arguments.quota)
        print(f"{_number(ring.allow(arguments.owner, quota), arguments, ring)} may now use: {_told(quota)}")
    elif arguments.verb == "rotate":
        _show(ring, ring.rotate(arguments.owner, overlap_s=arguments.overlap_hours * 3600.0))
    elif arguments.verb == "remove":
        print(f"gone: {_number(ring.remove(arguments.owner), arguments, ring)}")
    else:
        for record in ring.records():
            scopes, ends = ",".join(record.scopes), _ends(record.expires_at_s)
            print(f"{record.id}  {record.owner}  {scopes}  expires: {ends}  quota: {_told(record.quota)}")
    return 0


def _show(ring: KeyRing, key: str) -> None:
    """The one time that anybody sees them; the key alone on standard output, for `KEY=$(…)`."""
    print(key)
    (made,) = (record for record in ring.records() if record.id == key.split("_")[1])
    sys.stderr.write(f"secret that this key's webhooks are signed with: {made.webhook_secret}\n")


def _ends(expires_at_s: float | None) -> str:
    if expires_at_s is None:
        return "never"
    try:
        return time.strftime("%F %TZ", time.gmtime(expires_at_s))
    except (ValueError, OverflowError, OSError):  # a file that was written by hand, or by what took any number
        return f"at {expires_at_s:g} s, which is no time; remove the key"


def _number(count: int, arguments: argparse.Namespace, ring: KeyRing) -> str:
    """How many keys of an owner it was about; none is a slip, and no success."""
    owner = arguments.owner
    if not count:
        raise ConfigError(f"{owner}: has no key; keys have {', '.join(sorted(ring.owners())) or 'nobody'}")
    return f"{count} key{'s' * (count > 1)} of {owner}"


def _days(text: str) -> float:
    days = _float(text)
    if not 0 < days <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"is {text!r}, must be a number more than 0 and at most {_MOST_DAYS}")
    return days


def _hours(text: str) -> float:
    hours = _float(text)
    if not 0 <= hours <= _MOST_DAYS * 24:
        raise argparse.ArgumentTypeError(f"is {text!r}, must be a number from 0 to {_MOST_DAYS * 24}")
    return hours


def _float(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan  # which no bound lets through


def _told(quota: Quota) -> str:
    return ",".join(quota.words) or "any"


def _settings(path: Path | None) -> ServeSettings:
    if path is None:
        return ServeSettings()
    try:
        return ServeSettings.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        raise ConfigError("\n".join(f"{path}: {line}" for line in faults(ServeSettings, error))) from error


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m serving", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    run = commands.add_parser("run", help="serve on this computer until Ctrl-C")
    run.add_argument("--host", default="127.0.0.1")
    run.add_argument("--port", type=numbers.port, default=8000)
    run.add_argument("--anonymous", action="store_true", help="take requests without a key, on loopback alone")
    run.add_argument("--no-dashboard", action="store_true", help="start quicker; nothing can then be applied")
    run.set_defaults(command=_run)

    apply = commands.add_parser("apply", help="give a running service other settings; other weights without a restart")
    apply.add_argument("settings", type=Path, metavar="FILE", help="ServeSettings as JSON, the whole of them")
    apply.add_argument("--dashboard", default=DASHBOARD, help="address of Ray's dashboard")
    apply.set_defaults(command=_apply)

    config = commands.add_parser("config", help="show settings as a config that `serve deploy` takes")
    config.set_defaults(command=_config)

    exports = commands.add_parser("environment", help="show what is to be exported before `ray start`, on every node")
    exports.set_defaults(command=_environment)

    keys = commands.add_parser("keys", help="make, list, rotate and remove API keys")
    verbs = keys.add_subparsers(dest="verb", required=True, metavar="VERB")
    add = verbs.add_parser("add", help="make a key, and show it this once")
    add.add_argument("owner")
    add.add_argument("--scope", action="append", choices=SCOPES, help="all if absent")
    add.add_argument("--days", type=_days, help="valid for so long; for ever if absent")
    rotate = verbs.add_parser("rotate", help="make another key with the same rights, and let the old ones end")
    rotate.add_argument("owner")
    rotate.add_argument("--overlap-hours", type=_hours, default=24.0, help="how long the old ones are still taken")
    verbs.add_parser("remove", help="take all keys of an owner away at once").add_argument("owner")
    quota = verbs.add_parser("quota", help="let an owner use more or less from now on")
    quota.add_argument("owner")
    for one, absent in ((add, "the owner's stays as it is"), (quota, "no bound")):
        says = f"requests=60/minute, pictures=1000/day, jobs=8 (at once); any number of them; if absent, {absent}"
        one.add_argument("--quota", action="append", default=[], metavar="WORD", help=says)
    verbs.add_parser("list", help="who has keys")
    keys.set_defaults(command=_keys)

    for one in (run, config, keys):
        one.add_argument("--settings", type=Path, metavar="FILE", help="ServeSettings as JSON")
    for verb in verbs.choices.values():  # before the verb or after it
        verb.add_argument("--settings", type=Path, metavar="FILE", default=argparse.SUPPRESS, help="as of `keys`")
    return parser


if __name__ == "__main__":
    sys.exit(telling(main))
