"""Engines: whatever turns requests into answers."""
