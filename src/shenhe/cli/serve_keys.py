"""`shenhe serve --add-key`: the keys of clients, which are changed by commands of their own."""

from __future__ import annotations

import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from shenhe.errors import OptionError, spelled
from shenhe.options import Whole, option, option_class
from shenhe.printable import show, show_data

if TYPE_CHECKING:
    from shenhe.service.access import KeyScope
    from shenhe.service.keys import KeyRing

KEY_ACTIONS = ("add_key", "remove_key", "list_keys")


@option_class
class KeyOptions:
    """Keys of clients, which are changed by commands of their own."""

    add_key: str | None = option(
        "make a key of this name, print it once, and leave", default=None, metavar="NAME"
    )
    scopes: str = option(
        "what the key may do: submit: hand in groups; read: read results; admin: everything",
        default="submit,read",
        metavar="LIST",
    )
    key_rate: Annotated[int, Whole(0)] = option(
        "requests a minute of that key; 0: as many as of the others", default=0, metavar="N"
    )
    remove_key: str | None = option("remove a key, and leave", default=None, metavar="NAME")
    list_keys: bool = option("list the keys, and leave", default=False)


def chosen_actions(options: KeyOptions) -> list[str]:
    """Name what is to be done with the keys; nothing where the service is to run."""
    return [name for name in KEY_ACTIONS if getattr(options, name)]


def change_keys(options: KeyOptions, data: Path, url: str) -> int:
    """Make, remove or list options.

    Raises: OptionError for two of these at once; UsageError; RunError.
    """
    chosen = chosen_actions(options)
    if len(chosen) > 1:
        problem = f"give it in a command of its own, without {spelled(chosen[0])}"
        raise OptionError(chosen[1], getattr(options, chosen[1]), problem)
    from shenhe.service.keys import KeyRing
    from shenhe.service.store import open_store

    with closing(open_store(data, url)) as store:
        ring = KeyRing(store.database)
        if options.add_key is not None:
            secret = ring.add(options.add_key, _read_scopes(options.scopes), options.key_rate)
            show("whoever has this key may use the service; it is shown only now:", file=sys.stderr)
            show_data(secret)
        elif options.remove_key is not None:
            ring.remove(options.remove_key)
            show(f"{options.remove_key}: removed", file=sys.stderr)
        else:
            _list_keys(ring)
    return 0


def _read_scopes(text: str) -> list[KeyScope]:
    """Read scopes, which stand between commas.

    Raises: OptionError for one that there is not.
    """
    from shenhe.service.access import SCOPES

    names = [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in SCOPES]:
        raise OptionError("scopes", text, f"{unknown[0]!r} is none of {', '.join(SCOPES)}")
    return [scope for scope in SCOPES if scope in names]


def _list_keys(ring: KeyRing) -> None:
    from shenhe.cli.tables import print_table

    head = ("名称\nname", "权限\nscopes", "每分钟\na minute", "建立\nmade")
    rows = (
        (key.name, ", ".join(key.scopes), f"{key.rate:g}" if key.rate else "-", key.made_at)
        for key in ring.list()
    )
    print_table(head, rows, left=2)
