"""Acceptance sheets: a run, a work order or a batch as XLSX, DOCX and PDF."""
