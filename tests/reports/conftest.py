"""What the tests here share."""

from tests.fixtures.commands import command, reports_here
from tests.fixtures.results import independent, results, save, simulated

__all__ = ["command", "independent", "reports_here", "results", "save", "simulated"]
