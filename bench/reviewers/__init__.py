"""A team that reviews in browsers, while a server is killed: see `bench.reviewers.__main__`."""
