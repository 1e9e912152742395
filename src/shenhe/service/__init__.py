"""Verdicts as a service: photos in over the network, verdicts out with their evidence."""
