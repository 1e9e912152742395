"""`shenhe demo`: the main job on what is bundled."""

from __future__ import annotations

from pathlib import Path

from shenhe.cli.loading import LoadOptions
from shenhe.cli.probes import DEMO_PHOTOS
from shenhe.cli.run import RunCommandOptions, run
from shenhe.engines.options import LocalOptions
from shenhe.options import option, option_class


@option_class
class DemoOptions:
    """Options of the demo."""

    output_dir: Path = option("the run folder", default=Path("shenhe-demo"), metavar="DIR")


def demo(options: DemoOptions) -> int:
    """Run both stages on the bundled checkpoint, adapter and photos."""
    load = LoadOptions(model="demo", adapters=("demo",), local=LocalOptions(dtype="float32"))
    code = run(RunCommandOptions(load=load, data_root=DEMO_PHOTOS, output_dir=options.output_dir))
    # The demo's photos hold groups that cannot be decided, to show what becomes of them.
    return 0 if code == 1 else code
