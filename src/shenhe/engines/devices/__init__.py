"""Several devices of this machine, one worker process on each, behind one engine."""

from shenhe.engines.devices.engine import DevicesEngine

__all__ = ["DevicesEngine"]
