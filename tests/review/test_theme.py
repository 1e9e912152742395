"""Light and dark: every colour is a variable that both themes have."""

from __future__ import annotations

import re

from shenhe.web.static_files import read_files

COLOUR = re.compile(r"#[0-9a-fA-F]{3,8}\b|\b(?:rgb|hsl|oklch|color)a?\(|: *(?:white|black)\b")
ROOT = re.compile(r":root \{([^}]*)\}")


def test_every_colour_is_a_variable_with_a_dark_twin() -> None:
    sheets = {n: c.decode() for n, c in read_files("shenhe.review").items() if n.endswith(".css")}
    declared = {}
    for name in ("pages.css", "dark.css"):
        (root,) = ROOT.findall(sheets[name])
        declared[name] = set(re.findall(r"(--[a-z-]+):", root))
        sheets[name] = ROOT.sub("", sheets[name])
    assert declared["pages.css"] == declared["dark.css"]
    for name, text in sheets.items():
        rules = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
        # An id in a selector is no colour: only what stands behind a colon, inside braces.
        values = " ".join(re.findall(r"\{([^{}]*)\}", rules))
        assert not COLOUR.findall(values), name
        assert set(re.findall(r"var\((--[a-z-]+)\)", values)) <= declared["pages.css"], name
