"""`shenhe demo`: the main job on what is bundled."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from shenhe.cli.loading import LoadOptions
from shenhe.cli.probes import DEMO_PHOTOS
from shenhe.cli.run import RunCommandOptions, run
from shenhe.engines.options import LocalOptions
from shenhe.options import option, option_class


@option_class
class DemoOptions:
    """Options of the demo."""

    output_dir: Path = option("the run folder", default=Path("shenhe-demo"), metavar="DIR")
    engine: Literal["local", "openvino"] = option(
        "what runs the model: transformers, or OpenVINO, which needs no torch", default="local"
    )


def demo(options: DemoOptions) -> int:
    """Run both stages on the bundled checkpoint, adapter and photos."""
    # The bundled export has the adapter in it.
    adapters = ("demo",) if options.engine == "local" else ()
    load = LoadOptions(
        model="demo",
        adapters=adapters,
        engine=options.engine,
        local=LocalOptions(dtype="float32"),
    )
    code = run(RunCommandOptions(load=load, data_root=DEMO_PHOTOS, output_dir=options.output_dir))
    # The demo's photos hold groups that cannot be decided, to show what becomes of them.
    return 0 if code == 1 else code
