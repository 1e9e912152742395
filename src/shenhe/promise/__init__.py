"""Thresholds that keep a bound on false passes, audits that check it, and the alarm."""
