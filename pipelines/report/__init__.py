"""The report of an output: one HTML file for people, with the failures first."""

from pipelines.report.page import write_report

__all__ = ["write_report"]
