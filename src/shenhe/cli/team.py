"""`shenhe team`: the people of a review: their accounts, roles and passwords."""

from __future__ import annotations

import getpass
import os
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from shenhe.cli.databases import DatabaseOptions, follow_decisions
from shenhe.errors import OptionError, RunError, UsageError, spelled
from shenhe.options import argument, option, option_class, section
from shenhe.printable import show

if TYPE_CHECKING:
    from shenhe.team import Account, People
    from shenhe.team.assignments import AssignmentStore

PASSWORD = "SHENHE_TEAM_PASSWORD"
ADDRESS = "http://127.0.0.1:8765"
BY = "shenhe team"
"""Who changes accounts from the command line, as the trail has it; no account has this name."""
ACTIONS = ("add", "change", "reset", "disable", "enable", "assign", "report")


@option_class
class TeamOptions:
    """Options of the people of a review."""

    run_dir: Path = argument("RUN_DIR", "what `run` wrote")
    add: str | None = option(
        "add an account, and write the one-time link by which its password is set",
        default=None,
        metavar="NAME",
    )
    change: str | None = option("give an account another role", default=None, metavar="NAME")
    role: Literal["inspector", "lead"] | None = option(
        "of the account that is added (default: inspector) or changed; a lead manages the team, and"
        " decides between two opinions",
        default=None,
    )
    reset: str | None = option(
        "end the password and all sessions of an account, and write a new one-time link",
        default=None,
        metavar="NAME",
    )
    disable: str | None = option(
        "end an account with all its sessions; its decisions stay", default=None, metavar="NAME"
    )
    enable: str | None = option("let an account sign in again", default=None, metavar="NAME")
    ask_password: bool = option(
        "when adding or resetting: ask for the password here, or take it from SHENHE_TEAM_PASSWORD,"
        " and write no link",
        default=False,
    )
    assign: Path | None = option(
        "give groups to people, by missions, regions and shares (TOML)",
        default=None,
        metavar="FILE",
    )
    report: Path | None = option(
        "write work by day, agreement and the whole audit trail, then leave",
        default=None,
        metavar="DIR",
    )
    zone: str | None = option(
        "whose days the work is counted by, as +08:00; default: that of this machine",
        default=None,
        metavar="OFFSET",
    )
    team: DatabaseOptions = section(default=DatabaseOptions())
    address: str = option("of the review, which links begin with", default=ADDRESS, metavar="URL")


def team(options: TeamOptions) -> int:
    """Change an account, or list all of them.

    Raises: OptionError for two changes at once, or a role of none; UsageError for a name that
    cannot be one; RunError.
    """
    chosen = [name for name in ACTIONS if getattr(options, name) is not None]
    if len(chosen) > 1:
        second = chosen[1]
        problem = f"give it in a command of its own, without {spelled(chosen[0])}"
        raise OptionError(second, getattr(options, second), problem)
    if options.role is not None and chosen not in (["add"], ["change"]):
        raise OptionError("role", options.role, f"give {spelled('add')} or {spelled('change')} too")
    if options.change is not None and options.role is None:
        raise OptionError("change", options.change, f"give {spelled('role')} too")
    if options.zone is not None and options.report is None:
        raise OptionError("zone", options.zone, f"give {spelled('report')} too")
    if not options.run_dir.is_dir():
        raise UsageError(f"{options.run_dir}: no such folder")
    from shenhe.team import People, open_database
    from shenhe.team.assignments import AssignmentStore

    if options.report is not None:
        _report(options, options.report)
        return 0
    database = open_database(options.run_dir, options.team.url)
    people = People.of(database)
    if options.assign is not None:
        _assign(people, AssignmentStore(database), options.run_dir, options.assign)
    elif chosen:
        _change(people, options, chosen[0])
    else:
        _list(people)
    return 0


def _change(people: People, options: TeamOptions, action: str) -> None:
    accounts, name = people.accounts, getattr(options, action)
    password = _read_password() if options.ask_password and action in ("add", "reset") else None
    does: dict[str, Callable[[], str | None]] = {
        "add": lambda: accounts.add(name, options.role or "inspector", BY),
        "change": lambda: accounts.set_role(name, options.role or "inspector", BY),
        "reset": lambda: accounts.reset(name, BY),
        "disable": lambda: accounts.set_active(name, False, BY),
        "enable": lambda: accounts.set_active(name, True, BY),
    }
    if password is not None:
        accounts.require_strength(password, name)
    secret = does[action]()
    if password is not None:
        accounts.set_password(name, password, BY)
    elif secret is not None:
        show("whoever opens this link sets the password, once, within 3 days:", file=sys.stderr)
        show(f"{options.address.rstrip('/')}/join#{secret}")
    account = accounts.find(name)
    if account is not None:
        show(f"{account.name}: {account.role}, {_state(account)}", file=sys.stderr)


def _assign(people: People, store: AssignmentStore, run_dir: Path, path: Path) -> None:
    """Put the rules of a file in force.

    Raises: ConfigError for rules that cannot be; RunError.
    """
    from shenhe.review import Index
    from shenhe.team.assignments import load_assignments

    missions: list[str] = []
    with suppress(RunError):  # there may be no verdicts yet
        missions = Index(run_dir).missions()
    names = [account.name for account in people.accounts.list()]
    rules = load_assignments(path, names, missions)
    store.write(rules, BY)
    for name in rules.missions:
        if name not in missions:
            show(f"{path}: no groups of the mission yet: {name}", file=sys.stderr)
    show(f"{path}: in force", file=sys.stderr)


def _report(options: TeamOptions, folder: Path) -> None:
    """Write the figures of a team as files.

    Raises: OptionError for a zone that is none; RunError.
    """
    from shenhe.review import Index
    from shenhe.review.figures import write_figures
    from shenhe.team import open_database
    from shenhe.team.work import local_zone, read_zone

    zone = read_zone(options.zone) if options.zone else local_zone()
    if zone is None:
        raise OptionError("zone", options.zone, "give an offset from UTC, as +08:00")
    follow_decisions([options.run_dir], options.team)
    database = open_database(options.run_dir, options.team.url)
    for path, rows in write_figures(folder, Index(options.run_dir), database, zone).items():
        show(f"{path}: {rows} rows")


def _list(people: People) -> None:
    from shenhe.cli.tables import print_table

    accounts = people.accounts.list()
    if not accounts:
        remedy = f"{spelled('add', 'NAME')} {spelled('role', 'lead')}"
        show(f"no accounts: the first one is a lead's: {remedy}")
        return
    head = ("姓名\nname", "角色\nrole", "状态\nstate")
    print_table(head, ((each.name, each.role, _state(each)) for each in accounts), left=3)


def _state(account: Account) -> str:
    if not account.is_active:
        return "disabled"
    return "active" if account.has_password else "no password yet"


def _read_password() -> str:
    """Read a password from the environment, or from the terminal without showing it.

    Raises: UsageError without either, or where the second typing differs.
    """
    if password := os.environ.get(PASSWORD):
        return password
    if not sys.stdin.isatty():
        raise UsageError(f"no terminal to ask for the password: set {PASSWORD}")
    password = getpass.getpass("password: ")
    if password != getpass.getpass("again: "):
        raise UsageError("the two passwords differ: nothing was changed")
    return password
