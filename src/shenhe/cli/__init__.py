"""The command line: parse, compose, exit code; no logic."""
