"""`shenhe review`: the web app, or the files it exports."""

from __future__ import annotations

import sys
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from shenhe.cli.databases import DatabaseOptions, follow_decisions
from shenhe.cli.loading import ConfigOptions
from shenhe.errors import OptionError, spelled
from shenhe.options import Whole, argument, option, option_class, section
from shenhe.printable import show

if TYPE_CHECKING:
    from shenhe.review import Index, OtherRun, Prompting


@option_class
class ReviewOptions:
    """Options of the web app."""

    run_dir: Path = argument("RUN_DIR", "what `run` wrote")
    port: Annotated[int, Whole(0)] = option("0: any that is free", default=8765, metavar="N")
    host: str = option(
        "other than this machine's own: whoever opens the pages needs a token, which is"
        " printed, or taken from SHENHE_REVIEW_TOKEN",
        default="127.0.0.1",
        metavar="ADDRESS",
    )
    public_url: str = option(
        "where browsers find it behind a proxy with TLS, as https://review.example: it answers to"
        " no other name, asks for the token, and its cookies travel over TLS alone",
        default="",
        metavar="URL",
    )
    proxy: tuple[str, ...] = option(
        "believe what proxies at these addresses or networks say of whom they ask for",
        default=(),
        metavar="ADDRESS",
        gathering="each",
    )
    reviewer: str | None = option(
        "signs for who has not said a name; default: the user", default=None, metavar="NAME"
    )
    captions: tuple[Path, ...] = option(
        "rows of `caption` to draw; default: RUN_DIR/captions.jsonl, RUN_DIR/captions/*.jsonl",
        default=(),
        metavar="FILE.jsonl",
        gathering="last",
    )
    export: Path | None = option(
        "write decisions and training rows, then leave", default=None, metavar="DIR"
    )
    audit_share: float | None = option(
        "blind audit: draw this share of the groups that the machine passed, at random; people"
        " judge them by their photos alone. Default: the share of the last time",
        default=None,
        metavar="SHARE",
    )
    second_share: float | None = option(
        "second opinions: draw this share of the decided groups, at random; another person with an"
        " account judges them without knowing what was decided. Default: the share of the last"
        " time",
        default=None,
        metavar="SHARE",
    )
    second_of: Literal["all", "通过"] | None = option(
        "draw second opinions from all decided groups, or from those decided 通过; default: as the"
        " last time, else all",
        default=None,
    )
    vocabulary: Path | None = option(
        "descs of corrected captions, instead of the built-in vocabulary (TOML)",
        default=None,
        metavar="FILE",
    )
    beside: Path | None = option(
        "compare with this run, page by page: an earlier checkpoint, another prompt",
        default=None,
        metavar="RUN_DIR",
    )
    team: DatabaseOptions = section(default=DatabaseOptions())
    config: ConfigOptions = section("prompts", default=ConfigOptions())


def review(options: ReviewOptions) -> int:
    """Serve the pages until interrupted, or write the exports.

    Raises: OptionError for a share, an address or a database that cannot be.
    """
    _check(options)
    from shenhe.config import load_formats, load_missions, load_prompts, load_vocabulary
    from shenhe.review import Index, Prompting, Review

    config, formats = options.config, load_formats(options.config.formats)
    prompts = load_prompts(config.prompts, formats)
    vocabulary = load_vocabulary(options.vocabulary)
    prompting = Prompting(load_missions(config.missions), prompts, formats, vocabulary)
    show(f"reading {options.run_dir} ...", file=sys.stderr)
    if options.export is not None:
        follow_decisions([options.run_dir], options.team)
        index = Index(options.run_dir, options.captions, options.audit_share)
        _tell_audit(index)
        return _export(options.export, index, prompting)
    from shenhe.cli.review_server import Address, serve  # its libraries are needed for nothing else

    index = _open_index(options)
    name, other = options.run_dir.resolve().name, _open_other(options, index)
    address = Address(options.host, options.port, options.public_url, options.proxy)
    serve(Review(name, index, prompting, other), options.reviewer, address)
    return 0


def _check(options: ReviewOptions) -> None:
    shares = {"audit_share": options.audit_share, "second_share": options.second_share}
    for name, share in shares.items():
        if share is not None and not 0 < share <= 1:
            raise OptionError(name, share, "give a share above 0 and up to 1, as 0.05")
    for proxy in options.proxy:
        try:
            ip_network(proxy)
        except ValueError as error:
            problem = "give the address or network of the proxy, as 127.0.0.1 or 10.0.0.0/24"
            raise OptionError("proxy", proxy, problem) from error


def _open_index(options: ReviewOptions) -> Index:
    """Open the index for deciding.

    Raises: OptionError where the decisions of the run are made in a database that was not named.
    """
    from shenhe.review import Index
    from shenhe.rows.decisions import Decisions, decisions_file
    from shenhe.team import open_database

    run_dir, url = options.run_dir, options.team.url
    followed = Decisions(run_dir).followed if decisions_file(run_dir).exists() else None
    if followed and not url:
        problem = f"decisions of {run_dir} are made in {followed.database}: give its address"
        raise OptionError("database", None, problem)
    database = open_database(run_dir, url) if url and run_dir.is_dir() else None
    index = Index(run_dir, options.captions, options.audit_share, database)
    _tell_audit(index)
    if database:
        show(f"decisions: {database.name}", file=sys.stderr)
    _plan_second(index, options)
    return index


def _plan_second(index: Index, options: ReviewOptions) -> None:
    """Note which decisions a second person judges, for this start and later ones.

    Raises: OptionError for decisions that nobody draws from.
    """
    from shenhe.team import SecondOpinions

    share, of = options.second_share, options.second_of
    opinions = SecondOpinions(index.database)
    before = opinions.plan()
    if of is not None and share is None and before is None:
        raise OptionError("second_of", of, f"give {spelled('second_share')} too")
    if plan := opinions.plan(share, of) if share or of else before:
        which = "decided groups" if plan.of == "all" else f"groups that people decided {plan.of}"
        show(f"second opinions: on {plan.share:g} of the {which}", file=sys.stderr)


def _tell_audit(index: Index) -> None:
    if index.audit:
        drawn = index.audit.progress("").groups
        of_passed = f"{index.audit.plan.share:g} of those passed"
        show(f"blind audit: {drawn} groups drawn ({of_passed})", file=sys.stderr)


def _open_other(options: ReviewOptions, index: Index) -> OtherRun | None:
    from shenhe.review import Index, OtherRun

    if options.beside is None:
        return None
    other = Index(options.beside)
    return OtherRun(options.beside.resolve().name, other, index.beside(other))


def _export(folder: Path, index: Index, prompting: Prompting) -> int:
    from shenhe.review import write_exports

    for path, export in write_exports(folder, index, prompting).items():
        show(f"{path}: {export.rows} rows")
        for why, count in sorted(export.left_out.items()):
            show(f"  left out: {count}, {why}", file=sys.stderr)
    return 0
